"""Pinned files come through the real pip, here from a folder instead of an index."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from corpus_builder import pinned
from corpus_builder.pinned import Pin, fetch
from corpus_builder.store.errors import CorpusError, SourceError

# A build that tells that it ran, and fails: the archive must be fetched all the same.
SETUP = "import pathlib, sys\npathlib.Path({marker!r}).touch()\nsys.exit(1)\n"


class Index:
    """A folder of source archives that pip takes for its only index."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "index"
        self.folder.mkdir()
        self.marker = folder / "build-code-ran"

    def add(self, name: str, *, modern: bool = False) -> Pin:
        """Make an archive of the old kind (setup.py) or the new one (pyproject.toml) besides."""
        files = {
            "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            "setup.py": SETUP.format(marker=str(self.marker)),
        }
        if modern:
            needs = '[build-system]\nrequires = ["setuptools>=999"]\n'
            files["pyproject.toml"] = needs + 'build-backend = "setuptools.build_meta"\n'
        path = self.folder / f"{name}-1.0.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            for file, text in files.items():
                info = tarfile.TarInfo(f"{name}-1.0/{file}")
                info.size = len(text)
                archive.addfile(info, io.BytesIO(text.encode()))
        content = path.read_bytes()
        return Pin(name, "1.0", path.name, len(content), hashlib.sha256(content).hexdigest())


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    made = Index(tmp_path)
    settings = {"PIP_CONFIG_FILE": "/dev/null", "PIP_NO_INDEX": "1"}
    for name, value in {**settings, "PIP_FIND_LINKS": str(made.folder)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CORPUS_CACHE", str(tmp_path / "cache"))
    return made


@pytest.mark.parametrize("modern", [False, True])
def test_a_source_archive_is_fetched_without_running_its_code(
    index: Index, tmp_path: Path, modern: bool
) -> None:
    pin = index.add("corpus-sample-part", modern=modern)
    lines: list[str] = []
    (path,) = fetch([pin], tmp_path / "dest", progress=lines.append)
    assert path == tmp_path / "dest" / pin.file
    assert hashlib.sha256(path.read_bytes()).hexdigest() == pin.sha256
    assert not index.marker.exists()
    assert lines == [f"fetching {pin.file} (0.0 MB)"]


def test_the_cache_folder_is_where_the_environment_says(index: Index, tmp_path: Path) -> None:
    (path,) = fetch([index.add("part-a")])
    assert path.parent == tmp_path / "cache" / "downloads"


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(
    index: Index, tmp_path: Path
) -> None:
    pins = [index.add("part-a"), index.add("part-b")]
    first, second = fetch(pins, tmp_path / "dest")
    second.write_bytes(b"\0" * pins[1].size)
    lines: list[str] = []
    assert fetch(pins, tmp_path / "dest", progress=lines.append) == [first, second]
    assert [line.split()[1] for line in lines] == [pins[1].file]
    assert pins[1].held_by(tmp_path / "dest")


def test_an_interrupted_fetch_keeps_what_was_verified(index: Index, tmp_path: Path) -> None:
    here, absent = index.add("part-a"), Pin("part-b", "1.0", "part-b-1.0.tar.gz", 1, "0" * 64)
    dest = tmp_path / "dest"
    (dest / "fetch-killed").mkdir(parents=True)
    with pytest.raises(SourceError):
        fetch([here, absent], dest)
    assert here.held_by(dest)
    assert {path.name for path in dest.iterdir()} == {".lock", here.file}


def test_other_bytes_under_the_pinned_name_are_refused(index: Index, tmp_path: Path) -> None:
    honest = index.add("part-a")
    pin = Pin(honest.name, honest.version, honest.file, honest.size, "0" * 64)
    with pytest.raises(
        SourceError, match=r"part-a-1\.0\.tar\.gz: pip could not fetch it"
    ) as caught:
        fetch([pin], tmp_path / "dest")
    assert "0" * 64 in caught.value.do
    assert not (tmp_path / "dest" / pin.file).exists()


def test_the_checksum_is_ours_whatever_pip_says(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = index.add("part-a")

    def lying(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
        path = Path(command[command.index("--dest") + 1], pin.file)
        path.parent.mkdir()
        path.write_bytes(b"other")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", lying)
    with pytest.raises(SourceError, match="has not the SHA-256"):
        fetch([pin], tmp_path / "dest")
    assert not (tmp_path / "dest" / pin.file).exists()


def test_without_a_network_the_error_says_which_files_to_bring(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pins = [index.add("part-a"), index.add("part-b")]
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(SourceError) as caught:
        fetch(pins, tmp_path / "dest", otherwise="bring them from elsewhere")
    assert "ERROR: No matching distribution found" in caught.value.what
    assert caught.value.do.startswith("bring them from elsewhere; or put these files")
    for pin in pins:
        assert f"{pin.sha256}  {pin.file}" in caught.value.do


def test_the_advice_holds_files_put_there_by_hand_are_taken(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin = index.add("part-a")
    monkeypatch.delenv("PIP_FIND_LINKS")
    (tmp_path / "dest").mkdir()
    (index.folder / pin.file).rename(tmp_path / "dest" / pin.file)
    assert fetch([pin], tmp_path / "dest") == [tmp_path / "dest" / pin.file]


def test_two_at_once_fetch_each_file_once(index: Index, tmp_path: Path) -> None:
    pins = [index.add("part-a"), index.add("part-b")]
    lines: list[str] = []
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(fetch, pins, tmp_path / "d", progress=lines.append) for _ in range(2)]
        paths = [job.result() for job in jobs]
    assert paths[0] == paths[1]
    assert len(lines) == len(pins)


def test_an_environment_without_pip_uses_the_one_that_python_bundles(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ensurepip", reason="this Python bundles no pip")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    find_spec = pinned.importlib.util.find_spec
    monkeypatch.setattr(
        pinned.importlib.util, "find_spec", lambda name: None if name == "pip" else find_spec(name)
    )
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "bin" / "python"))
    pin = index.add("part-a")
    assert fetch([pin], tmp_path / "dest")[0].is_file()


def test_no_pip_at_all_is_said(
    index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned.importlib.util, "find_spec", lambda name: None)
    pin = index.add("part-a")
    with pytest.raises(SourceError, match="there is no pip in this environment") as caught:
        fetch([pin], tmp_path / "dest")
    assert "uv pip install pip" in caught.value.do
    assert pin.sha256 in caught.value.do


def test_a_cache_that_cannot_be_written_is_said(index: Index, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="set CORPUS_CACHE"):
        fetch([index.add("part-a")], tmp_path / "file" / "dest")


def test_adopt_takes_what_verifies_and_names_the_rest(index: Index, tmp_path: Path) -> None:
    good, bad = index.add("part-a"), index.add("part-b")
    (index.folder / bad.file).write_bytes(b"\0" * bad.size)
    assert pinned.adopt([good, bad], index.folder) == [bad]
    assert good.held_by(pinned.downloads_folder())
    assert not (pinned.downloads_folder() / bad.file).exists()
