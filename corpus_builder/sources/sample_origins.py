"""What the quick-start sample is made of: folders of pinned source archives, with their licences.

Invariant: every origin is under a permissive licence, read in its own licence file, which travels
with the sample; where single files could be under other terms, only those that carry the origin's
notice are taken.
"""

from __future__ import annotations

from dataclasses import dataclass

from .. import pins
from ..pinned import Pin

MAX_PAGE_BYTES = 300_000  # larger ones are indices and changelogs that take seconds to extract
MAX_CODE_BYTES = 40_000
MAX_PAGES_PER_TRANSLATION = 25  # of each language but English
CODE_LANGUAGES = {".py": "Python", ".c": "C", ".h": "C"}
_NOT_PAGES = ("/_static/", "/_templates/", "/style/")


@dataclass(frozen=True, slots=True)
class Origin:
    """One project's part in the sample. Paths are below the archive's top folder.

    Attributes:
        released: date that its records carry.
        license: SPDX expression.
        license_files: copied into the sample.
        pin: the archive it is in.
        inner: path of an archive within that archive, if it is in there.
        pages: folder of its rendered HTML pages.
        code: folders of its source files.
        page_notice: a page without these bytes is not taken.
        code_notice: a source file without these bytes is not taken.
        translated: page names end in `.html.LANGUAGE` or `.html.LANGUAGE.CHARSET`.
    """

    name: str
    version: str
    released: str
    license: str
    license_files: tuple[str, ...]
    pin: Pin
    pages: str
    code: tuple[str, ...]
    inner: str = ""
    page_notice: bytes = b""
    code_notice: bytes = b""
    translated: bool = False

    def page_language(self, path: str) -> str | None:
        """Language of the page at `path` as its name tells it ("en" by default); None: no page."""
        if not path.startswith(self.pages) or any(part in path for part in _NOT_PAGES):
            return None
        stem, dot, suffixes = path.rpartition("/")[2].partition(".html")
        if not self.translated:
            return "en" if dot and not suffixes else None
        return suffixes.split(".")[1] if stem and suffixes.startswith(".") else None

    def page_charset(self, path: str) -> str:
        """Charset that a server tells for a page of this name, or "" (the page must say it)."""
        named = path.partition(".html.")[2].partition(".")[2] if self.translated else ""
        return {"utf8": "utf-8"}.get(named, named)

    def code_language(self, path: str) -> str | None:
        """Programming language of the file at `path`; None if it is not part of the sample."""
        if not path.startswith(self.code):
            return None
        return CODE_LANGUAGES.get("." + path.rpartition(".")[2])

    def wants(self, path: str) -> bool:
        """Whether anything of the file at `path` goes into the sample."""
        if path in self.license_files:
            return True
        return bool(self.page_language(path) or self.code_language(path))


_HTTPD_CODE = ("aaa", "filters", "generators", "http", "loggers")
_SQLALCHEMY_CODE = ("engine", "event", "ext", "orm", "pool", "util")

ORIGINS = (
    Origin(
        "httpd", "2.4.69", "2026-09-29", "Apache-2.0", ("LICENSE", "NOTICE"), pins.HTTPD,
        "docs/manual/", ("server/", *(f"modules/{name}/" for name in _HTTPD_CODE)),
        inner="upstream/httpd-2.4.69.tar.gz",
        page_notice=b"www.apache.org/licenses/LICENSE-2.0",
        code_notice=b"Licensed to the Apache Software Foundation", translated=True,
    ),
    Origin(
        "pcre2", "10.49", "2026-09-28", "BSD-3-Clause", ("LICENCE.md",), pins.HTTPD,
        "doc/html/", ("src/",),
        inner="upstream/pcre2-10.49.tar.gz", code_notice=b"University of Cambridge",
    ),
    Origin(
        "sqlalchemy", "2.0.36", "2024-10-15", "MIT", ("LICENSE",), pins.SQLALCHEMY,
        "doc/", (*(f"lib/sqlalchemy/{name}/" for name in _SQLALCHEMY_CODE), "examples/"),
    ),
    Origin(
        "alembic", "1.14.0", "2024-11-04", "MIT", ("LICENSE",), pins.ALEMBIC,
        "docs/", ("alembic/",),
    ),
    Origin(
        "mako", "1.3.6", "2024-10-21", "MIT", ("LICENSE",), pins.MAKO,
        "doc/", ("mako/", "test/"),
    ),
    # The release before: near-duplicates as a crawl of versioned documentation has them.
    Origin(
        "mako", "1.3.5", "2024-05-14", "MIT", ("LICENSE",), pins.MAKO_BEFORE,
        "doc/", ("mako/", "test/"),
    ),
)  # fmt: skip
