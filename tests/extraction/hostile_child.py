"""An extraction child whose extractor does what the page tells it to: break, in every way."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path

from corpus_builder.extraction.child import Settings, serve
from corpus_builder.extraction.extractors import Extraction, Extractor


def _obey(html: str, url: str) -> Extraction:
    order, _, rest = html.partition(" ")
    if order == "spin":
        while True:
            pass
    elif order == "sleep":
        time.sleep(600)
    elif order == "abort":
        os.abort()
    elif order == "segfault":
        ctypes.string_at(0)
    elif order == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif order == "exit":
        os._exit(3)
    elif order == "allocate":
        return Extraction("x" * (1 << 40), "", "")
    elif order == "raise":
        raise ValueError(f"{object()!r} is no page")
    elif order == "print":
        print("garbage " * 10_000, flush=True)
    elif order == "surrogate":
        return Extraction("a\ud800\0b", "\ud800", "")
    elif order == "once" and not Path(rest).exists():
        Path(rest).touch()
        os.abort()
    elif order == "remember":
        Path(rest).write_text(str(os.getpid()), encoding="ascii")
        time.sleep(600)
    return Extraction(html, f"title of {url}", "2024-01-02")


def _load() -> Extractor:
    return _obey


if __name__ == "__main__":
    sys.exit(serve(Settings.from_json(sys.argv[1]), _load))
