"""Keyed hashes of `doc_id`: who is held out, and the order of documents in the token store.

Invariant: pure functions of the 16 bytes and a salt; the two uses have different salts, so being
held out says nothing about the order.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pyarrow as pa

UInt64 = npt.NDArray[np.uint64]
HELDOUT_SALT = 0x9E3779B97F4A7C15
ORDER_SALT = 0xC2B2AE3D27D4EB4F


def keyed_hash(doc_ids: pa.Array, salt: int) -> UInt64:
    """64-bit hash of each `doc_id` (binary(16), no nulls): splitmix64's mix over both halves."""
    width = 16
    data = np.frombuffer(doc_ids.buffers()[1] or b"", np.uint64)
    start = doc_ids.offset * width // 8
    halves = data[start : start + 2 * len(doc_ids)].reshape(-1, 2)
    mixed = _mix(halves[:, 0] ^ np.uint64(salt))
    return _mix(mixed ^ halves[:, 1])


def _mix(value: UInt64) -> UInt64:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


def share_threshold(share: Fraction, max_documents: int, candidates: int) -> int:
    """Hash limit under which a record is held out: the share, or less where that is too many.

    Depends on how many records the source holds, not on what filters leave of them.
    """
    if not candidates:
        return 0
    return int(min(share, Fraction(max_documents, candidates), Fraction(1)) * 2**64)


def below(keys: UInt64, threshold: int) -> npt.NDArray[np.bool_]:
    """`keys < threshold`, for thresholds up to and including 2**64."""
    if threshold >= 2**64:
        return np.ones(len(keys), bool)
    return keys < np.uint64(threshold)
