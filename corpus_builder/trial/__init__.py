"""A trial: the arms of a recipe trained small, on the same budget, and compared.

The path: `arms` (plans that share what they can, comparability) -> `data` (token stores, orders,
held-out text) -> `runs` (training, cached by content) -> `prospect` (cost and power beforehand)
-> `report`; `trial` calls them in turn.
"""
