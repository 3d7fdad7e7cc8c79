"""The recipe that an optimisation ends in: the user's own with the chosen weights, and a trial.

Invariant: what is written reads back as the recipe meant; its weights pass no cap, and no corpus
with a weight is left without a sequence, at its own budget and at the trial's.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from ..recipe import Recipe, load_recipe
from ..store.atomic import write_bytes
from ..store.errors import IntegrityError
from .swarm import Room, under_caps

if TYPE_CHECKING:
    from .answer import Finding
    from .report import OptimiseReport
    from .solving import Array

PLACES = (3, 4, 5, 6)
"""Decimals of a weight: as few as caps that bind leave room for."""

_FINDINGS: dict[Finding, list[str]] = {
    "better": [],
    "flat": ["FLAT OPTIMUM: the swarm does not tell this mix from the natural one."],
    "cannot tell": ["CANNOT TELL: the regression explains nothing of the runs left out."],
}


def rounded(room: Room, mix: Array, sequences: int, *, keep_all: bool = False) -> dict[str, float]:
    """Shares as weights with few decimals that sum to 1 and pass no cap.

    Args:
        sequences: of the shortest mix made of them; what has none of them gets 0.
        keep_all: such a corpus gets one sequence instead, if its cap allows.
    """
    unit = 10 ** PLACES[0]
    least = math.ceil(unit / sequences) / unit
    small = mix < least + 1 / unit
    floor = np.where(small & (room.most >= least) & keep_all, least, 0)
    mix = under_caps(np.where(small, 0, mix)[None], room.most)[0]
    mix = np.where(small, np.maximum(mix, floor), mix * (1 - floor.sum()))
    mix = under_caps(mix[None], room.most)[0]
    for places in PLACES:
        unit = 10**places
        most = np.floor(room.most * unit + 1e-6).astype(np.int64)
        counts = np.minimum(np.floor(mix * unit + 1e-9).astype(np.int64), most)
        by_rest = np.argsort(-(mix * unit - counts), kind="stable")
        while counts.sum() < unit and (counts < most).any():
            for j in by_rest:
                if counts.sum() < unit and counts[j] < most[j]:
                    counts[j] += 1
        if counts.sum() == unit:
            break
    return {n: round(int(c) / unit, places) for n, c in zip(room.names, counts, strict=True)}


def write_recipe(path: Path, report: OptimiseReport) -> Path:
    """Write the recipe and read it back.

    Raises:
        IntegrityError: it does not read back as it was meant.
    """
    meant = best_recipe(report.recipe, report)
    tree = _listed(meant.tree.plain())
    body = yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, default_flow_style=None)
    write_bytes(path, (_head(path, report) + body).encode())
    if load_recipe(path).to_canonical() != meant.to_canonical():
        raise IntegrityError(str(path), "does not read back as it was meant", do="report it")
    return path


def best_recipe(recipe: Recipe, report: OptimiseReport) -> Recipe:
    """The recipe with the chosen weights; its trial's arms are the natural and the uniform mix."""
    missing = {name: 0.0 for name in recipe.corpora if name not in report.weights}
    others = {"natural": report.natural, "uniform": report.uniform}
    arms = {
        name: {"mix.weights": {**weights, **missing}}
        for name, weights in others.items()
        if weights != report.weights
    }
    chosen = {"name": f"{recipe.name}-best", "mix.weights": {**report.weights, **missing}}
    trial = (recipe.tree.mapping or {})["trial"].plain()
    alone = recipe.with_patch({"trial": "off"}).with_patch(chosen)
    return alone.with_patch({"trial": {**trial, "arms": arms}}) if arms else alone


def _listed(value: Any) -> Any:
    """Lists for tuples, which YAML does not have."""
    if isinstance(value, dict):
        return {key: _listed(part) for key, part in value.items()}
    return [_listed(part) for part in value] if isinstance(value, tuple) else value


def _head(path: Path, report: OptimiseReport) -> str:
    answer, settings = report.answer, report.settings
    target = ", ".join(f"{weight:.3g} {corpus}" for corpus, weight in report.target.items())
    out = path.parent.parent
    gain = answer.gains["natural"]
    lines = [
        f"The mix that `corpus optimise` chose for {target} (held-out text).",
        "",
        f"Swarm:   {len(report.mixes)} runs of {settings.tokens:,} tokens, all with one seed that",
        "         no trial uses.",
        f"Chosen by: {answer.regression.name}, which explains "
        f"{max(0.0, answer.regression.explained):.0%} of what differs between runs left out.",
        f"Predicted: {answer.predicted['best']:.4f} bits per byte at such a run's size, "
        f"{gain.value:+.4f} below natural ({gain.low:+.4f} to {gain.high:+.4f}).",
        *_FINDINGS[answer.finding],
        *(f"Held back by max_epochs: {name}." for name in report.binding),
        "",
        f"{'corpus':<20} natural  chosen  region of the best (90 %)",
        *(
            f"{name:<20} {report.natural[name]:7.3f} {report.weights[name]:7.3f}  "
            f"{part.low:.3f} to {part.high:.3f}"
            for name, part in answer.best.items()
        ),
        "",
        f"Test it: corpus trial {path} --out {out}",
        f"Run it:  corpus run {path} --out {out}",
    ]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)
