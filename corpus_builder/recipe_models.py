"""The parts of a recipe as models: what each verb and block takes, with defaults and ranges.

Invariant: an instance is complete and valid on its own (names are checked elsewhere); models are
frozen, refuse unknown keys, and never turn one type into another except for the units people
write: `1M`, `32MB`, `2%`.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
SIGNAL_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
MIN_VOCAB = 258
"""256 bytes, the end-of-document token, and at least one merge."""

MIN_SCORE = 0.65
"""FineWeb's and DCLM's limit for English (2406.17557, 2406.11794)."""

_COUNT_UNITS = {"": 1, "k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "G": 10**9, "T": 10**12}
_BYTE_UNITS = {
    "": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip


def _with_unit(units: dict[str, int], example: str) -> Callable[[Any], Any]:
    """A validator that reads a number with a unit; other values pass on to the type's own check."""

    def read(value: Any) -> Any:
        if not isinstance(value, str):
            whole = isinstance(value, float) and value.is_integer()
            return int(value) if whole else value
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", value)
        if not found or found[2] not in units:
            raise ValueError(f"{value!r} is not a number with a unit, such as {example}")
        number = Decimal(found[1]) * units[found[2]]
        if number != int(number):
            raise ValueError(f"{value!r} is not a whole number")
        return int(number)

    return read


