"""The two buffers of an Arrow string array as NumPy arrays that share its memory."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from corpus_builder.store.errors import DataError


def text_buffers(texts: pa.LargeStringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """UTF-8 bytes uint8[total] and offsets int64[rows + 1]; row i is `data[o[i]:o[i + 1]]`.

    Slices are honoured by the offsets, so `data` may hold more than the rows. Both are views
    (a copy of the offsets only where they are misaligned).

    Raises:
        TypeError: `texts` is not a large_string array.
        DataError: a row is null.
    """
    if not isinstance(texts, pa.Array) or texts.type != pa.large_string():
        raise TypeError(f"texts must be a large_string array, not {getattr(texts, 'type', texts)}")
    if texts.null_count:
        raise DataError(
            "text",
            f"{texts.null_count} of {len(texts)} documents have no text",
            do="drop or fill them where they are read",
        )
    _, offset_buffer, data_buffer = texts.buffers()
    if len(texts) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    offsets = np.frombuffer(offset_buffer, np.int64, count=len(texts) + 1, offset=texts.offset * 8)
    if not offsets.flags.aligned:
        offsets = offsets.copy()
    if data_buffer is None or data_buffer.size == 0:
        return np.empty(0, np.uint8), offsets
    return np.frombuffer(data_buffer, np.uint8), offsets


def text_array(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> pa.LargeStringArray:
    """The inverse: a large_string array over `data` (valid UTF-8) without a copy."""
    return pa.LargeStringArray.from_buffers(
        len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(data)
    )
