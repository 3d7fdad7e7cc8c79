"""Stage manifests: what a sealed stage read, counted and wrote; JSON with a published schema.

Invariant: a manifest is written after everything it names, its sums close, and its bytes are a
function of recipe, input and environment alone: no times, hosts, workers or absolute paths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .atomic import REMOVE, json_bytes, read_json, write_bytes
from .errors import IntegrityError

FORMAT = 1


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_Model):
    """A file of the stage."""

    path: str = Field(description="Relative to the stage's folder, with '/'.")
    bytes: int = Field(ge=0)
    rows: int = Field(ge=0, description="Rows, or sequences; 0 for files without rows.")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    logical: str = Field(
        pattern="^[0-9a-f]{64}$", description="Hash of the content, stable across library versions."
    )


class UnitEntry(_Model):
    """A unit of the stage (a shard, a block, a bucket)."""

    unit: str
    inputs: str = Field(description="Digest of what it was made from.")
    rows_in: int = Field(ge=0)
    rows_out: int = Field(ge=0)
    lost: dict[str, int] = Field(description="Records that ended here, by cause.")
    files: list[FileEntry]


class Counts(_Model):
    """Sums over the units: `records_in == records_out + sum(lost.values())`."""

    records_in: int = Field(ge=0)
    records_out: int = Field(ge=0)
    lost: dict[str, int]


class StageManifest(_Model):
    """Manifest of one sealed stage."""

    format: int = FORMAT
    stage: str = Field(description="Folder name: <name>-<first 8 of fingerprint>.")
    name: str
    corpus: str | None
    fingerprint: str = Field(pattern="^[0-9a-f]{64}$")
    identity: dict[str, Any] = Field(description="Everything the fingerprint covers.")
    upstream: list[str] = Field(description="Folder names of the stages it read.")
    versions: dict[str, str] = Field(description="Program and libraries that wrote it.")
    counts: Counts
    facts: dict[str, Any] = Field(description="Further counts; sums over the units.")
    units: list[UnitEntry]

    def check(self) -> None:
        """Refuse sums that do not close.

        Raises:
            IntegrityError: they do not.
        """
        gone = sum(self.counts.lost.values())
        if self.counts.records_in != self.counts.records_out + gone:
            raise IntegrityError(
                self.stage,
                f"{self.counts.records_in} in, {self.counts.records_out} out, {gone} lost",
                do="this is a fault of the program: please report it with the recipe",
            )


def write_manifest(folder: Path, manifest: StageManifest) -> None:
    """Check and write `manifest.json`, the commit point of the stage; identical bytes stay put."""
    manifest.check()
    content = json_bytes(manifest.model_dump(mode="json"))
    path = folder / "manifest.json"
    if not path.exists() or path.read_bytes() != content:
        write_bytes(path, content)


def read_manifest(folder: Path) -> StageManifest | None:
    """The stage's manifest, or None where it is not sealed.

    Raises:
        IntegrityError: what is there is no manifest.
    """
    path = folder / "manifest.json"
    if not path.exists():
        return None
    try:
        return StageManifest.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        what = f"is no manifest: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise IntegrityError(str(path), what, do=REMOVE) from error
