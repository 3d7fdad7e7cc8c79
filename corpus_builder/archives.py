"""Reading members of tar.gz and zip archives without ever unpacking one to a path.

Invariant: nothing is written to disk and no code of an archive runs. A member name that could
leave a folder, a wanted member that is not a plain file, and an archive over its limits are
`IntegrityError`s; limits bind on bytes really decompressed, not on what headers declare.
"""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .store.errors import IntegrityError


@dataclass(frozen=True, slots=True)
class Limits:
    """What one archive may cost: members, bytes of one wanted member, bytes decompressed in all."""

    members: int = 20_000
    member_bytes: int = 32 << 20
    total_bytes: int = 512 << 20


DEFAULT_LIMITS = Limits()


def read_members(
    archive: Path | bytes,
    wanted: Callable[[str], bool],
    *,
    where: str,
    limits: Limits = DEFAULT_LIMITS,
) -> Iterator[tuple[str, bytes]]:
    """Yield `(name, content)` of the wanted plain files, in the archive's order.

    Args:
        archive: a path or the bytes of a zip or gzip-compressed tar file, told by its first bytes.
        wanted: says by a member's name whether to read it; others are passed over.
        where: what errors call the archive.

    Raises:
        IntegrityError: broken or over its limits; a name that is absolute or holds `..`, `\\` or
            NUL; a wanted member that is a link, a device or encrypted, or comes twice.
    """
    guard = _Guard(where, wanted, limits)
    stream = io.BytesIO(archive) if isinstance(archive, bytes) else archive.open("rb")
    with stream:
        magic = stream.read(2)
        stream.seek(0)
        try:
            if magic == b"PK":
                yield from _zip_members(stream, guard)
            else:
                yield from _tar_members(stream, guard)
        except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, RuntimeError) as error:
            raise IntegrityError(where, f"cannot be read as an archive ({error})") from error


class _Guard:
    """Counts members and checks their names for one archive."""

    def __init__(self, where: str, wanted: Callable[[str], bool], limits: Limits) -> None:
        self.where, self.limits = where, limits
        self._wanted, self._seen, self._count = wanted, set[str](), 0

    def refuse(self, what: str) -> IntegrityError:
        return IntegrityError(self.where, what, do="do not use this archive")

    def admit(self, name: str) -> bool:
        """Whether the member is wanted, after the checks that hold for every member."""
        self._count += 1
        if self._count > self.limits.members:
            raise self.refuse(f"holds more than {self.limits.members} members")
        if not _is_safe(name):
            raise self.refuse(f"holds a member with the unsafe name {name!r}")
        if name.endswith("/") or not self._wanted(name):
            return False
        if name in self._seen:
            raise self.refuse(f"holds {name!r} twice")
        self._seen.add(name)
        return True

    def check_size(self, name: str, size: int) -> None:
        if size > self.limits.member_bytes:
            raise self.refuse(f"{name!r} is over {self.limits.member_bytes} bytes")


def _is_safe(name: str) -> bool:
    """Whether a member's name stays inside a folder, on any system."""
    parts = name.split("/")
    rooted = parts[0] == "" or ":" in parts[0]
    return not (rooted or ".." in parts or "\\" in name or "\0" in name)


class _Metered(io.RawIOBase):
    """A read-only stream that refuses to give more than the limit's total bytes."""

    def __init__(self, stream: gzip.GzipFile, guard: _Guard) -> None:
        self._stream, self._guard, self._given = stream, guard, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        content = self._stream.read(len(buffer))
        self._given += len(content)
        if self._given > self._guard.limits.total_bytes:
            limit = self._guard.limits.total_bytes
            raise self._guard.refuse(f"decompresses to more than {limit} bytes")
        buffer[: len(content)] = content
        return len(content)


def _tar_members(stream: IO[bytes], guard: _Guard) -> Iterator[tuple[str, bytes]]:
    # Streaming ("r|") reads forwards only, so that what is passed over is metered as well.
    metered = io.BufferedReader(_Metered(gzip.GzipFile(fileobj=stream), guard))
    with tarfile.open(fileobj=metered, mode="r|") as archive:
        for member in archive:
            if not guard.admit(member.name + "/" * member.isdir()):
                continue
            guard.check_size(member.name, member.size)
            # isreg() alone lets GNU sparse files through, whose holes cost nothing in the archive.
            if not member.isreg() or member.issparse():
                raise guard.refuse(f"{member.name!r} is not a plain file")
            content = archive.extractfile(member)
            yield member.name, content.read() if content else b""


def _zip_members(stream: IO[bytes], guard: _Guard) -> Iterator[tuple[str, bytes]]:
    total = 0
    with zipfile.ZipFile(stream) as archive:
        for member in archive.infolist():
            if not guard.admit(member.filename):
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG):
                raise guard.refuse(f"{member.filename!r} is not a plain file")
            with archive.open(member) as file:
                content = file.read(guard.limits.member_bytes + 1)
            guard.check_size(member.filename, len(content))
            total += len(content)
            if total > guard.limits.total_bytes:
                raise guard.refuse(f"decompresses to more than {guard.limits.total_bytes} bytes")
            yield member.filename, content
