"""Ways to disturb a run from outside, and to see that nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import spine

WAIT = 300.0
"""Seconds after which something that must happen has not."""


def start(recipe: Path, out: Path, *options: object) -> subprocess.Popen[str]:
    """`corpus run` in a process group of its own, heeding SIGINT whatever this process does.

    A shell starts background jobs with SIGINT ignored, and Python then keeps ignoring it.
    """
    return subprocess.Popen(
        spine.command("run", recipe, "--out", out, "--quiet", *options),
        env=spine.environment(), start_new_session=True, text=True, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> bool:
    """Wait until the condition holds; False when the process ended before."""
    end = time.monotonic() + WAIT
    while not condition():
        if process is not None and process.poll() is not None:
            return bool(condition())
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)
    return True


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """A process and all below it."""
    top = psutil.Process(process.pid)
    return [top, *top.children(recursive=True)]


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all have ended."""
    return all(_ended(process) for process in processes)


def kill_group(process: subprocess.Popen[str]) -> None:
    """SIGKILL to the process group; returns when nothing below it lives any more."""
    processes = family(process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: gone(processes))


def _ended(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def begun(folder: Path) -> bool:
    """Whether a stage has written anything, a temporary file even."""
    return any(path.is_file() for path in folder.rglob("*"))


def committed(stages: Path) -> dict[str, tuple[int, int]]:
    """Records of finished units with what tells whether they were written again."""
    found = {}
    for path in stages.glob("*/records/**/*.json"):
        status = path.stat()
        found[str(path.relative_to(stages))] = (status.st_ino, status.st_mtime_ns)
    return found
