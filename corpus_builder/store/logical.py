"""Logical hash: what an Arrow batch says, independent of how a file stores it.

Invariant: equal values of equal types give equal hashes across library versions, compressions,
buffer slices and dictionary encodings.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa


class LogicalHash:
    """SHA-256 over the values of a stream of batches of one schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self._hash = hashlib.sha256()
        for field in schema:
            self._hash.update(f"{field.name}:{_type_name(field.type)}\n".encode())

    def update(self, batch: pa.RecordBatch) -> None:
        """Add a batch; batch borders are part of the content."""
        self._hash.update(len(batch).to_bytes(8, "little"))
        for column in batch.columns:
            _update(self._hash, column)

    def hexdigest(self) -> str:
        """Hex digest of all batches so far."""
        return self._hash.hexdigest()


def _type_name(kind: pa.DataType) -> str:
    if pa.types.is_dictionary(kind):
        return _type_name(kind.value_type)
    names = {"large_string": "string", "large_binary": "binary"}
    return names.get(str(kind), str(kind))


def _update(digest: Any, array: pa.Array) -> None:
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    # Every array opens with a mark, so that no values can be read as those of other arrays.
    marks = array.is_valid().to_numpy(zero_copy_only=False) if array.null_count else ()
    digest.update(b"n" + np.packbits(marks).tobytes() if array.null_count else b"v")
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        wide = pa.large_string() if pa.types.is_string(kind) else pa.large_binary()
        _update_variable(digest, array.cast(wide))
    elif pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        _update_variable(digest, array)
    elif pa.types.is_fixed_size_binary(kind):
        _update_variable(digest, array.cast(pa.binary(-1)).cast(pa.large_binary()))
    elif (
        pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    ):
        lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
        digest.update(np.ascontiguousarray(lengths, "<i8").tobytes())
        _update(digest, array.flatten())
    elif pa.types.is_boolean(kind):
        digest.update(np.packbits(array.fill_null(False).to_numpy(zero_copy_only=False)).tobytes())
    else:
        values = array.fill_null(0) if array.null_count else array
        numbers = values.to_numpy(zero_copy_only=False)
        digest.update(np.ascontiguousarray(numbers, numbers.dtype.newbyteorder("<")).data)


def _update_variable(digest: Any, array: pa.Array) -> None:
    if array.null_count:
        empty = "" if pa.types.is_large_string(array.type) else b""
        array = array.fill_null(empty)
    offsets = np.frombuffer(array.buffers()[1], np.int64)[
        array.offset : array.offset + len(array) + 1
    ]
    digest.update(np.diff(offsets).astype("<i8").tobytes())
    data = array.buffers()[2]
    if data is not None and len(offsets):
        digest.update(memoryview(data)[offsets[0] : offsets[-1]])
