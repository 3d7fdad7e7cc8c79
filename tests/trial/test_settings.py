"""Settings: many steps come before a size's own batch, and the optimizer follows the batch."""

from __future__ import annotations

import math

import pytest

from corpus_builder.recipe_mix import Mix
from corpus_builder.recipe_trial import Trial
from corpus_builder.train.sizes import BETA2, MUON_RATE, SIZES, OptimizerName
from corpus_builder.trial.settings import FEWEST_TOKENS, LEAST_STEPS, STEPS, Settings, settings_of


def settings(tokens: int, **trial: object) -> Settings:
    mix = Mix(tokens=10**9, sequence_length=256, weights={"a": 1})
    return settings_of(Trial.model_validate({"model": "1M"} | trial), mix, 4096, tokens)


@pytest.mark.parametrize(
    ("optimizer", "tokens", "sequences"),
    [
        ("adamw", 256, 1), ("adamw", 120_000, 1), ("adamw", 10**6, 3), ("adamw", 4 * 10**6, 15),
        ("adamw", 10**8, 32),
        ("muon", 256, 1), ("muon", 16_000, 2), ("muon", 120_000, 4), ("muon", 500_000, 4),
        ("muon", 10**6, 7), ("muon", 10**8, 32),
    ],
)  # fmt: skip
def test_a_step_is_as_large_as_enough_steps_allow_up_to_the_sizes_own(
    optimizer: OptimizerName, tokens: int, sequences: int
) -> None:
    made = settings(tokens, optimizer=optimizer)
    assert made.sequences == sequences
    assert made.steps == tokens // (sequences * 256)
    assert tokens - made.sequences * 256 < made.tokens <= tokens
    fewest = -(-FEWEST_TOKENS[optimizer] // 256)
    assert sequences <= fewest or made.steps >= STEPS[optimizer]
    assert sequences == 1 or made.steps >= LEAST_STEPS


@pytest.mark.parametrize(("optimizer", "times"), [("adamw", 1), ("muon", MUON_RATE)])
def test_rate_and_memory_follow_the_batch(optimizer: OptimizerName, times: float) -> None:
    """beta2 forgets half within as many tokens, whatever a step holds."""
    peak = SIZES["1M"].learning_rate * times
    for tokens in (10**5, 10**6, 10**7, 10**8):
        made = settings(tokens, optimizer=optimizer)
        share = made.sequences / 32
        assert made.learning_rate == peak * math.sqrt(share)
        half_life = made.sequences * math.log(0.5) / math.log(made.beta2)
        assert half_life == pytest.approx(32 * math.log(0.5) / math.log(BETA2))
    assert (made.learning_rate, made.beta2) == (peak, BETA2)


def test_what_the_recipe_says_comes_first() -> None:
    assert settings(10**6).optimizer == "muon"
    made = settings(10**6, learning_rate=0.01, optimizer="adamw")
    assert (made.learning_rate, made.optimizer) == (0.01, "adamw")
    assert made.beta2 == settings(10**6, optimizer="adamw").beta2
