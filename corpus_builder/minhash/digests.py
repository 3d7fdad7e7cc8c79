"""Digests of texts, by which exact duplicates are found.

Invariant: cryptographic (BLAKE2b, RFC 7693), so equal digests are taken as equal texts; a digest
is of the UTF-8 bytes as they are: no case, space or Unicode form is folded.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from corpus_builder.kernels.buffers import text_buffers


def text_digests(texts: pa.LargeStringArray) -> npt.NDArray[np.uint64]:
    """BLAKE2b-128 of every text: uint64[n, 2], the digest's 16 bytes as two little-endian words."""
    data, bounds = text_buffers(texts)
    view = data.data
    ends = bounds.tolist()
    digests = b"".join(
        blake2b(view[start:end], digest_size=16).digest() for start, end in pairwise(ends)
    )
    return np.frombuffer(digests, "<u8").astype(np.uint64).reshape(-1, 2)
