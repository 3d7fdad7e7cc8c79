"""Settings: many steps come before a size's own batch, and the optimizer follows the batch."""

from __future__ import annotations

import math

import pytest

from corpus_builder.recipe_mix import Mix
from corpus_builder.recipe_models import Trial
from corpus_builder.train.sizes import BETA2, SIZES
from corpus_builder.trial.settings import STEPS, Settings, settings_of


def settings(tokens: int, **trial: object) -> Settings:
    mix = Mix(tokens=10**9, sequence_length=256, weights={"a": 1})
    return settings_of(Trial.model_validate({"model": "1M"} | trial), mix, 4096, tokens)


@pytest.mark.parametrize(
    ("tokens", "sequences"), [(256, 1), (120_000, 1), (10**6, 3), (4 * 10**6, 15), (10**8, 32)]
)
def test_a_step_is_as_large_as_enough_steps_allow_up_to_the_sizes_own(
    tokens: int, sequences: int
) -> None:
    made = settings(tokens)
    assert made.sequences == sequences
    assert made.steps == tokens // (sequences * 256)
    assert tokens - made.sequences * 256 < made.tokens <= tokens
    assert sequences == 1 or made.steps >= STEPS


def test_rate_and_memory_follow_the_batch() -> None:
    """beta2 forgets half within as many tokens, whatever a step holds."""
    size = SIZES["1M"]
    for tokens in (10**6, 10**7, 10**8):
        made = settings(tokens)
        share = made.sequences / 32
        assert made.learning_rate == size.learning_rate * math.sqrt(share)
        half_life = made.sequences * math.log(0.5) / math.log(made.beta2)
        assert half_life == pytest.approx(32 * math.log(0.5) / math.log(BETA2))
    assert (made.learning_rate, made.beta2) == (size.learning_rate, BETA2)


def test_what_the_recipe_says_comes_first() -> None:
    made = settings(10**6, learning_rate=0.01, optimizer="muon")
    assert (made.learning_rate, made.optimizer) == (0.01, "muon")
    assert made.beta2 == settings(10**6).beta2
