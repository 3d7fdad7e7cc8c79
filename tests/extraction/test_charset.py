"""The charset rule of `charset.decode`, step by step, on written and on real pages."""

from __future__ import annotations

import codecs
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus_builder.extraction.charset import Decoded, declared_in_page, decode
from corpus_builder.extraction.labels import MULTI_BYTE, codec_of

FRENCH = "<p>Élève naïf, déjà à l'école</p>"
JAPANESE = "<p>港の管理者は、到着した船の名前を毎日帳簿に書き記した。</p>"
KOREAN = "<p>항구 관리자는 도착한 배의 이름을 날마다 장부에 적었다.</p>"
RUSSIAN = "<p>Начальник порта каждый день записывал имена кораблей.</p>"


def meta(label: str) -> bytes:
    return f'<meta charset="{label}">'.encode()


@pytest.mark.parametrize(
    ("body", "http", "charset", "how", "text"),
    [
        (codecs.BOM_UTF8 + FRENCH.encode(), "latin1", "utf-8", "bom", FRENCH),
        (codecs.BOM_UTF16_LE + FRENCH.encode("utf-16-le"), "utf-8", "utf-16-le", "bom", FRENCH),
        (codecs.BOM_UTF16_BE + FRENCH.encode("utf-16-be"), None, "utf-16-be", "bom", FRENCH),
        (FRENCH.encode("cp1252"), "iso-8859-1", "cp1252", "http", FRENCH),
        (KOREAN.encode("cp949"), "ks_c_5601-1987", "cp949", "http", KOREAN),
        (JAPANESE.encode("cp932"), "no-such-charset", "cp932", "detected", JAPANESE),
        (JAPANESE.encode("euc_jp"), None, "euc_jp", "detected", JAPANESE),
        (RUSSIAN.encode("cp1251"), None, "cp1251", "detected", RUSSIAN),
        (RUSSIAN.encode("koi8-r"), None, "koi8-r", "detected", RUSSIAN),
        (KOREAN.encode("cp949"), None, "cp949", "detected", KOREAN),
        (KOREAN.encode("cp949"), "utf-8", "cp949", "detected", KOREAN),
        (FRENCH.encode("cp1252"), "utf-8", "cp1252", "detected", FRENCH),
        (FRENCH.encode(), None, "utf-8", "utf-8", FRENCH),
        (FRENCH.encode(), "iso-8859-1", "utf-8", "utf-8", FRENCH),
        (2 * FRENCH.encode(), "euc-kr", "utf-8", "utf-8", 2 * FRENCH),
        ("è".encode(), "euc-kr", "cp949", "http", "챔"),
        ("è".encode(), "iso-8859-1", "utf-8", "utf-8", "è"),
        (b"plain", None, "utf-8", "utf-8", "plain"),
        (b"plain", "iso-8859-1", "cp1252", "http", "plain"),
        (b"", None, "utf-8", "utf-8", ""),
        (JAPANESE.encode("iso2022_jp"), "iso-2022-jp", "iso2022_jp", "http", JAPANESE),
        (b"a\0b", None, "utf-8", "utf-8", "ab"),
    ],
)
def test_the_rule(body: bytes, http: str | None, charset: str, how: str, text: str) -> None:
    assert decode(body, http) == Decoded(text, charset, how, 0)


def test_the_page_is_believed_where_the_header_is_refuted() -> None:
    found = decode(meta("euc-kr") + KOREAN.encode("cp949"), "utf-8")
    assert (found.charset, found.how, found.replaced) == ("cp949", "meta", 0)


def test_a_declared_charset_is_repaired_when_few_characters_are_bad() -> None:
    found = decode(RUSSIAN.encode() * 3 + b"\xff" + b"<p>", "utf-8")
    assert (found.charset, found.how, found.replaced) == ("utf-8", "http", 1)
    assert found.text == RUSSIAN * 3 + "\ufffd<p>"


def test_a_character_cut_off_by_the_end_is_dropped() -> None:
    assert decode("<p>déjà".encode()[:-1], "utf-8") == Decoded("<p>déj", "utf-8", "http", 0)
    assert decode(JAPANESE[:-4].encode("cp932")[:-1], "shift_jis").replaced == 0


