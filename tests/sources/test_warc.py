"""Reading WARC files in ranges: exact on real archives, the same for any split, all counted."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from pathlib import Path

import fsspec
import pytest
from archives_of import PAGE, http, input_file, member, ranges, read_file, read_splits, record
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus_builder.sources.listing import list_inputs
from corpus_builder.sources.records import Lost, Split
from corpus_builder.store.errors import SourceError


@pytest.fixture(scope="module")
def archive(shared_data: Path) -> Path:
    return shared_data / "warc" / "debian-docs.warc.gz"


@pytest.fixture(scope="module")
def mini(shared_data: Path) -> Path:
    return shared_data / "warc" / "permissive-mini.warc.gz"


@pytest.fixture(scope="module")
def forms(archive: Path, mini: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A file as it is, plain, in one gzip member, and in members that ignore its records."""
    folder = tmp_path_factory.mktemp("forms")
    data = gzip.decompress(mini.read_bytes())
    blocks = [data[i : i + 65_280] for i in range(0, len(data), 65_280)]
    files = {
        "plain": data,
        "one-member": gzip.compress(data, 1),
        "blocks": b"".join(member(block, 1) for block in blocks),
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return {"archive": archive, "gzip": mini} | {name: folder / name for name in files}


def test_every_page_of_the_archive_at_its_offset_byte_for_byte(archive: Path) -> None:
    reading = read_file(archive, "warc")
    index = archive.with_name("debian-docs.pages.jsonl").read_text().splitlines()
    expected = [(row["url"], row["offset"], row["sha1"]) for row in map(json.loads, index)]
    found = [(p.url, p.position, hashlib.sha1(p.body).hexdigest()) for p in reading.pages]
    assert len(found) == 3924
    assert found == expected
    assert reading.lost == {"not_html": 129, "http_status": 40}
    assert reading.skipped == {"warc_request": 997, "warc_metadata": 20, "warc_warcinfo": 1}
    assert all(p.source_id.startswith("<urn:uuid:") and p.date for p in reading.pages)
    assert {p.http_charset for p in reading.pages} >= {None, "utf-8"}


@pytest.mark.parametrize("form", ["archive", "gzip", "plain", "one-member", "blocks"])
def test_any_number_of_splits_reads_the_same(forms: dict[str, Path], form: str) -> None:
    whole = read_file(forms[form], "warc")
    pages, records = (3924, 5111) if form == "archive" else (226, 312)
    assert len(whole.pages) == pages
    assert sum(whole.skipped.values()) + len(whole.records) == records
    for count in (3, 41):
        parts = read_file(forms[form], "warc", count)
        assert parts.content() == whole.content()
        assert parts.skipped == whole.skipped
        assert parts.chains()
        assert parts.spans[-1].next == forms[form].stat().st_size


def test_all_forms_hold_the_same_pages(forms: dict[str, Path]) -> None:
    bodies = {
        name: [(p.url, p.source_id, p.body) for p in read_file(path, "warc").pages]
        for name, path in forms.items()
        if name != "archive"
    }
    assert bodies["gzip"] == bodies["plain"] == bodies["one-member"] == bodies["blocks"]


def test_one_gzip_member_is_read_by_the_first_split_with_ordinals(tmp_path: Path) -> None:
    path = tmp_path / "one.warc.gz"
    path.write_bytes(member(b"".join(record(http(), n) for n in range(5))))
    reading = read_file(path, "warc", 3)
    assert [(p.position, p.ordinal) for p in reading.pages] == [(0, n) for n in range(5)]
    size = path.stat().st_size
    assert [(s.first, s.next) for s in reading.spans] == [(0, size), (size, size), (size, size)]


def test_files_are_read_through_fsspec(mini: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe("/warc-reading/mini.warc.gz", mini.read_bytes())
    try:
        (file,) = list_inputs(["memory://warc-reading/*.gz"], ())
        assert len(read_file(file, "warc", 4).pages) == 226
    finally:
        memory.rm("/warc-reading", recursive=True)


# ---- damage: whatever happens to the bytes, records are counted and ranges agree

PIECES = {
    "page": lambda n: record(http(PAGE + b"x" * n), n),
    "request": lambda n: record(b"GET / HTTP/1.1\r\n\r\n", n, kind="request"),
    "status": lambda n: record(http(status="404 Gone"), n),
    "long": lambda n: record(http(), n, length=10**9),
    "short": lambda n: record(http(), n, length=20),
    "no length": lambda n: record(http(), n, length="abc"),
    "garbage": lambda n: b"\x00\xffgarbage" * 9,
    "newlines": lambda n: b"\r\n" * n,
}
GOOD = {"page": "page", "request": "request", "status": "status"}


@settings(deadline=None, max_examples=60)
@given(
    kinds=st.lists(st.sampled_from(sorted(PIECES)), min_size=1, max_size=12),
    count=st.integers(1, 40),
    compressed=st.booleans(),
)
def test_damaged_files_read_the_same_in_any_number_of_splits(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], count: int, compressed: bool
) -> None:
    kinds = ["page", *kinds]
    pieces = [PIECES[kind](number) for number, kind in enumerate(kinds)]
    if compressed:
        pieces = [
            data if kind == "garbage" else member(data)
            for kind, data in zip(kinds, pieces, strict=True)
        ]
    path = tmp_path_factory.mktemp("damaged") / "x.warc"
    path.write_bytes(b"".join(pieces))
    whole = read_file(path, "warc")
    parts = read_file(path, "warc", count)
    assert parts.content() == whole.content()
    assert parts.skipped == whole.skipped
    assert parts.chains()
    pages = {page.source_id for page in whole.pages}
    wanted = {f"<urn:test:{n}>" for n, kind in enumerate(kinds) if kind == "page"}
    assert pages <= wanted
    if compressed:
        assert pages == wanted, "damage costs nothing but the member it is in"
        assert whole.skipped["warc_request"] == kinds.count("request")


@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_flipped_or_missing_byte_makes_a_wrong_page(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    originals = [member(record(http(PAGE + bytes([65 + n]) * 50), n)) for n in range(4)]
    stored = bytearray(b"".join(originals))
    at = data.draw(st.integers(0, len(stored) - 1))
    if data.draw(st.booleans()):
        stored[at] ^= data.draw(st.integers(1, 255))
    else:
        del stored[at:]
    path = tmp_path_factory.mktemp("flipped") / "x.warc.gz"
    path.write_bytes(stored)
    try:
        reading = read_file(path, "warc", data.draw(st.integers(1, 9)))
    except SourceError:
        assert at < 3, "only a file that does not begin as gzip is refused"
        return
    bodies = {PAGE + bytes([65 + n]) * 50 for n in range(4)}
    assert {page.body for page in reading.pages} <= bodies
    assert reading.chains()
    hit = sum(at >= sum(map(len, originals[: n + 1])) for n in range(4))
    before = [page.source_id for page in reading.pages][:hit]
    assert before == [f"<urn:test:{n}>" for n in range(hit)]


@settings(deadline=None, max_examples=100)
@given(
    noise=st.binary(max_size=400),
    count=st.integers(1, 5),
    opening=st.sampled_from(
        [
            b"WARC/1.0\r\n",
            member(b"WARC/1.0\r\n"),
            record(http(), 1),
            b"WARC/1.0\r\nContent-Length: 5\r\n",
        ]
    ),
)
def test_noise_is_counted_never_a_crash(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, count: int, opening: bytes
) -> None:
    path = tmp_path_factory.mktemp("noise") / "x.warc"
    path.write_bytes(opening + noise)
    reading = read_file(path, "warc", count)
    assert reading.records or reading.skipped
    assert reading.chains()


def stored_member(data: bytes) -> bytes:
    """A gzip member with its data in stored blocks, byte for byte."""
    deflater = zlib.compressobj(0, wbits=31)
    return deflater.compress(data) + deflater.flush()


def test_a_warc_kept_inside_a_record_shows_in_the_spans_and_can_be_read_again(
    tmp_path: Path,
) -> None:
    inner = b"".join(member(record(http(), n)) for n in range(100, 130))
    outer = stored_member(record(http(inner, "Content-Type: application/gzip"), 1))
    path = tmp_path / "nested.warc.gz"
    path.write_bytes(member(record(http(), 0)) + outer + member(record(http(), 2)))
    whole = read_file(path, "warc")
    assert [p.source_id for p in whole.pages] == ["<urn:test:0>", "<urn:test:2>"]
    splits = ranges(input_file(path), 2)
    torn = read_splits(splits, "warc")
    assert not torn.chains()
    first, second = splits
    again = Split(second.file, 1, 2, torn.spans[0].next, second.end)
    mended = read_splits([first, again], "warc")
    assert mended.chains()
    assert mended.content() == whole.content()


def test_a_plain_record_start_must_end_where_its_length_says(tmp_path: Path) -> None:
    example = (
        PAGE + b"<pre>\r\n\r\nWARC/1.0\r\nWARC-Type: response\r\nContent-Length: 9\r\n\r\nHTTP"
    )
    path = tmp_path / "manual.warc"
    path.write_bytes(b"".join(record(http(example * 20), n) for n in range(6)))
    whole = read_file(path, "warc")
    assert len(whole.pages) == 6
    parts = read_file(path, "warc", 37)
    assert parts.content() == whole.content()
    assert parts.chains()


def test_each_of_many_records_with_wrong_lengths_is_counted(tmp_path: Path) -> None:
    pieces = [record(http(), n, length=10**6 if n % 4 else None) for n in range(17)]
    path = tmp_path / "lengths.warc"
    path.write_bytes(b"".join(pieces))
    whole = read_file(path, "warc")
    assert len(whole.pages) == 5
    assert whole.lost == {"bad_length": 12}
    parts = read_file(path, "warc", 23)
    assert parts.content() == whole.content()
    assert parts.chains()


@pytest.mark.parametrize("compressed", [False, True])
def test_records_over_the_limit_are_lost_alone(tmp_path: Path, compressed: bool) -> None:
    big = record(http(b"<html>" + b"a" * (9 << 20)), 1)
    pieces = [record(http(), 0), big, record(http(), 2)]
    path = tmp_path / "big.warc"
    path.write_bytes(b"".join(map(member, pieces) if compressed else pieces))
    reading = read_file(path, "warc")
    assert [p.source_id for p in reading.pages] == ["<urn:test:0>", "<urn:test:2>"]
    (lost,) = [r for r in reading.records if isinstance(r, Lost)]
    assert (lost.cause, lost.url) == ("too_large", "https://site.example/1")


def test_a_wrong_length_inside_one_member_swallows_nothing(tmp_path: Path) -> None:
    data = record(http(), 0) + record(http(), 1, length=10**9) + record(http(), 2)
    path = tmp_path / "swallow.warc.gz"
    path.write_bytes(member(data))
    reading = read_file(path, "warc")
    assert [(p.source_id, p.ordinal) for p in reading.pages] == [
        ("<urn:test:0>", 0),
        ("<urn:test:2>", 2),
    ]
    assert reading.lost == {"bad_length": 1}


def test_a_file_that_changed_since_it_was_listed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.warc"
    path.write_bytes(record(http()))
    file = input_file(path)
    path.write_bytes(record(http()) * 2)
    with pytest.raises(SourceError, match="plan again"):
        read_file(file, "warc")
    path.unlink()
    with pytest.raises(SourceError, match="gone"):
        read_file(file, "warc")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"filedesc://x.arc 0.0.0.0 20240101 text/plain 1\n", "an ARC file"),
        (member(b"filedesc://x.arc 0.0.0.0\n"), "an ARC file (compressed)"),
        (b"<!DOCTYPE html><p>Not found", "an HTML page"),
        (b'{"text": "x"}\n', "JSON text"),
        (b"PAR1", "a Parquet file"),
        (b"\x28\xb5\x2f\xfd", "zstd data"),
        (b"some words", "plain text"),
    ],
)
def test_other_files_are_named_for_what_they_seem(
    tmp_path: Path, content: bytes, says: str
) -> None:
    path = tmp_path / "x.warc.gz"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        read_file(path, "warc")
    assert says in str(caught.value)
    assert str(path) in str(caught.value)


GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\x03"


@pytest.mark.parametrize(
    ("hostile", "compressed", "cause", "count"),
    [
        (b"\x1f\x8b\x08" * 20_000, True, "corrupt_gzip_member", 1),
        ((GZIP_HEADER + b"\xff" * 20) * 10_000, True, "corrupt_gzip_member", 1),
        (b"\0" * 5_000_000, True, "garbage", 1),
        (b"\0" * 5_000_000, False, "garbage", 1),
        (b"WARC/1.0\r\nWARC-A: 1\r\n" * 10_000, False, "bad_record_header", 10_000),
        (record(http(), 5, length=10**9) * 10_000, False, "bad_length", 10_000),
    ],
)
def test_hostile_bytes_between_two_pages_cost_those_bytes(
    tmp_path: Path, hostile: bytes, compressed: bool, cause: str, count: int
) -> None:
    pages = [record(http(), n) for n in range(2)]
    path = tmp_path / "hostile.warc"
    path.write_bytes(hostile.join(map(member, pages) if compressed else pages))
    reading = read_file(path, "warc")
    assert [page.source_id for page in reading.pages] == ["<urn:test:0>", "<urn:test:1>"]
    assert reading.lost == {cause: count}
