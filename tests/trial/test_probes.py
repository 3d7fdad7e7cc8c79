"""Files of minimal pairs: read and checked before anything is built."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from corpus_builder.recipe_trial import Trial
from corpus_builder.store.errors import DataError, RecipeError
from corpus_builder.trial.probes import probes_of, read_pairs

GOOD = {"sentence_good": "He sees.", "sentence_bad": "He see.", "UID": "agreement"}


def probes(path: Path) -> Any:
    return probes_of(Trial(model="1M", pairs={"order": str(path)}))


def lines(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_file_is_known_by_its_bytes(tmp_path: Path) -> None:
    path = lines(tmp_path, GOOD)
    (probe,) = probes(path)
    assert read_pairs(probe).to_pylist() == [GOOD]
    path.write_text("")
    with pytest.raises(DataError, match="changed while the trial was on"):
        read_pairs(probe)


@pytest.mark.parametrize(
    ("row", "error", "said"),
    [
        ({"text": "x"}, RecipeError, r"trial\.pairs\.order .*: columns text"),
        (GOOD | {"sentence_bad": None}, DataError, r"row 1: sentence_bad is None"),
        (GOOD | {"UID": None}, DataError, r"row 1: UID is None"),
        (
            GOOD | {"sentence_bad": "He sees."},
            DataError,
            "row 1: both sentences are 'He sees.'; remove it",
        ),
    ],
)
def test_what_is_no_pair_is_named(
    row: dict[str, Any], error: type[Exception], said: str, tmp_path: Path
) -> None:
    rows = [row] if error is RecipeError else [GOOD, row]
    with pytest.raises(error, match=said):
        probes(lines(tmp_path, *rows))


def test_sentences_that_are_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 0: sentence_good is 7"):
        probes(lines(tmp_path, GOOD | {"sentence_good": 7}))


def test_no_pairs_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = tmp_path / "pairs.parquet"
    pq.write_table(pa.table({name: pa.array([], pa.string()) for name in GOOD}), path)
    with pytest.raises(DataError, match="no pairs"):
        probes(path)


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs.jsonl"])
def test_what_is_no_table_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"PAR1 is not enough")
    with pytest.raises(DataError, match="cannot be read"):
        probes(path)
