"""Files that are whole or not there: temporary name, fsync, rename; and the lock of a run folder.

Invariant: a path written here either does not exist or holds complete content, whatever is killed
and when. Leftover temporary files carry `TEMP_SUFFIX` and are never read.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import DataError, IntegrityError, LockedError

TEMP_SUFFIX = ".part"

REMOVE = "remove it and run again: what it stands for is done again"
"""What to do about a damaged record or manifest."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success fsync it and rename it to `path`.

    On an exception the temporary file is removed and `path` is left as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temp = path.with_name(f".{path.name}.{os.getpid()}{TEMP_SUFFIX}")
    try:
        yield temp
        fsync(temp)
        temp.rename(path)
        fsync(path.parent)
    finally:
        temp.unlink(missing_ok=True)


def fsync(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_path(path) as temp:
        temp.write_bytes(content)


def json_bytes(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no NaN, UTF-8, one trailing newline."""
    text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
    return (text + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """Write `value` as canonical JSON, atomically."""
    write_bytes(path, json_bytes(value))


def read_json(path: Path) -> Any:
    """Parse a JSON file of ours.

    Raises:
        IntegrityError: it is no JSON; a disk that failed can leave one empty.
    """
    content = path.read_bytes()
    try:
        return json.loads(content)
    except ValueError as error:
        what = f"is no JSON: {error}" if content else "is empty"
        raise IntegrityError(str(path), what, do=REMOVE) from error


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def run_lock(folder: Path, option: str = "--out") -> Iterator[None]:
    """Hold the one lock of a run folder; released by the kernel even on kill -9.

    Args:
        option: of the command line, that names the folder.

    Raises:
        LockedError: another process holds it.
        DataError: the folder cannot be made, or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = (folder / ".lock").open("a+")
    except OSError as error:
        what = f"cannot be written to: {error.strerror}"
        raise DataError(str(folder), what, do="name another folder") from error
    with held as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise LockedError(
                str(folder),
                f"another run holds this folder ({file.read().strip() or 'process unknown'})",
                do=f"wait for it to end, or give this run another {option}",
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield
