"""The child process that runs an extractor: `python -m corpus_builder.extraction.child`.

Invariant: one reply a page, in order, on the pipe that was standard output (which libraries may
no longer write to). A page may use so much CPU time and address space and no more: the kernel ends
the process at the first (SIGPROF), the second is a MemoryError here. It ends with its parent.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from . import wire
from .caps import Caps, over_tree
from .charset import decode
from .extractors import EXTRACTORS, Extractor, storable

_PR_SET_PDEATHSIG = 1
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]+\b")
DETAIL_LENGTH = 200  # characters of an exception's message that are kept


@dataclass(frozen=True, slots=True)
class Settings:
    """What the parent passes on the command line, as JSON."""

    tool: str
    caps: Caps
    cpu_seconds: float
    memory_bytes: int
    parent: int

    def to_json(self) -> str:
        """The command-line argument."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Settings:
        """Inverse of `to_json`."""
        values = json.loads(text)
        return cls(**values | {"caps": Caps(**values["caps"])})


def main() -> int:
    """Entry point of a tool that `EXTRACTORS` knows."""
    settings = Settings.from_json(sys.argv[1])
    return serve(settings, EXTRACTORS[settings.tool].load)


def serve(settings: Settings, load: Callable[[], Extractor]) -> int:
    """Answer pages until standard input ends."""
    _end_with_parent(settings.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        run = load()
    except ImportError as error:
        _send(replies, wire.FAILED, describe(error).encode())
        return 1
    _limit_memory(settings.memory_bytes)
    _send(replies, wire.READY)
    while (message := wire.unpack(sys.stdin.buffer.read)) is not None:
        url, charset, body = message
        signal.setitimer(signal.ITIMER_PROF, settings.cpu_seconds)
        reply = _answer(run, settings.caps, url.decode(), charset.decode(), body)
        signal.setitimer(signal.ITIMER_PROF, 0)
        _send(replies, *reply)
    return 0


def _answer(run: Extractor, caps: Caps, url: str, charset: str, body: bytes) -> list[bytes]:
    try:
        page = decode(body, charset or None)
        over = over_tree(page.text, caps)
        if over is not None:
            return [wire.LOST, over.cause.encode(), over.detail.encode()]
        found = run(page.text, url)
        text = storable(found.text)
        if not text:
            return [wire.LOST, b"no_text", b""]
        fields = (page.charset, storable(found.title), found.date, text)
        return [wire.EXTRACTED, *(field.encode() for field in fields)]
    except MemoryError:
        return [wire.LOST, b"out_of_memory", b""]
    except Exception as error:  # noqa: BLE001 - whatever a library raises is this page's loss
        return [wire.LOST, b"extractor_error", describe(error).encode()]


def describe(error: Exception) -> str:
    """Type and message of an exception, the same in every run: no addresses, bounded, storable."""
    message = " ".join(_ADDRESS.sub("0x", str(error)).split())
    return storable(f"{type(error).__name__}: {message}"[:DETAIL_LENGTH]).rstrip(":")


def _send(replies: BinaryIO, *fields: bytes) -> None:
    replies.write(wire.pack(*fields))
    replies.flush()


def _end_with_parent(parent: int) -> None:
    """Linux: have the kernel end us when the parent ends; elsewhere the closed pipe does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(0)


def _limit_memory(extra: int) -> None:
    """Allow `extra` bytes of address space beyond what the loaded process has (Linux)."""
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + extra
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
