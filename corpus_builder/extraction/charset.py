"""From a page's bytes to text, by what it declares, verified, then by what its bytes say.

Invariant: any bytes give text without NUL and without surrogates, always the same.

The rule, first match wins. "Strictly" tolerates one thing: a character cut off by the end of the
body. "Repaired" means at most one U+FFFD for ten sound non-ASCII characters.

1. `bom`: a byte order mark of UTF-8 or UTF-16; errors become U+FFFD.
2. `utf-8`: the body is UTF-8 strictly, has non-ASCII characters, and either 8 of them (what is in
   another charset is not UTF-8 by chance that often) or no declared multi-byte charset that reads
   it strictly (in a single-byte charset anything is valid: validity there is no evidence).
3. `http`, then `meta`: the declared charset reads it strictly, or repaired.
4. `utf-8`: no usable declaration, and the body is UTF-8 (ASCII included) strictly.
5. `detected`: what the detector says, strictly or repaired, unless it says UTF-8 (refuted above).
6. `fallback`: windows-1252, where five byte values only are undefined.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

from .labels import MULTI_BYTE, codec_of

NOT_BY_CHANCE = 8  # non-ASCII characters
META_WINDOW = 4096  # bytes; HTML says 1024, but real heads open with long comments and scripts
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.S)
_META = re.compile(rb"<meta[\s/]([^>]*)", re.I)
_ATTRIBUTE = re.compile(rb"""([^\s/>="']+)\s*=\s*(?:"([^"]*)|'([^']*)|([^\s"'>]+))""")
_CHARSET = re.compile(rb"""charset\s*=\s*["']?\s*([^\s"';]+)""", re.I)
_XML = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([^"']+)["']""")
_HANGUL = re.compile("[\uac00-\ud7a3]")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A page's text and how it was read.

    Attributes:
        charset: Python codec name.
        how: the step of the rule that decided: bom, http, meta, utf-8, detected, fallback.
        replaced: characters that became U+FFFD.
    """

    text: str
    charset: str
    how: str
    replaced: int


def decode(body: bytes, http_charset: str | None) -> Decoded:
    """Decode a page by the rule in the module's docstring.

    Args:
        body: the page, transfer and content encoding removed.
        http_charset: charset parameter of the Content-Type header; unknown labels are ignored.
    """
    for mark, codec in _BOMS:
        if body.startswith(mark):
            return _replacing(body[len(mark) :], codec, "bom")
    declared = list(_declared(body, http_charset))
    utf8 = _strict(body, "utf-8", dict(declared).get("utf-8", "utf-8"))
    if utf8 is not None and not utf8.text.isascii():
        if _non_ascii(utf8.text) >= NOT_BY_CHANCE:
            return utf8
        strict = (_strict(body, codec, how) for codec, how in declared if codec in MULTI_BYTE)
        return next((found for found in strict if found is not None), utf8)
    for codec, how in declared:
        found = _strict(body, codec, how) or _repaired(body, codec, how)
        if found is not None:
            return found
    return utf8 or _detected(body) or _replacing(body, "cp1252", "fallback")


def declared_in_page(body: bytes) -> str | None:
    """The codec a page's own meta (or XML) declaration names, if known.

    UTF-16 there means UTF-8 and x-user-defined means windows-1252 (HTML, section 13.2.3.2).
    """
    head = _COMMENT.sub(b"", body[:META_WINDOW])
    for meta in _META.finditer(head):
        attributes = {
            m[1].lower(): m[2] or m[3] or m[4] or b"" for m in _ATTRIBUTE.finditer(meta[1])
        }
        label = attributes.get(b"charset", b"")
        if attributes.get(b"http-equiv", b"").strip().lower() == b"content-type":
            inside = _CHARSET.search(attributes.get(b"content", b""))
            label = inside[1] if inside else label
        if codec := _page_codec(label):
            return codec
    xml = _XML.match(head)
    return _page_codec(xml[1]) if xml else None


def _page_codec(raw: bytes) -> str | None:
    label = raw.decode("ascii", "replace").lower()
    codec = "cp1252" if label == "x-user-defined" else codec_of(label)
    return "utf-8" if codec and codec.startswith("utf-16") else codec


def _declared(body: bytes, http_charset: str | None) -> Iterator[tuple[str, str]]:
    http = codec_of(http_charset)
    if http:
        yield http, "http"
    meta = declared_in_page(body)
    if meta and meta != http:
        yield meta, "meta"


def _detected(body: bytes) -> Decoded | None:
    """The detector's word, verified. It takes EUC-KR for UTF-8: Hangul is looked for instead."""
    from resiliparse.parse.encoding import detect_encoding

    name = detect_encoding(body, max_len=len(body), html5_compatible=False) or ""
    codec = codec_of(name) or codec_of(name.replace("_", "-"))
    if codec and codec != "utf-8":
        return _strict(body, codec, "detected") or _repaired(body, codec, "detected")
    korean = _strict(body, "cp949", "detected")
    if korean and 2 * len(_HANGUL.findall(korean.text)) > _non_ascii(korean.text):
        return korean
    return _repaired(body, "utf-8", "detected")


def _strict(body: bytes, codec: str, how: str) -> Decoded | None:
    """`body` read without an error but a character cut off at its end, else None."""
    try:
        text = codecs.getincrementaldecoder(codec)("strict").decode(body, False)
    except UnicodeDecodeError:
        return None
    return Decoded(_storable(text), codec, how, 0)


def _repaired(body: bytes, codec: str, how: str) -> Decoded | None:
    found = _replacing(body, codec, how)
    sound = _non_ascii(found.text) - found.replaced
    return found if found.replaced * 10 <= sound else None


def _replacing(body: bytes, codec: str, how: str) -> Decoded:
    text = body.decode(codec, "replace")
    own = body.count(b"\xef\xbf\xbd") if codec == "utf-8" else 0
    return Decoded(_storable(text), codec, how, text.count("\ufffd") - own)


def _non_ascii(text: str) -> int:
    return len(text) - len(text.encode("ascii", "ignore"))


def _storable(text: str) -> str:
    """Drop NULs, as HTML does in text. No codec used here yields surrogates."""
    return text.replace("\0", "") if "\0" in text else text
