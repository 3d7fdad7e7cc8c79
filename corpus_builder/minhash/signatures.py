"""MinHash signatures by affine permutations of 32 bits.

Invariant: bit-identical to datasketch >= 2.0, `MinHash(num_perm, seed=seed, scheme="affine32",
hashfunc=identity)` updated with `shingle_hash >> 32` of each shingle, so signatures interoperate.
A document without shingles has all values 0xFFFFFFFF, as datasketch's empty MinHash.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt
from numba import njit

UInt32s = npt.NDArray[np.uint32]

_HASHES_IN = nb.types.Array(nb.uint64, 1, "C", readonly=True)
_OFFSETS_IN = nb.types.Array(nb.int64, 1, "C", readonly=True)
_PARAMETERS_IN = nb.types.Array(nb.uint32, 1, "C", readonly=True)

_BLOCK = 2048
"""Shingles taken at a time: 8 KiB of premixed hashes stay in the first-level cache."""
_LANES = 64
"""Blocks are padded to a multiple of this, so that the vector loop has no remainder."""


@njit(nb.uint32(nb.uint32), cache=True)
def _fmix32(h: np.uint32) -> np.uint32:
    """The 32-bit finaliser of MurmurHash3 (Appleby, 2011): a bijection."""
    h = np.uint32(h ^ (h >> np.uint32(16)))
    h = np.uint32(h * np.uint32(0x85EBCA6B))
    h = np.uint32(h ^ (h >> np.uint32(13)))
    h = np.uint32(h * np.uint32(0xC2B2AE35))
    return np.uint32(h ^ (h >> np.uint32(16)))


@njit(nb.int64(_HASHES_IN, nb.int64, nb.int64, nb.uint32[::1]), cache=True)
def _premix(hashes: npt.NDArray[np.uint64], start: int, end: int, block: UInt32s) -> int:
    """Fill `block` from hashes[start:end], padded with copies of the first; return its length."""
    size = end - start
    for i in range(size):
        block[i] = _fmix32(np.uint32(hashes[start + i] >> np.uint64(32)))
    padded = (size + _LANES - 1) // _LANES * _LANES
    for i in range(size, padded):
        block[i] = block[0]
    return padded


@njit(
    nb.void(nb.uint32[::1], nb.int64, _PARAMETERS_IN, _PARAMETERS_IN, nb.uint32[::1]),
    cache=True,
)
def _lower(block: UInt32s, size: int, a: UInt32s, b: UInt32s, signature: UInt32s) -> None:
    """Lower each signature value to the least a[k] * h + b[k] mod 2**32 in the block."""
    for k in range(len(a)):
        ak, bk, least = a[k], b[k], signature[k]
        for i in range(size // _LANES * _LANES):
            least = min(least, np.uint32(ak * block[i] + bk))
        signature[k] = least


@njit(
    nb.void(_HASHES_IN, _OFFSETS_IN, _PARAMETERS_IN, _PARAMETERS_IN, nb.uint32[:, ::1]),
    cache=True,
)
def _sign_all(
    hashes: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    a: UInt32s,
    b: UInt32s,
    signatures: UInt32s,
) -> None:
    block = np.empty(_BLOCK, np.uint32)
    for d in range(len(offsets) - 1):
        signatures[d, :] = np.uint32(0xFFFFFFFF)
        for start in range(offsets[d], offsets[d + 1], _BLOCK):
            size = _premix(hashes, start, min(start + _BLOCK, offsets[d + 1]), block)
            _lower(block, size, a, b, signatures[d])


def permutations(num_perm: int, seed: int) -> tuple[UInt32s, UInt32s]:
    """Multipliers (odd) and addends, uint32[num_perm] each, drawn as datasketch 2.0 draws them."""
    stream = np.random.RandomState(seed)
    a = stream.randint(0, 1 << 31, num_perm, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    b = stream.randint(0, 1 << 32, num_perm, dtype=np.uint32)
    return a, b


def signatures(
    hashes: npt.NDArray[np.uint64],
    offsets: npt.NDArray[np.int64],
    num_perm: int,
    seed: int = 1,
) -> UInt32s:
    """MinHash signatures (Broder, 1997) of n shingle sets.

    Args:
        hashes: uint64[s], as of `shingles.shingle_hashes`; their upper 32 bits are used.
        offsets: int64[n + 1] into `hashes`.
        num_perm: values a signature, bands x rows.
        seed: of the permutations.

    Returns:
        uint32[n, num_perm]; a row is all 0xFFFFFFFF where a document has no shingles.
    """
    if num_perm < 1:
        raise ValueError(f"num_perm is {num_perm}; a signature has at least one value")
    a, b = permutations(num_perm, seed)
    out = np.empty((len(offsets) - 1, num_perm), np.uint32)
    _sign_all(np.ascontiguousarray(hashes), np.ascontiguousarray(offsets), a, b, out)
    return out
