"""The quick-start sample: fixed bytes from small archives made here; the real one where it can be
fetched."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from corpus_builder.pinned import Pin
from corpus_builder.sources import sample
from corpus_builder.sources.sample_build import build_files
from corpus_builder.sources.sample_origins import (
    MAX_CODE_BYTES,
    MAX_PAGE_BYTES,
    MAX_PAGES_PER_TRANSLATION,
    ORIGINS,
    Origin,
)
from corpus_builder.sources.sample_warc import Response, warc_file
from corpus_builder.store.errors import IntegrityError, SourceError

BUILD_ELSEWHERE = """
import pickle, sys
from pathlib import Path
from corpus_builder.sources.sample_build import build_files
origins, downloads = pickle.loads(sys.stdin.buffer.read())
print(build_files(origins, Path(downloads), "id")["manifest.json"].decode(), end="")
"""


def packed(top: str, files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{top}/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def place(folder: Path, file: str, content: bytes) -> Pin:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_bytes(content)
    return Pin("part", "1.0", file, len(content), hashlib.sha256(content).hexdigest())


def page(text: str) -> bytes:
    return f"<html><body><p>{text}</p></body></html>".encode()


TRANSLATED = {
    "LICENSE": b"licence of translated",
    "doc/a.html.en": page("english, Apache"),
    "doc/a.html.fr.utf8": page("français, Apache"),
    "doc/a.html.ko.euc-kr": "<p>한국어, Apache</p>".encode("euc-kr"),
    "doc/a.html": b"URI: a.html.en Apache",
    "doc/style/b.html.en": page("a template, Apache"),
    "doc/c.html.en": page("no notice"),
    **{f"doc/d{i}.html.de": page(f"deutsch {i}, Apache") for i in range(40)},
    "src/one.c": b"/* Apache */ int one;\n",
    "src/two.c": b"/* other terms */ int two;\n",
    "elsewhere/three.c": b"/* Apache */ int three;\n",
}
PLAIN = {
    "LICENSE": b"licence of plain",
    "docs/index.html": page("plain"),
    "docs/_static/x.html": page("no"),
    "docs/big.html": bytes(MAX_PAGE_BYTES + 1),
    "lib/a.py": "name = 'é'\n".encode(),
    "lib/latin.py": "name = 'é'\n".encode("latin-1"),
    "lib/big.py": b"#" * (MAX_CODE_BYTES + 1),
    "lib/data.json": b"{}",
}


@pytest.fixture
def small(tmp_path: Path) -> tuple[tuple[Origin, ...], Path]:
    """Two origins, one of them an archive within an archive, and the folder of their archives."""
    downloads = tmp_path / "pinned"
    inner = packed("translated-2", TRANSLATED)
    outer = place(downloads, "outer-1.0.tar.gz", packed("outer-1.0", {"upstream/t.tar.gz": inner}))
    plain = place(downloads, "plain-1.0.tar.gz", packed("plain-1.0", PLAIN))
    origins = (
        Origin(
            "translated", "2", "2020-01-02", "Apache-2.0", ("LICENSE",), outer, "doc/", ("src/",),
            inner="upstream/t.tar.gz", page_notice=b"Apache", code_notice=b"Apache",
            translated=True,
        ),
        Origin("plain", "1", "2021-03-04", "MIT", ("LICENSE",), plain, "docs/", ("lib/",)),
    )  # fmt: skip
    return origins, downloads


@pytest.fixture
def installed(small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package with the two small origins for its own; the folder of their archives."""
    origins, downloads = small
    monkeypatch.setattr(sample, "ORIGINS", origins)
    monkeypatch.setattr(sample, "NEEDED", tuple(origin.pin for origin in origins))
    monkeypatch.setenv("CORPUS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return downloads


def responses(files: dict[str, bytes]) -> dict[str, tuple[str, str, bytes]]:
    """Content-Type, date and body of every page by URL, read by FastWARC."""
    read = {}
    for name in sorted(name for name in files if name.startswith("web-docs/")):
        for record in ArchiveIterator(
            io.BytesIO(files[name]), record_types=WarcRecordType.response, verify_digests=True
        ):
            url = record.headers["WARC-Target-URI"]
            assert url not in read
            kind = record.http_headers["Content-Type"]
            read[url] = (kind, record.headers["WARC-Date"], record.reader.read())
    return read


def rows(files: dict[str, bytes]) -> list[dict[str, str]]:
    names = sorted(name for name in files if name.startswith("code/"))
    return [json.loads(line) for name in names for line in files[name].decode().splitlines()]


def tree(root: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in sorted(root.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files
    }


def test_pages_carry_url_date_charset_and_their_exact_bytes(small) -> None:
    read = responses(build_files(*small, "id"))
    assert read["https://translated.docs.example/2/a.html.fr.utf8"] == (
        "text/html; charset=utf-8", "2020-01-02T00:00:00Z", TRANSLATED["doc/a.html.fr.utf8"],
    )  # fmt: skip
    assert read["https://translated.docs.example/2/a.html.ko.euc-kr"][0].endswith("=euc-kr")
    assert read["https://plain.docs.example/1/index.html"] == (
        "text/html", "2021-03-04T00:00:00Z", PLAIN["docs/index.html"],
    )  # fmt: skip
    plain_or_en = [url for url in read if ".html.de" not in url]
    assert len(plain_or_en) == 4


def test_translations_are_capped_and_everything_left_out_is_counted(small) -> None:
    files = build_files(*small, "id")
    german = [url for url in responses(files) if ".html.de" in url]
    assert len(german) == MAX_PAGES_PER_TRANSLATION
    assert json.loads(files["manifest.json"])["left_out"] == {
        "page_over_translation_cap": 40 - MAX_PAGES_PER_TRANSLATION,
        "page_without_notice": 1,
        "page_too_large": 1,
        "code_without_notice": 1,
        "code_too_large": 1,
        "code_not_utf8": 1,
    }


def test_code_rows_carry_id_url_licence_language_and_text(small) -> None:
    files = build_files(*small, "id")
    by_id = {row["id"]: row for row in rows(files)}
    assert set(by_id) == {"translated-2/src/one.c", "plain-1/lib/a.py"}
    assert by_id["plain-1/lib/a.py"] == {
        "id": "plain-1/lib/a.py",
        "url": "https://plain.code.example/1/lib/a.py",
        "text": "name = 'é'\n",
        "license": "MIT",
        "language": "Python",
        "date": "2021-03-04",
    }


def test_the_manifest_accounts_for_every_file_and_document(small) -> None:
    files = build_files(*small, "id")
    manifest = json.loads(files.pop("manifest.json"))
    assert set(manifest["files"]) == set(files)
    for name, entry in manifest["files"].items():
        assert entry["sha256"] == hashlib.sha256(files[name]).hexdigest()
        assert entry["bytes"] == len(files[name])
    assert manifest["documents"] == {"web-docs": len(responses(files)), "code": len(rows(files))}
    assert files["licenses/translated-2-LICENSE"] == TRANSLATED["LICENSE"]
    assert len(files) - 2 >= 8  # so many files are at least so many splits


def test_the_bytes_are_the_same_in_another_process_with_other_hashes_and_clock(small) -> None:
    origins, downloads = small
    environment = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"}
    root = str(Path(sample.__file__).parents[2])
    environment["PYTHONPATH"] = os.pathsep.join([root, environment.get("PYTHONPATH", "")])
    other = subprocess.run(
        [sys.executable, "-c", BUILD_ELSEWHERE], input=pickle.dumps((origins, str(downloads))),
        env=environment, capture_output=True, check=True,
    )  # fmt: skip
    assert other.stdout == build_files(origins, downloads, "id")["manifest.json"]


def test_a_warc_member_has_no_time_and_no_system(small) -> None:
    content = warc_file("x.warc.gz", "d", [Response("https://a.example/", "2020-01-01", "", b"x")])
    assert content[:2] == b"\x1f\x8b"
    assert content[4:8] == bytes(4)
    assert content[9] == 255


@pytest.mark.parametrize(
    "change",
    [{"license_files": ("LICENSE", "NOTICE")}, {"pages": "nowhere/"}, {"code": ("nowhere/",)}],
    ids=["licence", "pages", "code"],
)
def test_an_origin_that_does_not_hold_what_it_says_is_refused(small, change) -> None:
    origins, downloads = small
    with pytest.raises(IntegrityError, match="lacks pages, code or licence files of plain 1"):
        build_files((replace(origins[1], **change),), downloads, "id")


def test_an_inner_archive_that_is_not_there_is_refused(small) -> None:
    origins, downloads = small
    with pytest.raises(IntegrityError, match="does not hold upstream/other"):
        build_files((replace(origins[0], inner="upstream/other"),), downloads, "id")


def test_the_sample_is_built_once_then_reused(installed: Path) -> None:
    first = sample.build_from(installed)
    again = sample.ensure_sample()
    assert (first.built, again.built) == (True, False)
    assert (again.root, again.files, again.manifest) == (first.root, first.files, first.manifest)
    assert sample.sample_files("code") == first.files["code"]
    assert [path.name for path in first.files["web-docs"]] == [
        f"part-{index}.warc.gz" for index in range(8)
    ]
    assert {path.name for path in first.root.parent.iterdir()} == {first.root.name, ".lock"}


@pytest.mark.parametrize("harm", ["truncate", "remove", "manifest", "not-json", "list"])
def test_a_damaged_sample_is_built_anew_with_the_same_bytes_and_times(
    installed: Path, harm: str
) -> None:
    info = sample.build_from(installed)
    before = tree(info.root)
    victim, manifest = info.files["web-docs"][3], info.root / "manifest.json"
    match harm:
        case "truncate":
            victim.write_bytes(victim.read_bytes()[:-1])
        case "remove":
            victim.unlink()
        case "manifest":
            manifest.write_text(manifest.read_text().replace('"code": 2', '"code": 3'))
        case "not-json":
            manifest.write_text("{")
        case "list":
            manifest.write_text("[]")
    assert tree(info.root) != before
    assert sample.ensure_sample().built
    assert tree(info.root) == before


def test_what_a_killed_build_left_is_cleared(installed: Path) -> None:
    leftover = sample.sample_folder().parent / "building-1"
    leftover.mkdir(parents=True)
    sample.build_from(installed)
    assert not leftover.exists()


def test_the_folder_is_named_after_what_decides_the_bytes(
    installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = sample.sample_folder().name
    monkeypatch.setattr(sample, "ORIGINS", sample.ORIGINS[:1])
    assert sample.sample_folder().name != name


def test_a_folder_without_all_pinned_files_is_refused_with_the_list(installed: Path) -> None:
    missing = sample.NEEDED[1]
    (installed / missing.file).write_bytes(bytes(missing.size))
    with pytest.raises(SourceError, match="does not hold these files") as caught:
        sample.build_from(installed)
    assert f"{missing.sha256}  {missing.file}" in caught.value.what
    assert sample.NEEDED[0].file not in caught.value.what


def test_without_a_network_the_error_points_to_from(installed: Path) -> None:
    with pytest.raises(SourceError) as caught:
        sample.sample_files("code")
    assert "corpus sample --from DIR" in caught.value.do
    for pin in sample.NEEDED:
        assert f"{pin.sha256}  {pin.file}" in caught.value.do


def test_a_sample_built_elsewhere_is_taken_whole(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sample.build_from(installed)
    copy = tmp_path / "stick"
    shutil.copytree(made.root, copy)
    monkeypatch.setenv("CORPUS_CACHE", str(tmp_path / "other cache"))
    taken = sample.build_from(copy)
    assert taken.root != made.root
    assert tree(taken.root) == tree(made.root)


def test_a_sample_built_elsewhere_with_a_changed_byte_is_refused(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sample.build_from(installed)
    victim = made.files["web-docs"][0]
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    monkeypatch.setenv("CORPUS_CACHE", str(tmp_path / "other cache"))
    with pytest.raises(IntegrityError, match="is not what the manifest says"):
        sample.build_from(made.root)


def test_a_sample_built_elsewhere_cannot_name_files_outside(
    installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = sample.build_from(installed)
    manifest = json.loads((made.root / "manifest.json").read_text())
    secret = made.root.parent / "secret"
    secret.write_bytes(b"x")
    entry = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    manifest["files"]["../secret"] = entry
    manifest["digest"] = sample.manifest_digest(manifest)
    (made.root / "manifest.json").write_text(json.dumps(manifest))
    monkeypatch.setenv("CORPUS_CACHE", str(tmp_path / "other cache"))
    with pytest.raises(IntegrityError, match="secret"):
        sample.build_from(made.root)


def test_an_unknown_sample_is_an_error_with_the_nearest_name(installed: Path) -> None:
    with pytest.raises(SourceError, match="did you mean 'web-docs'"):
        sample.sample_files("webdocs")


def test_the_description_names_origins_licences_and_files(installed: Path) -> None:
    before = sample.describe()
    sample.build_from(installed)
    after = sample.describe()
    assert "not built yet" in before
    assert "29 pages, 2 source files" in after
    for text in (before, after):
        assert "Apache-2.0" in text
        assert all(pin.sha256 in text for pin in sample.NEEDED)


@pytest.fixture(scope="module")
def real() -> sample.SampleInfo:
    try:
        return sample.ensure_sample()
    except SourceError as error:
        pytest.skip(f"the sample cannot be fetched: {error.what}")


def test_the_real_sample_has_pages_in_many_languages_and_code_in_two(
    real: sample.SampleInfo,
) -> None:
    assert real.documents == {"web-docs": 771, "code": 452}
    content = {
        name: (real.root / name).read_bytes()
        for name in real.manifest["files"]
        if not name.startswith("licenses/")
    }
    read = responses(content)
    assert len(read) == real.documents["web-docs"]
    httpd = next(origin for origin in ORIGINS if origin.translated)
    prefix = f"https://{httpd.name}.docs.example/{httpd.version}/"
    languages = Counter(
        httpd.page_language(httpd.pages + url.removeprefix(prefix))
        for url in read
        if url.startswith(prefix)
    )
    assert {"en", "de", "es", "fr", "ja", "ko", "tr", "zh-cn"} <= set(languages)
    assert languages["en"] > languages["fr"] == MAX_PAGES_PER_TRANSLATION
    assert {row["language"] for row in rows(content)} == {"C", "Python"}