def test_an_own_replacement_character_is_not_counted() -> None:
    assert decode(codecs.BOM_UTF8 + "a\ufffd".encode() + b"\xff", None).replaced == 1


@pytest.mark.parametrize(
    ("head", "codec"),
    [
        (b'<meta charset="Shift_JIS">', "cp932"),
        (b"<META CHARSET=gb2312 >", "gb18030"),
        (b"<meta charset='latin1'/>", "cp1252"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=EUC-KR">', "cp949"),
        (b"<meta content='text/html;charset=big5' http-equiv=content-type>", "big5hkscs"),
        (b'<meta name="description" content="charset=big5">', None),
        (b'<!-- <meta charset="big5"> --><meta charset="utf8">', "utf-8"),
        (b'<meta charset="nonsense"><meta charset="koi8-r">', "koi8-r"),
        (b'<meta charset="utf-16">', "utf-8"),
        (b'<meta charset="x-user-defined">', "cp1252"),
        (b'<?xml version="1.0" encoding="ISO-8859-2"?><html>', "iso8859-2"),
        (b" " * 5000 + b'<meta charset="big5">', None),
        (b"<metadata charset=big5>", None),
        (b'<meta http-equiv="refresh" content="0; charset=big5">', None),
        (b"", None),
    ],
)
def test_what_a_page_declares(head: bytes, codec: str | None) -> None:
    assert declared_in_page(head) == codec


def test_every_codec_of_the_table_exists() -> None:
    labels = ["utf8", "latin1", "gbk", "sjis", "windows-949", "unicode", "tis-620", "macintosh"]
    assert all(codecs.lookup(codec_of(label) or "") for label in labels)
    assert all(codecs.lookup(codec) for codec in MULTI_BYTE)
    assert codec_of(" UTF-8 ") == "utf-8"
    assert codec_of("utf-7") is codec_of("") is codec_of(None) is None


_CHARSETS = """
utf-8 iso-8859-2 iso-8859-7 koi8-r windows-1250 windows-1251 windows-1252 windows-1256 windows-874
gb18030 big5 euc-jp shift_jis euc-kr
"""
CHARSETS = _CHARSETS.split()


@given(st.sampled_from(CHARSETS), st.text(max_size=60), st.booleans())
def test_what_a_charset_can_write_is_read_back(label: str, text: str, in_page: bool) -> None:
    codec = codec_of(label)
    assert codec is not None
    head = meta(label) if in_page else b""
    text = text.replace("\0", "")
    body = text.encode(codec, "ignore")
    text = body.decode(codec)
    found = decode(head + body, None if in_page else label)
    if found.charset == codec:
        assert (found.text, found.replaced) == (head.decode() + text, 0)
    else:
        assert found.charset in ("utf-8", "utf-16-le", "utf-16-be")
        assert found.how == "bom" or found.text == (head + body).decode("utf-8")


@given(st.binary(max_size=300), st.sampled_from([None, *CHARSETS, "utf-16", "hz-gb-2312"]))
def test_any_bytes_give_storable_text(body: bytes, http: str | None) -> None:
    found = decode(body, http)
    found.text.encode("utf-8")
    assert "\0" not in found.text
    assert found.replaced >= 0
    assert decode(body, http) == found


def test_real_pages_are_read_as_their_publishers_wrote_them(shared_data: Path) -> None:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    expected = {"euc-kr": "cp949", "iso-8859-1": "cp1252", "utf-8": "utf-8"}
    lines = (shared_data / "warc/debian-docs.pages.jsonl").read_text(encoding="utf-8").splitlines()
    charsets = {page["url"]: expected[page["charset"]] for page in map(json.loads, lines)}
    seen = 0
    with (shared_data / "warc/debian-docs.warc.gz").open("rb") as stream:
        for record in ArchiveIterator(stream, record_types=WarcRecordType.response):
            charset = charsets.get(record.headers["WARC-Target-URI"])
            if charset is None or (charset == "utf-8" and seen % 8):
                seen += charset is not None
                continue
            seen += 1
            found = decode(record.reader.read(), record.http_charset)
            assert (found.charset, found.replaced) == (charset, 0)
    assert seen > 3000