def read_share(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        if value.endswith("%"):
            return float(Decimal(value[:-1].strip()) / 100)
    except InvalidOperation:
        pass
    raise ValueError(f"{value!r} is not a share, such as 2% or 0.02")


def read_weight(value: Any) -> Any:
    """A share as 40%, or a count as 400k: weights need not add up."""
    if not isinstance(value, str):
        return value
    try:
        return read_share(value) if value.endswith("%") else _read_count(value)
    except ValueError:
        raise ValueError(f"{value!r} is no weight, such as 0.4, 40% or 400k") from None


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _with_default(value: Any) -> Any:
    return {"default": MIN_SCORE} | (value if isinstance(value, dict) else {"default": value})


def _name(value: str) -> str:
    if not NAME.match(value):
        raise ValueError(f"{value!r} is not a name: a-z, 0-9 and single - between them")
    return value


def _signal_name(value: str) -> str:
    if not SIGNAL_NAME.match(value) or keyword.iskeyword(value):
        raise ValueError(
            f"{value!r} cannot name a signal: a-z, then a-z, 0-9, _; no Python keyword"
        )
    return value


def _unique(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value!r} is listed twice")
    return values


_read_count = _with_unit(_COUNT_UNITS, "1M")

Count: TypeAlias = Annotated[int, BeforeValidator(_read_count)]
Bytes: TypeAlias = Annotated[int, BeforeValidator(_with_unit(_BYTE_UNITS, "32MB"))]
Share: TypeAlias = Annotated[float, BeforeValidator(read_share), Field(gt=0, lt=1)]
Similarity: TypeAlias = Annotated[float, BeforeValidator(read_share), Field(gt=0, le=1)]
Score: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Name: TypeAlias = Annotated[str, AfterValidator(_name), Field(max_length=64)]
SignalName: TypeAlias = Annotated[str, AfterValidator(_signal_name), Field(max_length=64)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Names: TypeAlias = Annotated[
    tuple[Text, ...], BeforeValidator(_one_or_more), Field(min_length=1), AfterValidator(_unique)
]


class Model(BaseModel):
    """Base: frozen, strict, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True
    )

    def to_canonical(self) -> dict[str, Any]:
        """Plain values, defaults filled in."""
        return self.model_dump(mode="json")


SourceKind: TypeAlias = Literal["warc", "jsonl", "parquet", "sample"]
SOURCE_KINDS: tuple[SourceKind, ...] = ("warc", "jsonl", "parquet", "sample")
COLUMN_KEYS = ("text", "url", "id", "title", "date")
COLUMN_OPTIONS = (*COLUMN_KEYS, "scores")
"""Keys of a source that only one with columns has."""


class Source(Model):
    """Where a corpus comes from: exactly one of `warc`, `jsonl`, `parquet` (paths, globs or URLs,
    relative to the working directory) or `sample` (a name).

    Attributes:
        text, url, id, title, date: columns of JSONL and Parquet. `text` must be there; the
            others are used if they are, and must be where the recipe names them.
        scores: signals that JSONL and Parquet bring: name -> the column of numbers it is read from.
        split_size: bytes of stored input to a split.
        max_record_bytes: larger records are lost, by the cause `too_large`.
        on_bad_file: a file that cannot be read at all (no such format, cut off, empty) ends the
            run, or each of its splits is one lost record with the cause `unreadable_file`.
    """

    warc: Names | None = None
    jsonl: Names | None = None
    parquet: Names | None = None
    sample: Text | None = None
    text: Text = "text"
    url: Text = "url"
    id: Text = "id"
    title: Text = "title"
    date: Text = "date"
    scores: Annotated[dict[SignalName, Text], Field(min_length=1)] | None = None
    split_size: Bytes = Field(default=32_000_000, ge=1_000)
    max_record_bytes: Bytes = Field(default=16_000_000, ge=1_000)
    on_bad_file: Literal["error", "skip"] = "error"

    @model_validator(mode="after")
    def _one_kind(self) -> Source:
        given = [kind for kind in SOURCE_KINDS if getattr(self, kind) is not None]
        if len(given) != 1:
            shown = " and ".join(given) or "none of them"
            raise ValueError(f"needs exactly one of {', '.join(SOURCE_KINDS)}; it has {shown}")
        if given[0] in ("warc", "sample"):
            for key in COLUMN_KEYS:
                if key in self.model_fields_set:
                    raise ValueError(f"a {given[0]} source has no column {key!r} to choose")
        return self

    @property
    def kind(self) -> SourceKind:
        """Which of the four it is."""
        return next(kind for kind in SOURCE_KINDS if getattr(self, kind) is not None)

    @property
    def patterns(self) -> tuple[str, ...]:
        """Paths, globs or URLs; empty for a sample."""
        return self.warc or self.jsonl or self.parquet or ()

    @property
    def columns(self) -> dict[str, str]:
        """Our name -> the input's name, for JSONL and Parquet."""
        return {key: getattr(self, key) for key in COLUMN_KEYS}

    @property
    def required_columns(self) -> tuple[str, ...]:
        """Those of `columns` that must be there: `text` and those the recipe names."""
        return tuple(key for key in COLUMN_KEYS if key == "text" or key in self.model_fields_set)

    @property
    def required_keys(self) -> dict[str, str]:
        """Our name -> the input's name, of those and of scores."""
        return {key: getattr(self, key) for key in self.required_columns} | (self.scores or {})

    def to_canonical(self) -> dict[str, Any]:
        """The kind, and the options that this kind has."""
        whole = self.model_dump(mode="json", exclude_none=True)
        kept = () if self.kind in ("jsonl", "parquet") else COLUMN_KEYS
        return {key: value for key, value in whole.items() if key not in kept}


class Extract(Model):
    """`extract`: pages become documents; the caps cut hostile pages off before time does.

    Attributes:
        timeout: seconds of CPU a page may take; above what pages within the caps need, so that
            it tells a hang, not a slow machine.
        max_bytes, max_depth, max_nodes, max_attributes: pages with more bytes, nested elements,
            start tags, or attributes on one tag are lost, by cause.
        max_memory: bytes a page may take.
    """

    tool: Text
    timeout: float = Field(default=30.0, gt=0, le=3600)
    max_bytes: Bytes = Field(default=10_000_000, ge=1_000)
    max_depth: int = Field(default=256, ge=10)
    max_nodes: Count = Field(default=25_000, ge=100)
    max_attributes: int = Field(default=512, ge=10)
    max_memory: Bytes = Field(default=2 << 30, ge=64 << 20)


class Language(Model):
    """`language`: identify, then keep.

    Attributes:
        keep: language codes of the model; None keeps all.
        min_score: least score by language; `default` (MIN_SCORE) is for those not named.
        model: path of a fastText model; None is lid.176.ftz.
        characters: identify from the first so many characters; None reads all.
    """

    keep: Names | None = None
    min_score: Annotated[
        dict[str, Score],
        BeforeValidator(_with_default),
    ] = {"default": MIN_SCORE}
    model: Text | None = None
    characters: Count | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _known(self) -> Language:
        for lang in self.min_score:
            if self.keep is not None and lang not in (*self.keep, "default"):
                raise ValueError(f"min_score has {lang!r}, which is not in keep")
        return self


class Dedup(Model):
    """`dedup`: MinHash candidates verified by the Jaccard similarity of word n-grams.

    Attributes:
        ngram: words to a shingle.
        bands, rows: of the signature; bands x rows permutations in all.
        threshold: least Jaccard similarity of a duplicate.
        keep: which of a group stays, before ties are broken by doc_id.
        max_comparisons: of single hashes within one component (some 3 ns each); what is left
            then stays, counted as
            unverified.
    """

    ngram: int = Field(default=5, ge=1, le=100)
    bands: int = Field(default=14, ge=1)
    rows: int = Field(default=8, ge=1)
    threshold: Similarity = 0.8
    keep: Literal["longest", "first", "newest"] = "longest"
    max_comparisons: Count = Field(default=5_000_000_000, ge=1_000)

    @model_validator(mode="after")
    def _size(self) -> Dedup:
        if self.bands * self.rows > 1024:
            raise ValueError(f"bands x rows is {self.bands * self.rows}; at most 1024")
        return self


class CrossDedup(Dedup):
    """`dedup` of the recipe: across corpora, the first of them having priority."""

    corpora: Annotated[Names, Field(min_length=2)]


class Documents(Model):
    """Signals carried into the Parquet of a corpus' kept documents."""

    columns: Annotated[tuple[Text, ...], AfterValidator(_unique)] = ()


class OwnTexts(Model):
    """Texts of a user's own, never trained on.

    Attributes:
        files: paths, globs or URLs of `.txt`, `.md`, JSONL or Parquet files.
        text: of JSONL and Parquet, the column that holds them.
    """

    files: Names
    text: Text = "text"

    @model_validator(mode="before")
    @classmethod
    def _files_alone(cls, value: Any) -> Any:
        return value if isinstance(value, dict | OwnTexts) else {"files": value}


class Heldout(Model):
    """Documents set aside at the source, by a hash, before any stage.

    Attributes:
        share: of each corpus' source records.
        max_documents: at most so many of each corpus.
        threshold, ngram: training documents this similar to a held-out one leave training.
        texts: name -> files of texts of your own, or `{files, text}` with the column that holds
            them: held out like a corpus' documents, all of them.
    """

    share: Share = 0.02
    max_documents: Count = Field(default=200, ge=1)
    threshold: Similarity = 0.8
    ngram: int = Field(default=5, ge=1, le=100)
    texts: dict[Name, OwnTexts] = {}

    @property
    def exact_share(self) -> Fraction:
        """The share as it was written: 2% is 1/50."""
        return Fraction(str(self.share))


class TrainTokenizer(Model):
    """A byte-level BPE trained on the mix's own training documents.

    Attributes:
        vocab: tokens in all, special ones included. 4096 suits models of about 1M parameters:
            a larger table would be most of such a model.
        max_bytes: text it is trained on, at most.
    """

    vocab: Count = Field(default=4096, ge=MIN_VOCAB, le=1 << 20)
    max_bytes: Bytes = Field(default=100_000_000, ge=10_000)


class Tokenizer(Model):
    """Either the path of a `tokenizer.json` or how to train one (the default).

    Attributes:
        eos: with a path, the token that ends a document; None finds it by its usual names.
    """

    path: Text | None = None
    eos: Text | None = None
    train: TrainTokenizer | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_kind(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"path": value}
        if value == {}:
            return {"train": {}}
        if isinstance(value, dict) and "path" in value and "train" in value:
            raise ValueError("has both a path and a training; keep one")
        if isinstance(value, dict) and "eos" in value and "path" not in value:
            raise ValueError("eos goes with a path; a trained tokenizer brings its own")
        return value

    @property
    def training(self) -> TrainTokenizer:
        """How to train it, where there is no path."""
        return self.train or TrainTokenizer()
