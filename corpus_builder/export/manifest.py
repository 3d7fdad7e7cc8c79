"""`corpus-export.json`: what an export was made from, what it holds, and the hash of every file.

Invariant: a function of recipe, input and environment: no times, hosts or absolute paths; two
exports are the same if all agrees but what only writing tells (`counts`, `files`), and complete if
`files` agrees with the disk; `digest` says that it is as it was written.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..fingerprint import fingerprint
from ..store.atomic import json_bytes, read_json, sha256_file
from ..store.errors import IntegrityError
from .folder import files_of

NAME = "corpus-export.json"
FORMAT = 1


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(_Model):
    """A stage that was read."""

    stage: str = Field(description="Folder name: <name>-<first 8 of fingerprint>.")
    fingerprint: str
    content: str = Field(description="Digest of all it holds.")


class TokenizerEntry(_Model):
    """The tokenizer, which lies beside as tokenizer.json."""

    sha256: str
    vocab: int
    eos: str
    eos_id: int


class FileEntry(_Model):
    """A file of the export, this one aside."""

    path: str
    bytes: int
    sha256: str


class ExportManifest(_Model):
    """What an export is."""

    format: int = FORMAT
    to: str
    what: str
    recipe: str
    stages: list[Origin]
    tokenizer: TokenizerEntry
    sequence_length: int
    weights: dict[str, float] = Field(
        description="Of the mix, as requested, or as realised where caps bind; they add up to 1."
    )
    reads: str = Field(description="How a trainer is set up for it.")
    counts: dict[str, Any]
    files: list[FileEntry]
    digest: str = Field(default="", description="Of all else in here.")

    def sealed(self) -> ExportManifest:
        """With its digest."""
        return self.model_copy(
            update={"digest": fingerprint(self.model_dump(mode="json", exclude={"digest"}))}
        )


def entries_of(folder: Path) -> list[FileEntry]:
    """Every file of an export but its manifest, hashed as it lies on disk."""
    return [
        FileEntry(
            path=path.relative_to(folder).as_posix(),
            bytes=path.stat().st_size,
            sha256=sha256_file(path),
        )
        for path in files_of(folder)
        if path != folder / NAME
    ]


def write(folder: Path, manifest: ExportManifest) -> None:
    """Write the manifest, sealed, into the folder of an export."""
    (folder / NAME).write_bytes(json_bytes(manifest.model_dump(mode="json")))


def read(folder: Path) -> ExportManifest | None:
    """The manifest of an export, or None where there is none of this format as it was written."""
    path = folder / NAME
    if not path.is_file():
        return None
    try:
        found = ExportManifest.model_validate(read_json(path))
    except (ValidationError, IntegrityError):
        return None
    return found if found == found.sealed() else None
