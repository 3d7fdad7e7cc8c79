"""Tables of ours: deterministic bytes, one row group a batch, whole or not there."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.store.arrow_streams import SequenceFiles, StreamWriter
from corpus_builder.store.atomic import sha256_file
from corpus_builder.store.errors import IntegrityError
from corpus_builder.store.logical import LogicalHash
from corpus_builder.store.tables import TableWriter, read_batches, read_table, write_table

SCHEMA = pa.schema([("doc_id", pa.binary(16)), ("text", pa.large_string()), ("n", pa.int64())])


def batch(start: int, rows: int) -> pa.RecordBatch:
    numbers = range(start, start + rows)
    return pa.RecordBatch.from_pydict(
        {
            "doc_id": [n.to_bytes(16, "big") for n in numbers],
            "text": [f"text {n}" for n in numbers],
            "n": [n if n % 3 else None for n in numbers],
        },
        schema=SCHEMA,
    )


@given(st.lists(st.integers(0, 50), max_size=6))
def test_the_same_batches_give_the_same_bytes_and_come_back_as_written(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    batches = [batch(100 * place, size) for place, size in enumerate(sizes)]
    one = write_table(folder, "data/one.parquet", SCHEMA, batches)
    other = write_table(folder, "data/other.parquet", SCHEMA, batches)
    assert (one.sha256, one.bytes, one.logical) == (other.sha256, other.bytes, other.logical)
    assert one.sha256 == sha256_file(folder / one.path)
    assert one.rows == sum(sizes)
    assert list(read_batches(folder / one.path)) == [part for part in batches if len(part)]


def test_a_row_group_is_a_batch(tmp_path: Path) -> None:
    write_table(tmp_path, "x.parquet", SCHEMA, [batch(0, 5), batch(5, 2000), batch(2005, 1)])
    metadata = pq.ParquetFile(tmp_path / "x.parquet").metadata
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [5, 2000, 1]


def test_the_logical_hash_of_a_table_is_that_of_its_batches(tmp_path: Path) -> None:
    batches = [batch(0, 7), batch(7, 3)]
    expected = LogicalHash(SCHEMA)
    for part in batches:
        expected.update(part)
    assert write_table(tmp_path, "x.parquet", SCHEMA, batches).logical == expected.hexdigest()


def test_an_exception_discards_the_table(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), TableWriter(tmp_path, "data/x.parquet", SCHEMA) as writer:
        writer.write(batch(0, 5))
        raise RuntimeError
    assert list((tmp_path / "data").iterdir()) == []


def test_a_table_is_not_there_before_it_is_closed(tmp_path: Path) -> None:
    with TableWriter(tmp_path, "x.parquet", SCHEMA) as writer:
        writer.write(batch(0, 5))
        assert not (tmp_path / "x.parquet").exists()
        writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_columns_are_read_alone_or_not_at_all(tmp_path: Path) -> None:
    write_table(tmp_path, "x.parquet", SCHEMA, [batch(0, 5), batch(5, 2)])
    assert [part.schema.names for part in read_batches(tmp_path / "x.parquet", ["n"])] == [
        ["n"]
    ] * 2
    assert [len(part) for part in read_batches(tmp_path / "x.parquet", [])] == [5, 2]
    assert read_table(tmp_path / "x.parquet", ["text"]).num_rows == 7


@pytest.mark.parametrize("content", [None, b"", b"no parquet at all"])
def test_a_missing_or_damaged_table_is_an_error_never_empty(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "x.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(IntegrityError, match="cannot be read") as raised:
        list(read_batches(path))
    assert "delete the stage's folder" in raised.value.do


# --- streams of sequences ----------------------------------------------------------------------

TOKENS = pa.schema([("input_ids", pa.list_(pa.uint16(), 4))])


def sequences(start: int, rows: int) -> pa.RecordBatch:
    flat = pa.array(range(4 * start, 4 * (start + rows)), pa.uint16())
    return pa.RecordBatch.from_arrays([pa.FixedSizeListArray.from_arrays(flat, 4)], schema=TOKENS)


@given(st.lists(st.integers(0, 23), max_size=8), st.integers(1, 9))
def test_stream_batches_have_exact_sizes_and_bytes_do_not_depend_on_the_writes(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], width: int
) -> None:
    folder, total = tmp_path_factory.mktemp("streams"), sum(sizes)
    with StreamWriter(folder, "a.arrow", TOKENS, width) as writer:
        for place, size in enumerate(sizes):
            writer.write(sequences(sum(sizes[:place]), size))
        one = writer.close()
    with StreamWriter(folder, "b.arrow", TOKENS, width) as writer:
        writer.write(sequences(0, total))
        other = writer.close()
    assert (one.sha256, one.logical, one.rows) == (other.sha256, other.logical, total)
    lengths = [len(part) for part in pa.ipc.open_stream(folder / "a.arrow")]
    assert lengths == [width] * (total // width) + ([total % width] if total % width else [])


def test_sequences_are_taken_by_number_across_files_and_batches(tmp_path: Path) -> None:
    for name, start, rows in (("a", 0, 25), ("b", 25, 7)):
        with StreamWriter(tmp_path, f"{name}.arrow", TOKENS, 10) as writer:
            writer.write(sequences(start, rows))
            writer.close()
    files = SequenceFiles([tmp_path / "a.arrow", tmp_path / "b.arrow"])
    import numpy as np

    rows = np.array([31, 0, 9, 10, 24, 25, 9])
    assert files.rows == 32
    assert files.take(rows)[:, 0].tolist() == (4 * rows).tolist()


def test_a_stream_cut_short_is_an_error(tmp_path: Path) -> None:
    with StreamWriter(tmp_path, "a.arrow", TOKENS, 10) as writer:
        writer.write(sequences(0, 30))
        writer.close()
    whole = (tmp_path / "a.arrow").read_bytes()
    (tmp_path / "a.arrow").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(IntegrityError):
        SequenceFiles([tmp_path / "a.arrow"])


def test_an_exception_discards_the_stream(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), StreamWriter(tmp_path, "a.arrow", TOKENS, 10):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
