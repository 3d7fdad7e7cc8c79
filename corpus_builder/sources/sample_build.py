"""Turns the pinned archives into the sample's files, in memory, as names and bytes.

Invariant: the result depends on the archives' contents alone; records are ordered by a hash of
their URL, so every file holds a bit of everything, as a crawl's files do.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..archives import read_members
from ..store.atomic import json_bytes
from ..store.errors import IntegrityError
from .sample_origins import MAX_CODE_BYTES, MAX_PAGE_BYTES, MAX_PAGES_PER_TRANSLATION, Origin
from .sample_warc import Response, warc_file

WEB_FILES = 8
CODE_FILES = 4
DESCRIPTION = "quick-start sample: documentation pages of free software, hosts are made up"


@dataclass
class _Taken:
    """What was taken of all origins, and what was left out by cause."""

    pages: list[tuple[str, Response]] = field(default_factory=list)
    code: list[dict[str, str]] = field(default_factory=list)
    licenses: dict[str, bytes] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    origins: list[dict[str, Any]] = field(default_factory=list)


def build_files(origins: Sequence[Origin], downloads: Path, identity: str) -> dict[str, bytes]:
    """All files of the sample by relative path, `manifest.json` among them.

    Args:
        origins: what to take.
        identity: the sample's name, recorded in the manifest.
        downloads: folder that holds the origins' archives, verified.

    Raises:
        IntegrityError: an archive does not hold what its origin says.
    """
    taken = _Taken()
    for origin in origins:
        _take(origin, downloads, taken)
    files = dict(sorted(taken.licenses.items()))
    pages = _capped(taken)
    pages.sort(key=lambda page: _hashed(page.url))
    for index in range(WEB_FILES):
        name = f"part-{index}.warc.gz"
        files[f"web-docs/{name}"] = warc_file(name, DESCRIPTION, pages[index::WEB_FILES])
    taken.code.sort(key=lambda row: _hashed(row["url"]))
    for index in range(CODE_FILES):
        rows = taken.code[index::CODE_FILES]
        lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows]
        files[f"code/part-{index}.jsonl"] = "".join(lines).encode()
    files["manifest.json"] = json_bytes(_manifest(files, taken, len(pages), identity))
    return files


def manifest_digest(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest but for its own `digest`."""
    rest = {key: value for key, value in manifest.items() if key != "digest"}
    return hashlib.sha256(json_bytes(rest)).hexdigest()


def _manifest(files: dict[str, bytes], taken: _Taken, pages: int, identity: str) -> dict[str, Any]:
    manifest = {
        "sample": identity,
        "what": DESCRIPTION,
        "documents": {"web-docs": pages, "code": len(taken.code)},
        "left_out": dict(taken.left_out),
        "origins": taken.origins,
        "files": {
            name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
    }
    return {**manifest, "digest": manifest_digest(manifest)}


def _take(origin: Origin, downloads: Path, taken: _Taken) -> None:
    before = len(taken.pages), len(taken.code)
    licenses = set[str]()
    for path, content in _origin_files(origin, downloads):
        if path in origin.license_files:
            licenses.add(path)
            taken.licenses[f"licenses/{origin.name}-{origin.version}-{path}"] = content
        elif origin.code_language(path):
            _take_code(origin, path, content, taken)
        else:
            _take_page(origin, path, content, taken)
    found = len(taken.pages) - before[0], len(taken.code) - before[1]
    if licenses != set(origin.license_files) or not all(found):
        what = f"lacks pages, code or licence files of {origin.name} {origin.version}"
        raise IntegrityError(origin.pin.file, what, do="report this: the pinned table is wrong")
    entry = {"name": origin.name, "version": origin.version, "license": origin.license}
    entry |= {"archive": origin.pin.file, "sha256": origin.pin.sha256}
    taken.origins.append({**entry, "pages_seen": found[0], "code_files": found[1]})


def _origin_files(origin: Origin, downloads: Path) -> Iterator[tuple[str, bytes]]:
    """Wanted files of an origin, by path below the archive's top folder."""
    archive: Path | bytes = downloads / origin.pin.file
    where = origin.pin.file
    if origin.inner:
        inner = dict(
            read_members(archive, lambda name: _below_top(name) == origin.inner, where=where)
        )
        if len(inner) != 1:
            raise IntegrityError(where, f"does not hold {origin.inner}", do="fetch it again")
        (archive,) = inner.values()
        where = f"{where}:{origin.inner}"
    members = read_members(archive, lambda name: origin.wants(_below_top(name)), where=where)
    for name, content in members:
        yield _below_top(name), content


def _below_top(name: str) -> str:
    return name.partition("/")[2]


def _take_page(origin: Origin, path: str, content: bytes, taken: _Taken) -> None:
    if len(content) > MAX_PAGE_BYTES:
        taken.left_out["page_too_large"] += 1
    elif origin.page_notice not in content:
        taken.left_out["page_without_notice"] += 1
    else:
        url = f"https://{origin.name}.docs.example/{origin.version}/{path[len(origin.pages) :]}"
        response = Response(url, origin.released, origin.page_charset(path), content)
        taken.pages.append((origin.page_language(path) or "", response))


def _take_code(origin: Origin, path: str, content: bytes, taken: _Taken) -> None:
    if len(content) > MAX_CODE_BYTES:
        taken.left_out["code_too_large"] += 1
        return
    if origin.code_notice not in content:
        taken.left_out["code_without_notice"] += 1
        return
    try:
        text = content.decode()
    except UnicodeDecodeError:
        taken.left_out["code_not_utf8"] += 1
        return
    row = {"id": f"{origin.name}-{origin.version}/{path}", "text": text}
    row |= {"url": f"https://{origin.name}.code.example/{origin.version}/{path}"}
    row |= {"license": origin.license, "language": origin.code_language(path) or ""}
    taken.code.append({**row, "date": origin.released})


def _capped(taken: _Taken) -> list[Response]:
    """All English pages, and the first few by hash of every other language."""
    languages = defaultdict(list)
    for language, response in taken.pages:
        languages[language].append(response)
    kept = []
    for language, responses in languages.items():
        responses.sort(key=lambda response: _hashed(response.url))
        limit = len(responses) if language == "en" else MAX_PAGES_PER_TRANSLATION
        taken.left_out["page_over_translation_cap"] += len(responses[limit:])
        kept += responses[:limit]
    return kept


def _hashed(url: str) -> bytes:
    return hashlib.blake2b(url.encode(), digest_size=16).digest()
