"""Encoders of a tokenizer.json: the reference library, and a fast one that must agree with it.

Invariant: token ids are those of `tokenizers` with special-token strings encoded as plain text.
The fast encoder is used only for tokenizers it was seen to agree on, and is checked again on a
hash-chosen share of all documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..store.errors import EngineError, RecipeError

REFERENCE, FAST = "tokenizers", "fastokens"
CHECK_ONE_IN = 1024
Encoded = tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]

_PROBES = (
    "", " ", "\r\n\t  x\u00a0y", "a" * 3000, " " * 3000, "e\u0301" * 40, "\u0000\u0001\ufffd",
    "👨‍👩‍👧‍👦🇩🇪", "ﬁ ſ İ ı ς Σ", "漢字かなカナ한국어 ไทย हिन्दी العربية עברית",
    "x=1;\n\n\n    return  {y}  # 3.14e-10", "I'm you've THEY'LL 1234567890 ½ ² Ⅷ",
    "\U0010ffff\ud7ff",
)  # fmt: skip


def load_tokenizer(path: Path) -> Any:
    """A `tokenizers.Tokenizer` that encodes special-token strings in documents as plain text.

    Raises:
        RecipeError: the file is no tokenizer.json.
    """
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing finer
        raise RecipeError(
            str(path), f"is no tokenizer.json: {error}", do="save one with tokenizers' save()"
        ) from error
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


class Encoder:
    """Encodes batches of texts by the library named.

    Args:
        path: of tokenizer.json.
        library: `fastokens` or `tokenizers`.
    """

    def __init__(self, path: Path, library: str) -> None:
        self._reference = load_tokenizer(path)
        self._fast = _fast(path) if library == FAST else None

    def encode(self, texts: Sequence[str]) -> Encoded:
        """Token ids uint32[tokens] of all texts, and offsets int64[texts + 1] into them."""
        if self._fast is None:
            return self.encode_by_reference(texts)
        ids, offsets = self._fast.encode_batch_flat(
            list(texts), add_special_tokens=False, split_special_tokens=True
        )
        return np.frombuffer(ids, np.uint32), np.frombuffer(offsets, np.uint64).astype(np.int64)

    def encode_by_reference(self, texts: Sequence[str]) -> Encoded:
        """The same by `tokenizers`."""
        found = self._reference.encode_batch_fast(list(texts), add_special_tokens=False)
        parts = [np.array(item.ids, np.uint32) for item in found]
        offsets = np.cumsum([0, *(len(part) for part in parts)], dtype=np.int64)
        return np.concatenate([np.empty(0, np.uint32), *parts]), offsets

    def check(self, texts: Sequence[str], where: str) -> None:
        """Compare both libraries on some texts.

        Raises:
            EngineError: they differ.
        """
        if self._fast is not None and texts and not _agree(self, texts):
            raise EngineError(
                where, f"{FAST} {version(FAST)} and {REFERENCE} encode a document differently",
                do=f"uninstall {FAST} (the reference is used then) and report it, please",
            )  # fmt: skip


def choose_library(path: Path, texts: Sequence[str]) -> str:
    """`fastokens` where it loads this tokenizer and agrees on hard strings and `texts`."""
    encoder = Encoder(path, FAST)
    fast = encoder._fast is not None and _agree(encoder, [*_PROBES, *_specials(path), *texts])
    return FAST if fast else REFERENCE


def _agree(encoder: Encoder, texts: Sequence[str]) -> bool:
    ids, offsets = encoder.encode(texts)
    wanted, borders = encoder.encode_by_reference(texts)
    return np.array_equal(ids, wanted) and np.array_equal(offsets, borders)


def _specials(path: Path) -> list[str]:
    """Documents that contain the tokenizer's own special tokens as text."""
    added = load_tokenizer(path).get_added_tokens_decoder().values()
    return [f"before {token.content} after{token.content}" for token in added]


@cache
def _fast(path: Path) -> Any:
    """The fast tokenizer, or None where it is not installed or cannot load this file."""
    try:
        from fastokens import Tokenizer
    except ImportError:
        return None
    try:
        return Tokenizer.from_file(str(path))
    except (ValueError, RuntimeError, OSError):
        return None
