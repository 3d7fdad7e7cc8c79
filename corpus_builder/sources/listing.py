"""What there is to read: patterns to files, files to splits, splits to shard names.

Invariant: listings are sorted by name; names, sizes and so splits and shard names depend on what
the files are, never on where they lie; making splits reads no data.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import fsspec
from fsspec.core import url_to_fs

from corpus_builder.sources.records import InputFile, Split
from corpus_builder.store.errors import SourceError

SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "warc": (".warc", ".warc.gz"),
    "jsonl": (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson", ".ndjson.gz", ".ndjson.zst"),
    "parquet": (".parquet",),
}
"""Format -> endings of the files taken from a folder that is given whole."""

_ETAG_KEYS = ("ETag", "etag", "e_tag", "md5", "contentHash", "LastModified", "mtime", "created")
_WILDCARD = re.compile(r"[*?\[]")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LONGEST_BASE = 80


def list_inputs(patterns: Sequence[str], suffixes: tuple[str, ...]) -> list[InputFile]:
    """The files that `patterns` name, sorted by name.

    Args:
        patterns: globs (`**` crosses folders), folders (all files in them that end in `suffixes`,
            recursively), files; local paths or fsspec URLs.
        suffixes: endings of the format's files, for folders only.

    Raises:
        SourceError: a pattern matches nothing, a file cannot be read or has no known size, or two
            different files get the same name.
    """
    found: dict[str, tuple[str, dict[str, Any], Any]] = {}
    roots: dict[int, list[str]] = {}
    for pattern in patterns:
        fs, path = url_to_fs(os.path.expanduser(pattern))  # noqa: PTH111
        root, infos = _match(fs, path, pattern, suffixes)
        roots.setdefault(id(fs), []).append(root)
        found.update({_url(fs, info["name"]): (info["name"], info, fs) for info in infos})
    common = {key: posixpath.commonpath(paths) for key, paths in roots.items()}
    files = [
        InputFile(
            name=posixpath.relpath(path, common[id(fs)] or "."),
            url=url,
            size=_size(url, info),
            etag=_etag(fs, path, info),
        )
        for url, (path, info, fs) in found.items()
    ]
    files.sort(key=lambda file: (file.name, file.url))
    _refuse_same_names(files)
    return files


def _match(
    fs: Any, path: str, pattern: str, suffixes: tuple[str, ...]
) -> tuple[str, list[dict[str, Any]]]:
    """The wildcard-free root of a pattern, and what fsspec knows of each file it matches."""
    try:
        if fs.isfile(path):
            return posixpath.dirname(path), [fs.info(path)]
        if fs.isdir(path):
            infos = fs.find(path, detail=True).values()
            root = path.rstrip("/")
            infos = [info for info in infos if info["name"].endswith(suffixes)]
        else:
            wildcard = _WILDCARD.search(path)
            root = posixpath.dirname(path[: wildcard.start()] if wildcard else path)
            matched = fs.glob(path, detail=True) if wildcard else {}
            infos = [info for info in matched.values() if info["type"] == "file"]
    except PermissionError as error:
        raise SourceError(pattern, "no permission to list it", do="grant read access") from error
    if not infos:
        raise _nothing(fs, path, pattern, suffixes)
    return root, infos


def _nothing(fs: Any, path: str, pattern: str, suffixes: tuple[str, ...]) -> SourceError:
    """The error for a pattern without files, with the nearest name that does exist."""
    if fs.isdir(path):
        allowed = f"a folder counts its files ending in {', '.join(suffixes)}"
        return SourceError(pattern, "no such file in this folder", allowed=allowed, do="use a glob")
    folder, rest = posixpath.split(path.rstrip("/"))
    while folder not in ("", "/") and (_WILDCARD.search(folder) or not fs.exists(folder)):
        folder, rest = posixpath.split(folder)
    names: list[str] = []
    if fs.isdir(folder or "."):
        names = [posixpath.basename(name.rstrip("/")) for name in fs.ls(folder, detail=False)]
    near = difflib.get_close_matches(rest, names, n=1, cutoff=0.4)
    hint = f"nearest there is: {posixpath.join(folder, near[0])}" if near else ""
    what = "matches no file" if _WILDCARD.search(path) else "not found"
    where = f"check the path; {folder} has {len(names)} entries" if names else "check the path"
    return SourceError(pattern, what, allowed=hint, do=where)


def _url(fs: Any, path: str) -> str:
    return path if _is_local(fs) else str(fs.unstrip_protocol(path))


def _is_local(fs: Any) -> bool:
    return isinstance(fs, fsspec.get_filesystem_class("file"))


def _size(url: str, info: Mapping[str, Any]) -> int:
    size = info.get("size")
    if size is None:
        raise SourceError(url, "the server does not tell its size", do="download the file first")
    return int(size)


def _etag(fs: Any, path: str, info: Mapping[str, Any]) -> str:
    if _is_local(fs):
        if not os.access(path, os.R_OK):
            raise SourceError(path, "no permission to read", do="grant read access")
        return str(Path(path).stat().st_mtime_ns)
    return next((str(info[key]) for key in _ETAG_KEYS if info.get(key)), "")


def _refuse_same_names(files: Sequence[InputFile]) -> None:
    for before, file in pairwise(files):
        if before.name == file.name:
            what = f"two inputs have the name {file.name!r} ({before.url} is the other)"
            raise SourceError(file.url, what, do="give one pattern above both, or two corpora")


def make_splits(files: Sequence[InputFile], kind: str, split_size: int) -> list[Split]:
    """Cut each file into equal ranges of about `split_size` bytes, from its size alone.

    A compressed JSONL file stays whole: there is no way into its middle.
    """
    splits = []
    for file in files:
        whole = kind == "jsonl" and file.name.endswith((".gz", ".zst"))
        count = 1 if whole else max(1, round(file.size / split_size))
        edges = [file.size * i // count for i in range(count + 1)]
        splits += [Split(file, i, count, *edge) for i, edge in enumerate(pairwise(edges))]
    return splits


def shard_name(split: Split) -> str:
    """A file name for what comes of `split`: readable, safe anywhere, the same wherever it lies.

    The base name, 48 bits of a hash of name and size (so that the many `part-00000` of a data set
    stay apart), and `-index-of-count`.
    """
    file = split.file
    base = _UNSAFE.sub("_", posixpath.basename(file.name)).lstrip(".")[:_LONGEST_BASE]
    identity = f"{file.name}\0{file.size}".encode(errors="surrogateescape")
    digest = hashlib.blake2b(identity, digest_size=6).hexdigest()
    return f"{base}-{digest}-{split.index:05d}-of-{split.count:05d}"
