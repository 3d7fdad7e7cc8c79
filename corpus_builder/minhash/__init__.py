"""Near-duplicate detection as pure functions over numpy and Arrow: no file is read or written.

The path: `shingles` (words, shingle hashes) -> `signatures` -> `banding` (edges) -> `components`
-> `verify` (who is dropped, by true Jaccard). Beside it: `heldout` (exact search against a small
set) and `digests` (exact duplicates). Nothing is imported here: the modules compile on import.
"""
