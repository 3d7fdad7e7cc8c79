"""Arms with tokenizers that lose text are not measured against those that keep it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from corpus_builder.recipe_trial import BASE_ARM
from corpus_builder.store.errors import RecipeError
from corpus_builder.trial.arms import Arm
from corpus_builder.trial.faithful import changed_texts, check_tokenizers

TEXTS = ["Alpha beta, gamma.", "Delta", "eta theta", "\ufffd\n  é\x00"]


def tokenizer(path: Path, *, lower: bool) -> Path:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if lower:
        made.normalizer = normalizers.Lowercase()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=280, initial_alphabet=alphabet))
    made.save(str(path))
    return path


@pytest.fixture
def exact(tmp_path: Path) -> Path:
    return tokenizer(tmp_path / "exact.json", lower=False)


@pytest.fixture
def folding(tmp_path: Path) -> Path:
    return tokenizer(tmp_path / "folding.json", lower=True)


def check(base: Path, arm: Path, texts: list[str] = TEXTS, *, own: bool = True) -> None:
    heldout: Any = SimpleNamespace(texts=lambda: {"docs": ([b""] * len(texts), texts)})
    plan: Any = None
    arms = [Arm(BASE_ARM, plan), Arm("other", plan, own_tokenizer=own)]
    check_tokenizers(arms, {BASE_ARM: base, "other": arm}, heldout)


def test_a_byte_level_tokenizer_changes_nothing(exact: Path) -> None:
    assert changed_texts(exact, TEXTS) == []
    check(exact, exact)


def test_what_folding_case_changes_is_shown(folding: Path) -> None:
    found = changed_texts(folding, TEXTS)
    assert found == [("Alpha beta, gamma.", "alpha beta, gamma."), ("Delta", "delta")]


@pytest.mark.parametrize("loser", [BASE_ARM, "other"])
def test_a_tokenizer_that_loses_text_is_refused_on_either_side(
    loser: str, exact: Path, folding: Path
) -> None:
    base, arm = (folding, exact) if loser == BASE_ARM else (exact, folding)
    said = f"arm '{loser}': the tokenizer does not keep 2 of 4 held-out texts: 'Alpha"
    with pytest.raises(RecipeError, match=said):
        check(base, arm)


def test_arms_that_share_a_tokenizer_may_share_one_that_loses_text(folding: Path) -> None:
    check(folding, folding, own=False)


def test_one_text_in_a_hundred_decides_nothing(exact: Path, folding: Path) -> None:
    check(exact, folding, ["plain"] * 99 + ["Odd"])
    with pytest.raises(RecipeError, match="2 of 100"):
        check(exact, folding, ["plain"] * 98 + ["Odd"] * 2)
