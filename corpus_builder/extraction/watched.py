"""Pages through an extractor in a watched child process: what a page breaks costs that page only.

Invariant: one outcome a page, in order. A page that ends its child, exhausts its memory, or stops
answering is tried once more, first in a fresh child, so that no verdict depends on its neighbours.

One page is in flight at a time: the child reads a whole page before it works and the parent a
whole reply before it writes, so the two pipes cannot fill against each other.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from corpus_builder.sources.records import Lost, Page
from corpus_builder.store.errors import EngineError

from . import wire
from .caps import Caps, over_bytes
from .child import Settings
from .extractors import tool_named

_ROOT = str(Path(__file__).parents[2])
_CHILD = (sys.executable, "-P", "-m", "corpus_builder.extraction.child")
_START_SECONDS = 120
_RETRIED = frozenset(("timeout", "crashed", "out_of_memory"))


@dataclass(frozen=True, slots=True)
class Limits:
    """What one page may cost.

    Attributes:
        caps: decided from the page alone, before extraction.
        cpu_seconds: CPU time of the child on the page. Above the most that pages built to be slow
            within the default caps took (trafilatura, closed `div`s 250 deep: 17 s on a busy core).
        wall_seconds: backstop for a child that waits without using CPU.
        memory_bytes: address space beyond what the child needs to start.
    """

    caps: Caps = field(default_factory=Caps)
    cpu_seconds: float = 30.0
    wall_seconds: float = 120.0
    memory_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class Extracted:
    """A page that became a document.

    Attributes:
        position, ordinal, url, source_id: the page's own.
        title: what the page shows as its title, or "".
        date: YYYY-MM-DD that the page declares, or "".
        warc_date: when it was fetched, as its record says.
        charset: Python codec it was decoded with.
        text: never empty.
    """

    position: int
    ordinal: int
    url: str
    source_id: str
    title: str
    date: str
    warc_date: str
    charset: str
    text: str


class _NoAnswerError(Exception):
    """The child gave no valid answer: a cause and a detail."""

    def __init__(self, cause: str, detail: str) -> None:
        self.cause, self.detail = cause, detail
        super().__init__(cause, detail)


class WatchedExtractor:
    """Context manager around one extraction child, started when the first page needs it.

    Args:
        tool: a name in `EXTRACTORS` (`RecipeError` otherwise).
        limits: what one page may cost.
    """

    def __init__(
        self, tool: str, limits: Limits | None = None, *, _command: tuple[str, ...] = _CHILD
    ) -> None:
        tool_named(tool)
        self._tool = tool
        self._limits = limits or Limits()
        self._command = _command
        self._child: _Child | None = None

    def __enter__(self) -> WatchedExtractor:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop()

    def extract(self, pages: Iterable[Page]) -> Iterator[Extracted | Lost]:
        """Yield one outcome a page, in order, as they come.

        Causes of `Lost`: those of `Caps`, `no_text`, `timeout`, `crashed` (detail: the signal or
        exit code), `out_of_memory`, `extractor_error` (detail: type and message).

        Raises:
            EngineError: the child cannot start at all.
        """
        for page in pages:
            yield self._outcome(page)

    def _outcome(self, page: Page) -> Extracted | Lost:
        over = over_bytes(len(page.body), self._limits.caps)
        if over is not None:
            return _lost(page, over.cause, over.detail)
        outcome = self._try(page)
        if isinstance(outcome, Lost) and outcome.cause in _RETRIED:
            outcome = self._try(page)
        return outcome

    def _try(self, page: Page) -> Extracted | Lost:
        if self._child is None:
            self._child = _Child(self._command, self._settings())
        try:
            outcome = _outcome_of(page, self._child.ask(page, self._limits))
        except _NoAnswerError as none:
            outcome = _lost(page, none.cause, none.detail)
        if isinstance(outcome, Lost) and outcome.cause in _RETRIED:
            self._stop()
        return outcome

    def _settings(self) -> Settings:
        limits = self._limits
        return Settings(
            self._tool, limits.caps, limits.cpu_seconds, limits.memory_bytes, os.getpid()
        )

    def _stop(self) -> None:
        if self._child is not None:
            self._child.stop()
            self._child = None


class _Child:
    """One started process; `ask` raises `_NoAnswerError` and leaves it to be stopped."""

    def __init__(self, command: tuple[str, ...], settings: Settings) -> None:
        path = os.pathsep.join(part for part in (_ROOT, os.environ.get("PYTHONPATH")) if part)
        self._process = subprocess.Popen(
            [*command, settings.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "TZ": "UTC"},
        )
        assert self._process.stdin and self._process.stdout
        self._to = self._process.stdin.fileno()
        self._from = self._process.stdout.fileno()
        os.set_blocking(self._to, False)
        self._await_ready()

    def ask(self, page: Page, limits: Limits) -> list[bytes]:
        """The child's reply to a page, at least one field."""
        deadline = time.monotonic() + limits.wall_seconds
        charset = (page.http_charset or "").encode(errors="replace")
        message = wire.pack(page.url.encode(errors="replace"), charset, page.body)
        try:
            self._write(message, deadline)
            return self._read_message(deadline)
        except (BrokenPipeError, wire.BadMessageError):
            raise self._death(limits) from None
        except TimeoutError:
            detail = f"no answer in {limits.wall_seconds:g} s"
            raise _NoAnswerError("timeout", detail) from None

    def stop(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.communicate()

    def _await_ready(self) -> None:
        try:
            reply = self._read_message(time.monotonic() + _START_SECONDS)
        except (TimeoutError, wire.BadMessageError) as error:
            reply = [wire.FAILED, str(error).encode()]
        if reply[0] != wire.READY:
            self.stop()
            code = self._process.returncode
            raise EngineError(
                "extract",
                f"the extraction process did not start: {b' '.join(reply[1:]).decode()} "
                f"(exit code {code})",
                do="check that the extractor's packages are installed",
            )

    def _write(self, data: bytes, deadline: float) -> None:
        view = memoryview(data)
        while view:
            _wait(self._to, select.POLLOUT, deadline)
            view = view[os.write(self._to, view) :]

    def _read(self, size: int, deadline: float) -> bytes:
        data = bytearray()
        while len(data) < size:
            _wait(self._from, select.POLLIN, deadline)
            part = os.read(self._from, size - len(data))
            if not part:
                break
            data += part
        return bytes(data)

    def _read_message(self, deadline: float) -> list[bytes]:
        reply = wire.unpack(lambda size: self._read(size, deadline))
        if not reply:
            raise wire.BadMessageError("the process ended")
        return reply

    def _death(self, limits: Limits) -> _NoAnswerError:
        """Why the pipe closed. A process that lives on without its pipe is killed."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return _NoAnswerError("crashed", "closed its pipe")
        if code == -signal.SIGPROF:
            return _NoAnswerError("timeout", f"more than {limits.cpu_seconds:g} s of CPU time")
        return _NoAnswerError("crashed", signal.Signals(-code).name if code < 0 else f"exit {code}")


def _wait(descriptor: int, event: int, deadline: float) -> None:
    """Wait until a pipe is ready or closed; `TimeoutError` past the deadline."""
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(0.0, 1000 * (deadline - time.monotonic()))):
        raise TimeoutError


def _outcome_of(page: Page, reply: list[bytes]) -> Extracted | Lost:
    kind, *fields = (part.decode() for part in reply)
    if kind == wire.EXTRACTED.decode() and len(fields) == 4:
        charset, title, date, text = fields
        identity = (page.position, page.ordinal, page.url, page.source_id)
        return Extracted(*identity, title, date, page.date, charset, text)
    if kind == wire.LOST.decode() and len(fields) == 2:
        return _lost(page, fields[0], fields[1])
    raise _NoAnswerError("crashed", "an answer that is none")


def _lost(page: Page, cause: str, detail: str) -> Lost:
    return Lost(page.position, page.ordinal, page.url, cause, detail)
