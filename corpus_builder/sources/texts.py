"""Texts of a user's own that are scored and kept out of training, never trained on.

Invariant: every text of every file is taken, or the file is refused with the place; a file is known
by its name and the hash of its bytes, and one that changed since is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import fsspec

from corpus_builder.sources.keys import check_keys
from corpus_builder.sources.listing import SUFFIXES, list_inputs
from corpus_builder.sources.options import Columns, ReadOptions
from corpus_builder.sources.parquet import check_schema
from corpus_builder.sources.reading import read
from corpus_builder.sources.records import InputFile, Lost, Split, TextRow
from corpus_builder.store.errors import SourceError

PLAIN = (".txt", ".md")
KINDS = {"jsonl": SUFFIXES["jsonl"], "parquet": SUFFIXES["parquet"], "plain": PLAIN}
ENDINGS = tuple(ending for endings in KINDS.values() for ending in endings)


@dataclass(frozen=True, slots=True)
class TextFile:
    """A file of texts, the sha256 of its bytes and, where it has columns, that of the texts."""

    file: InputFile
    sha256: str
    column: str = ""


def list_texts(patterns: Sequence[str], column: str = "text") -> tuple[TextFile, ...]:
    """The files that `patterns` name (see `list_inputs`), sorted by name, each read and hashed.

    Args:
        column: of the texts, in files that have columns.

    Raises:
        SourceError: a pattern matches nothing, or a file is of no known format.
    """
    return tuple(
        TextFile(file, _sha256(file), "" if _kind(file) == "plain" else column)
        for file in list_inputs(patterns, ENDINGS)
    )


def check_texts(where: str, files: Sequence[TextFile]) -> None:
    """Refuse files without the column of texts, where a glance at them shows that.

    Raises:
        SourceError: it is not there; names those that are.
    """
    for text in files:
        kind = _kind(text.file)
        if kind == "jsonl":
            options = ReadOptions(Columns(text=text.column))
            check_keys(where, [text.file], {"text": text.column}, options.max_record_bytes)
        elif kind == "parquet":
            check_schema(text.file, Columns(text=text.column))


def read_texts(text: TextFile) -> Iterator[TextRow]:
    """The texts of a file: `.txt` and `.md` hold one, JSONL and Parquet a column of them.

    Raises:
        SourceError: the file changed since it was listed, or it or a record of it is no text.
    """
    file, kind = text.file, _kind(text.file)
    if _sha256(file) != text.sha256:
        raise SourceError(file.url, "changed while the run was on", do="run again")
    if kind == "plain":
        yield TextRow(0, 0, "", file.name, "", "", _plain(file))
        return
    options = ReadOptions(Columns(text=text.column))
    for record in read(Split(file, 0, 1, 0, file.size), kind, options):
        if isinstance(record, Lost):
            what = f"record at {record.position}: {record.cause} ({record.detail})"
            raise SourceError(file.url, what, do="mend or remove it: held-out texts are all scored")
        if isinstance(record, TextRow):
            yield record


def _kind(file: InputFile) -> str:
    for kind, endings in KINDS.items():
        if file.name.endswith(endings):
            return kind
    allowed = f"allowed: files that end in {', '.join(ENDINGS)}"
    raise SourceError(file.url, "is of no known format", allowed=allowed)


def _plain(file: InputFile) -> str:
    content = _content(file)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"byte {error.start} is not UTF-8"
        raise SourceError(file.url, what, do="convert the file to UTF-8") from error
    if not text.strip():
        raise SourceError(file.url, "holds no text", do="remove it")
    return text


def _sha256(file: InputFile) -> str:
    return hashlib.sha256(_content(file)).hexdigest()


def _content(file: InputFile) -> bytes:
    with fsspec.open(file.url, "rb") as opened:
        content: bytes = opened.read()
    return content
