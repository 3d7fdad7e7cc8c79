"""The best mix from a swarm of small runs.

The path: `swarm` (which mixes to try) -> `proxies` (train them as a trial does) -> `laws` and
`boosted` (loss as a function of the mix) -> `choosing` (cross-validation picks one) -> `search`
(the best mix that caps and swarm support) -> `answer` (all of that again on resamples: how sure it
is) -> `report` and `recipe` (a recipe that a trial can test). All but `proxies`, `optimise`,
`report` and `recipe` are pure functions of numbers.
"""
