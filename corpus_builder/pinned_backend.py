"""A build backend that builds nothing: it answers pip's question for a source archive's metadata.

Downloading a source archive through pip asks the archive's own build code for its metadata, which
would run that code and need its build tools. `pinned.py` puts a copy of this file where pip looks
for `setuptools.build_meta`; the answer comes from the archive's PKG-INFO. It runs in pip's
interpreter: standard library only.
"""

from __future__ import annotations

import sys
from email.parser import HeaderParser
from pathlib import Path

# What pip asks for where an archive names no backend of its own.
__legacy__ = sys.modules[__name__]


def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:
    """Nothing is needed."""
    return []


def prepare_metadata_for_build_wheel(
    metadata_directory: str, config_settings: object = None
) -> str:
    """Write the metadata of the archive unpacked in the current folder; return its subfolder."""
    declared = HeaderParser().parsestr(Path("PKG-INFO").read_text(encoding="utf-8"))
    name, version = declared["Name"], declared["Version"]
    folder = Path(metadata_directory, f"{name.replace('-', '_')}-{version}.dist-info")
    folder.mkdir(parents=True)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (folder / "METADATA").write_text(metadata, encoding="utf-8")
    return folder.name
