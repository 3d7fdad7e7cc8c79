"""The logical hash: equal for equal values however they are stored, different for any other."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from corpus_builder.store.logical import LogicalHash

TEXTS = st.lists(st.none() | st.text(max_size=6), max_size=12)
NUMBERS = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=12)
FLOATS = st.lists(st.none() | st.floats(allow_nan=False), max_size=12)
FLAGS = st.lists(st.none() | st.booleans(), max_size=20)
LISTS = st.lists(st.none() | st.lists(st.integers(0, 2**64 - 1), max_size=4), max_size=8)


def digest(*arrays: pa.Array, names: str = "abcdef") -> str:
    """Hash of one batch of these columns."""
    batch = pa.RecordBatch.from_arrays(list(arrays), list(names[: len(arrays)]))
    found = LogicalHash(batch.schema)
    found.update(batch)
    return found.hexdigest()


def sliced(array: pa.Array) -> pa.Array:
    """The same values inside a longer buffer: an offset, and values around it."""
    around = array.slice(0, min(3, len(array)))
    joined = pa.concat_arrays([around, array, around])
    return joined.slice(len(around), len(array))


CASES = [
    (TEXTS, pa.string()), (TEXTS, pa.large_string()), (NUMBERS, pa.int64()),
    (FLOATS, pa.float64()), (FLAGS, pa.bool_()), (LISTS, pa.large_list(pa.uint64())),
]  # fmt: skip


@pytest.mark.parametrize(("values", "kind"), CASES, ids=[str(kind) for _, kind in CASES])
@given(data=st.data())
def test_slices_hash_as_copies(
    values: st.SearchStrategy, kind: pa.DataType, data: st.DataObject
) -> None:
    array = pa.array(data.draw(values), kind)
    assert digest(sliced(array)) == digest(array)


@given(TEXTS)
def test_dictionary_and_width_of_offsets_do_not_count(values: list[str | None]) -> None:
    array = pa.array(values, pa.string())
    expected = digest(array)
    assert digest(array.cast(pa.large_string())) == expected
    assert digest(array.dictionary_encode()) == expected
    assert digest(sliced(array.dictionary_encode())) == expected


@pytest.mark.parametrize(("values", "kind"), CASES, ids=[str(kind) for _, kind in CASES])
@given(data=st.data())
def test_other_values_hash_otherwise(
    values: st.SearchStrategy, kind: pa.DataType, data: st.DataObject
) -> None:
    one, other = data.draw(values), data.draw(values)
    assume(repr(one) != repr(other))  # -0.0 and 0.0 are different values
    assert digest(pa.array(one, kind)) != digest(pa.array(other, kind))


@given(TEXTS, TEXTS)
def test_text_does_not_flow_from_column_to_column(one: list, other: list) -> None:
    size = min(len(one), len(other))
    a, b = pa.array(one[:size], pa.string()), pa.array(other[:size], pa.string())
    assume(not a.equals(b))
    assert digest(a, b) != digest(b, a)


def test_a_null_is_no_empty_value() -> None:
    for empty, kind in (
        ("", pa.string()),
        (0, pa.int64()),
        (False, pa.bool_()),
        ([], pa.list_(pa.int8())),
    ):
        assert digest(pa.array([empty], kind)) != digest(pa.array([None], kind))


def test_the_mark_of_nulls_cannot_be_read_as_a_length() -> None:
    """The byte that opens a column with nulls is also the low byte of a length of 110."""
    one = [pa.array([None], pa.string()), pa.array(["x" * 100 + "\0" * 8], pa.string())]
    other = [pa.array(["\0\0l" + "\0" * 7 + "x" * 100]), pa.array([""])]
    assert digest(*one) != digest(*other)


def test_names_types_and_borders_of_batches_count() -> None:
    array = pa.array([1, 2], pa.int64())
    assert digest(array, names="a") != digest(array, names="b")
    assert digest(array) != digest(array.cast(pa.int32()))
    schema = pa.schema([("a", pa.int64())])
    apart, whole = LogicalHash(schema), LogicalHash(schema)
    for part in (array.slice(0, 1), array.slice(1)):
        apart.update(pa.RecordBatch.from_arrays([part], schema=schema))
    whole.update(pa.RecordBatch.from_arrays([array], schema=schema))
    assert apart.hexdigest() != whole.hexdigest()


def test_fixed_size_lists_and_binaries() -> None:
    tokens = pa.FixedSizeListArray.from_arrays(pa.array(range(8), pa.uint16()), 4)
    assert digest(tokens.slice(1)) == digest(pa.array([[4, 5, 6, 7]], pa.list_(pa.uint16(), 4)))
    ids = pa.array([b"0" * 16, None, b"1" * 16], pa.binary(16))
    assert digest(ids.slice(1)) == digest(pa.array([None, b"1" * 16], pa.binary(16)))
    assert digest(ids.slice(0, 1)) != digest(ids.slice(2))


def test_the_hash_is_pinned() -> None:
    """It must hold across versions of libraries, so it is a number in a test."""
    batch = pa.table(
        {
            "text": pa.array(["ä", None, ""], pa.large_string()),
            "count": pa.array([1, None, -3], pa.int64()),
            "share": pa.array([0.5, 1e300, None], pa.float64()),
            "flag": pa.array([True, None, False]),
            "list": pa.array([[1], None, []], pa.large_list(pa.uint64())),
        }
    ).to_batches()[0]
    found = LogicalHash(batch.schema)
    found.update(batch)
    assert found.hexdigest() == PINNED


PINNED = "ff87aeaabb120f9b6667988ee4b09f62f47b24d8fa57d4c69ed19d2bdfe3c24a"
