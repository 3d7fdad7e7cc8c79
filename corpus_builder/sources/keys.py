"""Whether JSON Lines have the keys that a recipe names, before anything is read in earnest.

A Parquet file says which columns it has; an object may lack a key that others have. But a key that
no object at the start of any file has is a misspelt one, and a run would only make nulls of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from corpus_builder.sources.jsonl import first_objects
from corpus_builder.sources.records import InputFile
from corpus_builder.store.errors import SourceError, did_you_mean

FILES = 8
"""Files looked into, spread over all."""

LINES = 100
"""Lines looked at in each."""


def check_keys(
    where: str, files: Sequence[InputFile], named: Mapping[str, str], max_record_bytes: int
) -> None:
    """Refuse keys that none of the first objects has; null is a value as good as another.

    Args:
        where: the source, for the message.
        named: what a key is read as (`text`, `date`, a score) -> the key.

    Raises:
        SourceError: a key is nowhere. Files that cannot be read are left to the stage that reads.
    """
    missing, seen = dict(named), dict[str, None]()  # in the order met
    looked: list[str] = []
    for file in files[:: -(-len(files) // FILES)]:
        try:
            for row in first_objects(file, LINES, max_record_bytes):
                seen |= dict.fromkeys(row)
                missing = {what: key for what, key in missing.items() if key not in row}
                if not missing:
                    return
        except SourceError:
            continue
        looked.append(file.url)
    if not seen:
        return
    what, key = next(iter(missing.items()))
    raise SourceError(
        where,
        f"no object has the key {key!r}, to be read as `{what}`, in the first {LINES} lines of "
        + (looked[0] if len(looked) == 1 else f"each of {len(looked)} files"),
        allowed=did_you_mean(key, seen),
        do="correct it" if what == "text" else "correct it, or leave it out",
    )
