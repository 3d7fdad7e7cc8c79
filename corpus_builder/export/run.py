"""Running an export: choose, refuse what cannot be, write beside, hash, rename.

Invariant: the same recipe, run and format give the same bytes; a target that is there already is
left alone: it is the same export, complete, or an error.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ..stages.base import Context, Stage
from ..stages.buckets import BucketStage
from ..store.atomic import sha256_file
from ..store.errors import DataError, RecipeError
from .content import Content, sealed
from .folder import staged
from .formats import Format, choose, how_to_read
from .manifest import ExportManifest, Origin, TokenizerEntry, entries_of, read, write

_UNWRITTEN: dict[str, Any] = {"counts": {}, "files": [], "digest": ""}

_CACHE = re.compile(r"cache-[0-9a-f]+(_\d+_of_\d+)?\.arrow")
"""What `datasets` leaves beside a dataset that was mapped or filtered."""


@dataclass(frozen=True)
class ExportReport:
    """What an export came to.

    Attributes:
        written: False where the same export was there already, complete.
    """

    target: Path
    manifest: ExportManifest
    written: bool

    @property
    def bytes(self) -> int:
        """Size of all files but the manifest."""
        return sum(file.bytes for file in self.manifest.files)


def target_of(out: Path, given: str | Path | None, to: str, what: str | None = None) -> Path:
    """Where an export of the run in `out` goes: where it is told to, or under `exports`.

    Raises:
        RecipeError: no such format, an empty path, or one inside a folder of the run's own stages.
    """
    entry, chosen = choose(to, what)
    if given is None:
        return out / "exports" / f"{entry.name}-{chosen}"
    if str(given) == "":
        do = "name a folder, or leave the target out"
        raise RecipeError("--target", "is empty (a variable without a value?)", do=do)
    stages = (out / "stages").resolve()
    if stages in (Path(given).resolve(), *Path(given).resolve().parents):
        do = "name another folder"
        raise RecipeError(
            "--target", f"{given} lies in {stages}, where the run keeps its own", do=do
        )
    return Path(given)


def export(
    context: Context, recipe: str, to: str, target: Path, what: str | None = None
) -> ExportReport:
    """Lay out a finished run for a trainer.

    Args:
        context: of a run whose mix is built.
        recipe: its name, for the record.
        to: a name of FORMATS.
        target: folder to make.
        what: `mix`, `documents` or `text`; the format's default when None.

    Raises:
        RecipeError: no such format, or the recipe has nothing of the kind.
        DataError: the run is not finished, the target is something else, or the format cannot
            hold the data.
        IntegrityError: a store is not what its record says.
        LockedError: another export writes to the target.
    """
    entry, chosen = choose(to, what)
    content = Content(context)
    for stage in _origins(content, entry, chosen):
        sealed(context, stage)
    found = _there(content, recipe, entry, chosen, target)
    if found is not None:
        return ExportReport(target, found, written=False)
    with staged(target) as folder:
        module = import_module(f".{entry.name}", __package__)
        counts = module.write(content, chosen, folder)
        shutil.copyfile(content.tokenizer, folder / "tokenizer.json")
        files = entries_of(folder)
        described = _describe(content, recipe, entry, chosen)
        manifest = described.model_copy(update={"counts": counts, "files": files}).sealed()
        write(folder, manifest)
    return ExportReport(target, manifest, written=True)


def _there(
    content: Content, recipe: str, entry: Format, what: str, target: Path
) -> ExportManifest | None:
    """The manifest of the same export at `target`, or None where nothing is there."""
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return None
    found = read(target) if target.is_dir() else None
    wanted = _describe(content, recipe, entry, what)
    if found is None or found.model_copy(update=_UNWRITTEN) != wanted:
        raise DataError(
            str(target), "exists already, and is not this export",
            do="name another target, or remove it",
        )  # fmt: skip
    wrong = _differences(target, found)
    if wrong:
        more = f" and {len(wrong) - 3:,} more" if len(wrong) > 3 else ""
        what = f"is this export, but not as it was written: {', '.join(wrong[:3])}{more}"
        raise DataError(str(target), what, do="remove it and export again")
    return found


def _differences(target: Path, manifest: ExportManifest) -> list[str]:
    """Files that are missing, changed or not the export's; caches of `datasets` are let be."""
    known = {file.path: file for file in manifest.files}
    there = {
        file.path: file for file in entries_of(target)
        if file.path in known or not _CACHE.fullmatch(Path(file.path).name)
    }  # fmt: skip
    return [
        f"{path} is {'missing' if path not in there else 'changed'}"
        for path, file in known.items() if there.get(path) != file
    ] + [f"{path} is not of it" for path in there if path not in known]  # fmt: skip


def _describe(content: Content, recipe: str, entry: Format, what: str) -> ExportManifest:
    """The manifest but for what only writing tells."""
    vocab, eos, eos_id = content.vocabulary
    return ExportManifest(
        to=entry.name,
        what=what,
        recipe=recipe,
        stages=[
            Origin(
                stage=stage.id,
                fingerprint=stage.fingerprint,
                content=content.context.stage_digest(stage),
            )
            for stage in _origins(content, entry, what)
        ],
        tokenizer=TokenizerEntry(
            sha256=sha256_file(content.tokenizer), vocab=vocab, eos=eos, eos_id=eos_id
        ),
        sequence_length=content.sequence_length,
        weights=content.weights,
        reads=how_to_read(entry, what, content.sequence_length, content.dtype.itemsize),
        counts={},
        files=[],
    )


def _origins(content: Content, entry: Format, what: str) -> list[Stage]:
    """The stages whose content an export holds."""
    held: list[Stage] = [content.heldout] if what == "text" or entry.name == "nanogpt" else []
    stages: dict[str, list[Stage]] = {
        "mix": [content.mix],
        "documents": list(content.encoders.values()),
        "text": [stage.documents for stage in content.encoders.values()],
    }
    if what == "text":
        cuts = [s.buckets for s in content.encoders.values() if isinstance(s, BucketStage)]
        stages["text"] = list(dict.fromkeys([*stages["text"], *cuts]))
    return [*stages[what], *held]
