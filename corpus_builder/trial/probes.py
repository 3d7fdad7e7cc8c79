"""Files of minimal pairs that a trial names.

Invariant: a file is read whole and checked before anything is built; one that changes later is
refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.json as json_reader
import pyarrow.parquet as pq

from ..recipe_trial import Trial
from ..store.atomic import sha256_file
from ..store.errors import DataError
from ..train.pairs import pair_columns


@dataclass(frozen=True)
class Probe:
    """A file of minimal pairs under a name, and the hash of its bytes."""

    name: str
    path: Path
    sha256: str


def probes_of(trial: Trial) -> tuple[Probe, ...]:
    """The files of minimal pairs that a trial names; they are there (`check_trial_files`).

    Raises:
        RecipeError: one has other columns.
        DataError: one cannot be read, has no pairs, or a pair that is not text.
    """
    found = []
    for name, text in trial.pairs.items():
        path, where = Path(text), f"trial.pairs.{name}"
        probe = Probe(name, path.absolute(), sha256_file(path))
        pair_columns(read_pairs(probe), f"{where} ({text})")
        found.append(probe)
    return tuple(found)


def read_pairs(probe: Probe) -> pa.Table:
    """A table of minimal pairs from Parquet or JSONL.

    Raises:
        DataError: it cannot be read, or is not the file that it was.
    """
    if sha256_file(probe.path) != probe.sha256:
        raise DataError(str(probe.path), "changed while the trial was on", do="run again")
    try:
        if probe.path.suffix == ".parquet":
            return pq.read_table(probe.path)
        return json_reader.read_json(probe.path)
    except (pa.ArrowException, OSError) as error:
        allowed = "allowed: Parquet, or JSON Lines"
        raise DataError(str(probe.path), f"cannot be read: {error}", allowed=allowed) from error
