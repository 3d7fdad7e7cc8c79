"""The recipe that an optimisation ends in: the user's own with the chosen weights, and a trial.

Invariant: what is written reads back as the recipe meant; its weights pass no cap, and no corpus
with a weight is left without a sequence, at its own budget and at the trial's.
"""

from __future__ import annotations

import math
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..recipe import Recipe, load_recipe
from ..store.atomic import write_bytes
from ..store.errors import DataError, IntegrityError, RecipeError
from ..yamlfile import dump
from .swarm import Room, under_caps

if TYPE_CHECKING:
    from ..trial.settings import Settings
    from .answer import Finding
    from .report import OptimiseReport
    from .solving import Array

Whole = npt.NDArray[np.int64]

PLACES = (3, 4, 5, 6)
"""Decimals of a weight: as few as caps that bind leave room for."""

_FINDINGS: dict[Finding, list[str]] = {
    "better": [],
    "flat": ["FLAT OPTIMUM: the swarm does not tell this mix from the natural one."],
    "cannot tell": ["CANNOT TELL: the regression explains nothing of the runs left out."],
}


def rounded(room: Room, mix: Array, sequences: int, *, keep_all: bool = False) -> dict[str, float]:
    """Shares as weights with few decimals that sum to 1, pass no cap and leave nobody empty.

    Args:
        sequences: of the shortest mix made of them; what has none of them gets 0.
        keep_all: such a corpus gets one sequence instead, if its cap allows.

    Raises:
        DataError: corpora whose caps allow no sequence of the shortest mix are needed to fill it.
    """
    for places in PLACES:
        unit = 10**places
        most = np.floor(room.most * unit + 1e-6).astype(np.int64)
        least = math.ceil(unit / sequences)
        low = _least_counts(mix * unit, least, most, keep_all)
        if low is not None:
            counts = _counts(mix * unit, low, np.where(low > 0, most, 0))
            return {
                n: round(int(c) / unit, places) for n, c in zip(room.names, counts, strict=True)
            }
    small = [n for n, each in zip(room.names, most, strict=True) if each < least]
    none = f": {', '.join(small)} may not fill one sequence of {sequences:,}" if small else ""
    raise DataError(
        "mix",
        f"max_epochs leaves too little room to choose weights in{none}",
        do="raise max_epochs, lower mix.tokens, or raise trial.tokens (or the budget)",
    )


def _least_counts(wanted: Array, least: int, most: Whole, keep_all: bool) -> Whole | None:
    """`least` for each corpus that is kept, else 0; None where those kept cannot fill the whole.

    Where the caps of those wanted leave a gap, more are kept, the roomiest first.
    """
    unit, can = round(float(wanted.sum())), most >= least
    kept = can & ((wanted >= least) | (keep_all and bool(can.sum() * least <= unit)))
    for j in np.argsort(-most, kind="stable"):
        if most[kept].sum() < unit:
            kept[j] = can[j]
    fits = kept.sum() * least <= unit <= most[kept].sum()
    return np.where(kept, least, 0) if fits else None


def _counts(wanted: Array, low: Whole, most: Whole) -> Whole:
    """Whole numbers near `wanted`, of its sum, within bounds: `low` and what is left above it."""
    unit = round(float(wanted.sum()))
    left = unit - int(low.sum())
    above = np.zeros(len(low))
    if left:
        beyond = np.where(low > 0, np.maximum(wanted - low, 1e-9), 0)
        above = left * under_caps(beyond[None] / beyond.sum(), (most - low) / left)[0]
    counts: Whole = np.minimum(low + np.floor(above + 1e-9).astype(np.int64), most)
    by_rest = np.argsort(counts - low - above, kind="stable")
    while counts.sum() < unit:
        for j in by_rest:
            if counts.sum() < unit and counts[j] < most[j]:
                counts[j] += 1
    return counts


def shortest(sequences: int, settings: Settings) -> int:
    """Sequences of the shortest mix that is made of the weights: the recipe's own, or a run's."""
    return min(sequences, settings.steps * settings.sequences)


def write_recipe(path: Path, report: OptimiseReport) -> Path:
    """Write the recipe, read back before it takes the place of another.

    Raises:
        IntegrityError: it does not read back as it was meant.
    """
    meant = best_recipe(report.recipe, report)
    tree = _listed(meant.tree.plain())
    tried = path.with_name(f".{path.name}")
    write_bytes(tried, (_head(path, report) + dump(tree)).encode())
    what = "would not read back as it was meant"
    try:
        found = load_recipe(tried).to_canonical()
    except RecipeError as error:
        raise IntegrityError(str(path), f"{what}: {error}", do="report it") from error
    if found != meant.to_canonical():
        raise IntegrityError(str(path), what, do="report it")
    return tried.replace(path)


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
        f"Test it: {shlex.join(['corpus', 'trial', str(path), '--out', str(out)])}",
        f"Run it:  {shlex.join(['corpus', 'run', str(path), '--out', str(out)])}",
    ]
    return "".join(f"# {line}".rstrip() + "\n" for line in lines)
