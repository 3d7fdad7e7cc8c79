"""Whether tokenizers keep the text they are measured on.

Bits are divided by the bytes of the original text. A tokenizer that folds case or has an unknown
token makes easier text of it: fewer bits for the same bytes, though nothing was learned. As long as
all arms share it they are compared alike; between two tokenizers both must keep what they read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ..recipe_trial import BASE_ARM
from ..stages.encoder import load_tokenizer
from ..store.errors import RecipeError
from .arms import Arm
from .data import Heldout

RARE = 0.01
"""Share of held-out texts that may come back changed: a few odd characters decide nothing."""

SHOWN = 24
"""Characters of a text that a message shows."""


def check_tokenizers(arms: Sequence[Arm], tokenizers: Mapping[str, Path], heldout: Heldout) -> None:
    """Refuse arms with a tokenizer of their own where it, or the base's, loses text.

    Args:
        arms: that are compared.
        tokenizers: by arm.

    Raises:
        RecipeError: one of them does; shows what becomes of a text.
    """
    own = [arm.name for arm in arms if arm.own_tokenizer]
    texts = [text for _, part in heldout.texts().values() for text in part] if own else []
    for name in [BASE_ARM, *own] if own else []:
        lost = changed_texts(tokenizers[name], texts)
        if len(lost) <= RARE * len(texts):
            continue
        before, after = lost[0]
        what = (
            f"the tokenizer does not keep {len(lost):,} of {len(texts):,} held-out texts: "
            f"{before!r} comes back as {after!r}; its bits are of another text"
        )
        do = f"take a tokenizer that keeps all text (byte-level), or leave out arm {own[0]!r}"
        raise RecipeError(f"arm {name!r}", what, do=do)


def changed_texts(path: Path, texts: Sequence[str]) -> list[tuple[str, str]]:
    """Texts that encoding and decoding change: what stands from the first difference, both ways."""
    tokenizer = load_tokenizer(path)
    encoded = tokenizer.encode_batch_fast([*texts], add_special_tokens=False)
    back = tokenizer.decode_batch([item.ids for item in encoded], skip_special_tokens=False)
    found = []
    for text, other in zip(texts, back, strict=True):
        if text != other:
            same = (i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b)
            start = next(same, min(len(text), len(other)))
            found.append((text[start : start + SHOWN], other[start : start + SHOWN]))
    return found
