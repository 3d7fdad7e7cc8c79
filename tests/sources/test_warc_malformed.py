"""Broken archives as a specification: pages, losses by cause and skipped records of each file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from archives_of import read_file

from corpus_builder.sources.records import Lost
from corpus_builder.store.errors import SourceError

# file -> (pages, losses by cause, records skipped, {what was skipped beside WARC records})
OURS = {
    "w01_truncated_gzip.warc.gz": (4, {"truncated": 1}, 0),
    "w02_one_gzip_member.warc.gz": (5, {}, 0),
    "w04_garbage_between_members.warc.gz": (4, {"garbage": 1}, 0),
    "w05_bad_crc.warc.gz": (4, {"corrupt_gzip_member": 1}, 0),
    "w06_not_gzip.warc.gz": (3, {}, 0),
    "w07_gzip_named_warc.warc": (3, {}, 0),
    "w08_empty.warc.gz": (0, {}, 0),
    "w09_empty_gzip_member.warc.gz": (2, {}, 2),
    "w11_gzip_bomb_1GiB.warc.gz": (2, {"too_large": 1}, 0),
    "w12_content_encoding_bomb.warc.gz": (2, {"too_large": 1}, 0),
    "w13_length_too_long.warc": (4, {"bad_length": 1}, 0),
    "w15_length_not_number.warc": (2, {"bad_record_header": 1}, 0),
    "w16_length_negative.warc": (2, {"bad_record_header": 1}, 0),
    "w17_no_length.warc": (2, {"bad_record_header": 1}, 0),
    "w18_no_type_no_id_no_date.warc": (2, {"bad_record_header": 1}, 0),
    "w19_no_target_uri.warc": (2, {"bad_record_header": 1}, 0),
    "w21_lf_only.warc": (2, {}, 0),
    "w23_header_latin1_bytes.warc": (2, {}, 0),
    "w24_huge_header.warc.gz": (1, {"bad_record_header": 1}, 0),
    "w25_duplicate_uris.warc.gz": (6, {}, 0),
    "w27_wrong_digest.warc.gz": (2, {}, 0),
    "w28_types_mixed.warc.gz": (1, {}, 7),
    "w29_http_broken.warc.gz": (1, {"http_broken": 5}, 0),
    "w31_gzip_body.warc.gz": (3, {"body_decode_error": 1}, 0),
    "w32_non_html.warc.gz": (3, {"not_html": 6}, 0),
    "w33_huge_record.warc.gz": (1, {"too_large": 1}, 0),
    "html_all.warc.gz": (21, {"empty_body": 1, "too_large": 1}, 0),
}
UPSTREAM = {
    "aut__example.txt.warc.gz": (0, {"not_html": 2}, 4),
    "aut__issue-493.warc": (4, {"http_status": 1, "not_html": 5}, 22),
    "aut__issue-514.warc": (1, {"http_status": 1}, 6),
    "cdxj-indexer__missing-http.warc.gz": (0, {"http_broken": 1}, 1),
    "cdxj-indexer__post-test-more.warc": (0, {"not_html": 3}, 3),
    "chatnoir-resiliparse__block-sized-records.warc": (0, {}, 3),
    "chatnoir-resiliparse__block-sized-records.warc.gz": (0, {}, 3),
    "chatnoir-resiliparse__clipped.warc.gz": (0, {"truncated": 1}, 0),
    "chatnoir-resiliparse__clueweb-quirk.warc.gz": (29, {}, 1),
    "ia-web-commons__IAH-urls-wget.warc": (2, {"http_status": 9, "not_html": 5}, 20),
    "ia-web-commons__IAH-urls-wget.warc.gz": (2, {"http_status": 9, "not_html": 5}, 20),
    "ia-web-commons__empty.gz": (0, {}, 1),
    "ia-web-commons__html-lang-attribute.warc": (5, {}, 0),
    "ia-web-commons__link-extraction-test.warc": (9, {}, 1),
    "ia-web-commons__meta-itemprop.warc": (1, {}, 0),
    "ia-web-commons__mutliple-headers.warc": (1, {}, 0),
    "ia-web-commons__text-extraction-test.warc": (1, {"not_html": 1}, 2),
    "ia-web-commons__title-extraction-embedded-SVG.warc": (1, {}, 0),
    "jhove__invalid-warcfile-segment-number-response.warc": (0, {"segmented": 2}, 0),
    "jhove__invalid-warcrecord-1.warc": (0, {"bad_record_header": 2}, 4),
    "jhove__invalid-warcrecord-2.warc": (0, {"not_html": 3}, 3),
    "jhove__invalid-warcrecord-3.warc": (0, {"not_html": 3, "bad_length": 2, "truncated": 1}, 0),
    "jhove__invalid-warcrecorddigests-1.warc": (0, {"not_html": 7}, 0),
    "jhove__valid-warcfile-upper-lower-case.warc": (0, {}, 5),
    "jhove__valid-warcfile-upper-lower-case.warc.gz": (0, {}, 5),
    "jhove__valid-warcfile-utf8.warc": (0, {}, 1),
    "jhove__valid-warcfile-fields-continuation.warc": (0, {}, 1),
    "jwarc__cc.warc.gz": (1, {}, 0),
    "jwarc__gzip_extra_sl.warc.gz": (0, {}, 1),
    "warcio__example-bad-non-chunked.warc.gz": (1, {}, 5),
    "warcio__example-iana.org-chunked.warc": (1, {}, 2),
    "warcio__example-resource.warc.gz": (0, {}, 3),
    "warcio__example-space-in-target-uri.warc.gz": (0, {}, 2),
    "warcio__example-trunc.warc": (0, {"bad_length": 1}, 3),
    "warcio__example-wget-bad-target-uri.warc.gz": (1, {}, 5),
    "warcio__example-wrong-chunks.warc.gz": (1, {}, 1),
    "warcio__example.warc": (1, {}, 5),
    "warcio__example.warc.gz": (1, {}, 5),
    "warcio__post-test.warc.gz": (0, {"not_html": 3}, 3),
    "whirlwind-python__whirlwind.warc.gz": (1, {}, 3),
    "whirlwind-python__whirlwind.warc.wat.gz": (0, {}, 2),
    "whirlwind-python__whirlwind.warc.wet.gz": (0, {}, 2),
}
REFUSED = {
    "w35_text_file.warc": "plain text",
    "w36_html_404_saved.warc.gz": "an HTML page",
    "upstream/aut__badexample.arc.gz": "an ARC file (compressed)",
    "upstream/cdxj-indexer__bad.arc": "an ARC file",
    "upstream/chatnoir-resiliparse__block-sized-records.warc.lz4": "lz4 data",
    "upstream/ia-web-commons__IAH-20080430204825-00000-blackbook-truncated.arc": "an ARC file",
    "upstream/ia-web-commons__abcd.gz": "plain text (compressed)",
    "upstream/ia-web-commons__double-single-inflate-error.gz": "plain text (compressed)",
    "upstream/ia-web-commons__hi.gz": "plain text (compressed)",
    "upstream/ia-web-commons__hi-2.gz": "plain text (compressed)",
    "upstream/jhove__invalid-warcreader-diagnosis-1.warc": "plain text",
    "upstream/warcio__bad.arc": "an ARC file",
    "upstream/warcio__example-space-in-url.arc": "an ARC file",
    "upstream/warcio__example.arc": "an ARC file",
    "upstream/warcio__example.arc.gz": "an ARC file (compressed)",
}
TABLE = OURS | {f"upstream/{name}": expected for name, expected in UPSTREAM.items()}


@pytest.fixture(scope="module")
def malformed(shared_data: Path) -> Path:
    return shared_data / "malformed"


@pytest.mark.parametrize("name", TABLE)
def test_pages_losses_and_skipped_records(malformed: Path, name: str) -> None:
    reading = read_file(malformed / name, "warc")
    pages, lost, skipped = TABLE[name]
    assert (len(reading.pages), dict(reading.lost)) == (pages, lost)
    assert sum(reading.skipped.values()) == skipped
    assert reading.spans[0].next == (malformed / name).stat().st_size


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_warc_is_refused_by_its_looks(malformed: Path, name: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_file(malformed / name, "warc")
    assert f"seems to be {REFUSED[name]};" in str(caught.value)


def test_every_upstream_file_reads_the_same_in_any_number_of_splits(malformed: Path) -> None:
    for path in sorted((malformed / "upstream").iterdir()):
        if f"upstream/{path.name}" in REFUSED:
            continue
        whole = read_file(path, "warc")
        for count in (2, 5, 16):
            parts = read_file(path, "warc", count)
            assert parts.content() == whole.content(), path.name
            assert parts.skipped == whole.skipped, path.name
            assert parts.chains(), path.name


def test_a_broken_record_still_names_its_page(malformed: Path) -> None:
    for name in ("w01_truncated_gzip.warc.gz", "w05_bad_crc.warc.gz"):
        (lost,) = [r for r in read_file(malformed / name, "warc").records if isinstance(r, Lost)]
        assert lost.url.startswith("https://ok.example/"), name
        assert lost.position > 0, name


def test_header_bytes_that_are_not_utf8_are_latin1(malformed: Path) -> None:
    urls = [
        page.url for page in read_file(malformed / "w23_header_latin1_bytes.warc", "warc").pages
    ]
    assert any("é" in url or "ü" in url for url in urls), urls


def test_angle_brackets_around_a_uri_are_dropped(malformed: Path) -> None:
    name = "upstream/warcio__example-wget-bad-target-uri.warc.gz"
    assert [page.url for page in read_file(malformed / name, "warc").pages] == [
        "http://example.com/"
    ]


BOMBS = [
    "w11_gzip_bomb_1GiB.warc.gz",
    "w12_content_encoding_bomb.warc.gz",
    "w13_length_too_long.warc",
    "w24_huge_header.warc.gz",
    "w33_huge_record.warc.gz",
]
PROBE = """
import resource, sys
from pathlib import Path
from archives_of import OPTIONS, input_file, ranges
from corpus_builder.sources.reading import read
import corpus_builder.sources.warc
path = Path(sys.argv[1])
(split,) = ranges(input_file(path), 1)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for record in read(split, "warc", OPTIONS):
    del record
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_a_bounded_amount_of_memory(malformed: Path, name: str) -> None:
    """Less than 48 MiB on top of the interpreter, with a limit of 8 MiB a record."""
    folder = Path(__file__).parent
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(malformed / name)],
        capture_output=True,
        text=True,
        check=True,
        cwd=folder,
        env={"PYTHONPATH": f"{folder}:{folder.parents[1]}", "PATH": ""},
    )
    assert int(done.stdout) * (1 if sys.platform == "darwin" else 1024) < 48 << 20


def test_a_file_of_one_broken_header_is_one_unit(malformed: Path) -> None:
    headers = sorted((malformed / "upstream").glob("jhove__invalid-warcheader*.warc"))
    headers += sorted((malformed / "upstream").glob("jhove__invalid-warcfile-fields-*.warc"))
    blank = [path for path in headers if not path.read_bytes().strip()]
    assert (len(headers), len(blank)) == (46, 1)
    for path in headers:
        reading = read_file(path, "warc")
        units = len(reading.records) + sum(reading.skipped.values())
        assert (len(reading.pages), units) == (0, 0 if path in blank else 1), path.name
