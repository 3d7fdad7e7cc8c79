"""Commit records: one small JSON file says that a unit of a stage is done, and what it holds.

Invariant: a record appears after every file it names, and names the digest of what it was made
from; a unit counts as done only while that digest is still the one upstream.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from .atomic import REMOVE, json_bytes, read_json, write_json
from .errors import IntegrityError
from .tables import FileInfo

Counts = dict[str, int]


@dataclass(frozen=True)
class UnitRecord:
    """What one unit (a shard, a band, a block) of a stage came to.

    Attributes:
        unit: its name.
        inputs: digest of the records of what it read ("" for readers of sources).
        rows_in: records that entered, alive.
        rows_out: records that leave alive; `rows_in == rows_out + sum(lost.values())`.
        lost: records that ended here, by cause.
        facts: whatever else the stage counts; integers and strings, nested mappings allowed.
        files: what was written.
    """

    unit: str
    inputs: str
    rows_in: int
    rows_out: int
    lost: Counts
    facts: dict[str, Any] = field(default_factory=dict)
    files: tuple[FileInfo, ...] = ()

    def check(self, where: str) -> None:
        """Refuse a record whose sums do not close.

        Raises:
            IntegrityError: `rows_in` is not `rows_out` plus all losses.
        """
        gone = sum(self.lost.values())
        if self.rows_in != self.rows_out + gone:
            raise IntegrityError(
                f"{where}, {self.unit}",
                f"{self.rows_in} in, but {self.rows_out} out + {gone} lost by cause",
                do="this is a fault of the program: please report it with the recipe",
            )

    @property
    def digest(self) -> str:
        """Hash of what the unit holds (logical, so equal across library versions)."""
        content = [self.rows_in, self.rows_out, self.lost, self.facts]
        content.append([[file.path, file.logical] for file in self.files])
        return sha256(json_bytes(content)).hexdigest()


def record_path(folder: Path, unit: str) -> Path:
    """Where a unit's record lies in its stage's folder."""
    return folder / "records" / f"{unit}.json"


def write_record(folder: Path, record: UnitRecord) -> None:
    """Check the sums and commit the record: from here on the unit is done."""
    record.check(folder.name)
    write_json(record_path(folder, record.unit), asdict(record))


def drop_record(folder: Path, unit: str) -> None:
    """Take a unit's record away before its files are replaced: whatever happens then, it is due."""
    record_path(folder, unit).unlink(missing_ok=True)


def read_record(folder: Path, unit: str) -> UnitRecord | None:
    """The unit's record, or None where it is not done.

    Raises:
        IntegrityError: what is there is no record.
    """
    path = record_path(folder, unit)
    if not path.exists():
        return None
    raw = read_json(path)
    try:
        raw["files"] = tuple(FileInfo(**file) for file in raw["files"])
        return UnitRecord(**raw)
    except (KeyError, TypeError) as error:
        raise IntegrityError(str(path), f"is no record ({error})", do=REMOVE) from error


def combine_digests(digests: list[str]) -> str:
    """One digest for an ordered list of inputs."""
    return sha256("\n".join(digests).encode()).hexdigest()


def add_counts(into: dict[str, Any], other: dict[str, Any]) -> None:
    """Add nested integer counts of `other` to `into`; strings must agree."""
    for key, value in other.items():
        if isinstance(value, dict):
            add_counts(into.setdefault(key, {}), value)
        elif isinstance(value, int):
            into[key] = into.get(key, 0) + value
        elif into.setdefault(key, value) != value:
            raise IntegrityError(key, f"units disagree: {into[key]!r} and {value!r}")
