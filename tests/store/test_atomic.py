"""Files are whole or not there; one process at a time holds a run's folder."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from spine import environment

from corpus_builder.store.atomic import (
    atomic_path,
    json_bytes,
    read_json,
    run_lock,
    sha256_file,
    write_bytes,
    write_json,
)
from corpus_builder.store.errors import CorpusError, IntegrityError, LockedError, of_the_machine

HOLD = """
import sys, time
from pathlib import Path
from corpus_builder.store.atomic import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
WRITE = """
import sys, time
from pathlib import Path
from corpus_builder.store.atomic import atomic_path
with atomic_path(Path(sys.argv[1])) as temp:
    temp.write_bytes(b"half")
    print("writing", flush=True)
    time.sleep(600)
"""


def started(script: str, path: Path) -> subprocess.Popen[str]:
    """A process that runs `script` on a path, once it has said its first word."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True,
        env=environment(),
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline()
    return process


def test_content_appears_whole_under_its_name_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_bytes(tmp_path / "deep" / "file", b"content")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file"]
    assert (tmp_path / "deep" / "file").read_bytes() == b"content"


def test_an_exception_leaves_the_old_content_and_no_temporary_file(tmp_path: Path) -> None:
    target = tmp_path / "file"
    write_bytes(target, b"old")
    with pytest.raises(RuntimeError), atomic_path(target) as temp:
        temp.write_bytes(b"new, but not all of it")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_killed_writer_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    target = tmp_path / "file"
    process = started(WRITE, target)
    process.kill()
    process.wait()
    assert not target.exists()
    assert all(path.name.endswith(".part") for path in tmp_path.iterdir())


def test_json_is_canonical_and_refuses_nan(tmp_path: Path) -> None:
    assert json_bytes({"b": 1, "a": "é"}) == '{\n "a": "é",\n "b": 1\n}\n'.encode()
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_bytes(float("nan"))
    write_json(tmp_path / "x.json", [1, "two"])
    assert read_json(tmp_path / "x.json") == [1, "two"]


def test_sha256_is_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256_file(tmp_path / "x").startswith("ba7816bf")


def test_a_second_process_is_refused_and_told_who_holds_the_folder(tmp_path: Path) -> None:
    process = started(HOLD, tmp_path)
    try:
        with pytest.raises(LockedError, match=f"process {process.pid}.*another --out"):
            run_lock(tmp_path).__enter__()
        with pytest.raises(LockedError, match="another --target"):
            run_lock(tmp_path, "--target").__enter__()
    finally:
        process.kill()
        process.wait()


def test_the_lock_is_free_after_kill_9(tmp_path: Path) -> None:
    process = started(HOLD, tmp_path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    began = time.monotonic()
    with run_lock(tmp_path):
        assert time.monotonic() - began < 60
    with run_lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == f"process {os.getpid()}"


@pytest.mark.parametrize(("content", "said"), [(b"", "is empty"), (b"{", "is no JSON: Expecting")])
def test_a_damaged_file_of_ours_is_named_with_what_to_do(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(IntegrityError, match=said) as caught:
        read_json(path)
    assert caught.value.where == str(path)
    assert caught.value.do.startswith("remove it and run again")


# --- what is wrong with the machine --------------------------------------------------------------


def test_a_full_disk_is_told_with_the_file_and_what_to_do() -> None:
    found = of_the_machine(OSError(errno.ENOSPC, "any", "out/mix.arrow"))
    assert isinstance(found, CorpusError)
    assert str(found).startswith("out/mix.arrow: No space left on device; free some, then run the")


def test_an_error_that_may_be_the_programs_own_is_no_fault_of_the_machine() -> None:
    assert of_the_machine(FileNotFoundError(errno.ENOENT, "any", "x")) is None
