"""Compiled loops over the buffers of Arrow string arrays; no Python object per word or line.

Invariant: kernels take UTF-8 bytes and row offsets, give integer counts or bytes, release the GIL,
never read outside a row (malformed UTF-8 included) and know nothing of files. Machine code is
cached per source file; after editing `utf8.py` or `hashing.py`, which the others inline, delete
the cached files, for the compiler compares only the caller's source.
"""
