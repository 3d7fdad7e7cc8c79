"""The report of a trial: what each arm scores, how it compares with the base, and what was run.

Invariant: every number in it follows from the runs' own tables; nothing in the files depends on
time, machine or order of training.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from ..recipe import BASE_ARM
from ..store.atomic import write_json
from ..store.tables import write_table
from ..train.statistics.comparison import Comparison, Comparisons, Terms
from ..train.statistics.components import Part, estimate
from ..train.statistics.forecast import smallest_detectable
from ..train.statistics.intervals import half_width
from ..train.statistics.measurements import Measurements, headline_weights
from ..train.statistics.transfer import TransferOdds, gap_in_nats, transfer_odds
from ..train.statistics.verdicts import compare_arms
from .prospect import Prospect
from .runs import Result, Run, Settings

if TYPE_CHECKING:
    from .trial import Design

ALPHA = 0.05
HEADLINE = "headline"
Key = tuple[str, int]


@dataclass(frozen=True)
class Score:
    """Bits per byte of an arm on a corpus (or the headline), with its own 95 % interval.

    The interval is about new seeds and new documents; arms are not to be compared by it.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class TrialReport:
    """What a trial came to.

    Attributes:
        headline: weight of each corpus, summing to 1.
        scores: arm -> corpus or HEADLINE -> score; empty where nothing was compared.
        comparisons: None where no arm could be compared.
        odds: arm -> how often a gap like its headline's held at a larger scale.
        apart: arm -> corpora it changes; not comparable for want of a declared target.
        pairing: arm -> `nested`, and `same_sequences` as a share of slots.
        epochs: arm -> corpus -> passes over it in a run.
        warnings: what a reader should know before using a verdict.
    """

    recipe: str
    headline: Mapping[str, float]
    target_declared: bool
    documents: Mapping[str, int]
    settings: Settings
    prospect: Prospect
    scores: Mapping[str, Mapping[str, Score]]
    comparisons: Comparisons | None
    odds: Mapping[str, TransferOdds]
    apart: Mapping[str, tuple[str, ...]]
    own_tokenizer: tuple[str, ...]
    pairing: Mapping[str, Mapping[str, Any]]
    epochs: Mapping[str, Mapping[str, float]]
    warnings: tuple[str, ...]
    results: Mapping[Key, Result]

    @classmethod
    def of(
        cls, design: Design, settings: Settings, prospect: Prospect, results: Mapping[Key, Result]
    ) -> TrialReport:
        """Compare what was measured."""
        headline = headline_weights(design.headline, tuple(design.heldout.corpora))
        measured = _measurements(results, prospect.seeds) if results else None
        compared = None
        if measured is not None:
            terms = Terms(alpha=ALPHA, margin=prospect.margin)
            compared = compare_arms(measured, headline, terms)
        return cls(
            recipe=design.recipe.name,
            headline=headline,
            target_declared=design.recipe.trial is not None
            and design.recipe.trial.target is not None,
            documents=dict(design.heldout.corpora),
            settings=settings,
            prospect=prospect,
            scores=_scores(measured, headline) if measured else {},
            comparisons=compared,
            odds=_odds(compared, results, headline) if compared else {},
            apart=design.apart,
            own_tokenizer=tuple(a.name for a in design.arms.values() if a.own_tokenizer),
            pairing=design.pairing(),
            epochs={
                arm: {part.name: round(part.epochs, 4) for part in data.allocations}
                for arm, data in design.data.items()
            },
            warnings=tuple(_warnings(design, settings)),
            results=results,
        )

    @property
    def arms(self) -> list[str]:
        """Compared arms, the base first."""
        return list(self.scores)

    def of_arm(self, arm: str) -> dict[str, Comparison]:
        """Its comparisons by corpus or HEADLINE."""
        if self.comparisons is None:
            return {}
        every = (*self.comparisons.headline, *self.comparisons.corpora)
        return {part.corpus or HEADLINE: part for part in every if part.arm == arm}

    def as_json(self) -> dict[str, Any]:
        """Plain values, without times."""
        compared = self.comparisons
        return {
            "recipe": self.recipe,
            "seeds": self.prospect.seeds,
            "tokens_per_run": self.settings.tokens,
            "headline": dict(self.headline),
            "target_declared": self.target_declared,
            "heldout_documents": dict(self.documents),
            "alpha": ALPHA,
            "margin": self.prospect.margin,
            "margin_declared": self.prospect.margin_declared,
            "smallest_detectable": {"forecast": self.prospect.smallest, **_measured(compared)},
            "arms": {arm: self._arm_json(arm) for arm in self.arms},
            "not_comparable": {arm: list(changed) for arm, changed in self.apart.items()},
            "epochs": {arm: dict(each) for arm, each in self.epochs.items()},
            "warnings": list(self.warnings),
        }

    def _arm_json(self, arm: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "bits_per_byte": {name: asdict(score) for name, score in self.scores[arm].items()}
        }
        if arm != BASE_ARM:
            found["comparisons"] = {n: _comparison(c) for n, c in self.of_arm(arm).items()}
            odds = self.odds[arm]
            found["transfer"] = {"pairs": odds.pairs, "right": odds.right, "share": odds.share}
            found["pairing"] = dict(self.pairing[arm])
            found["own_tokenizer"] = arm in self.own_tokenizer
        return found


def _comparison(c: Comparison) -> dict[str, Any]:
    return {
        "difference": c.difference,
        "interval": list(c.interval),
        "interval_alone": list(c.interval_alone),
        "p": c.p,
        "p_holm": c.p_holm,
        "p_equivalence_holm": c.p_equivalence_holm,
        "verdict": str(c.verdict),
        "identical": c.identical,
        "within_margin": c.within_margin,
        "standard_error": c.standard_error,
        "documents_share": c.documents_share,
        "seeds_needed": asdict(c.needed) if c.needed else None,
    }


def _measured(compared: Comparisons | None) -> dict[str, dict[str, float]]:
    """Smallest detectable difference at each headline's measured spread."""
    if compared is None:
        return {}
    spread = [c for c in compared.headline if c.standard_error > 0]
    return {"measured": {c.arm: smallest_detectable(c.as_design(compared.terms)) for c in spread}}


def _measurements(results: Mapping[Key, Result], seeds: int) -> Measurements:
    arms = list(dict.fromkeys(arm for arm, _ in results))
    first = next(iter(results.values()))

    def bits(arm: str) -> dict[str, Any]:
        return {
            corpus: np.stack([results[arm, seed].bits[corpus] for seed in range(seeds)])
            for corpus in first.bytes
        }

    others = {arm: bits(arm) for arm in arms if arm != BASE_ARM}
    return Measurements(dict(first.bytes), bits(BASE_ARM), others)


def _scores(measured: Measurements, headline: Mapping[str, float]) -> dict[str, dict[str, Score]]:
    targets = {corpus: {corpus: 1.0} for corpus in measured.corpora}
    if len(measured.corpora) > 1:
        targets = {HEADLINE: dict(headline)} | targets
    every = {BASE_ARM: measured.base, **measured.arms}
    return {
        arm: {name: _score(measured, bits, weights) for name, weights in targets.items()}
        for arm, bits in every.items()
    }


def _score(measured: Measurements, bits: Mapping[str, Any], weights: Mapping[str, float]) -> Score:
    parts = [Part(bits[c], measured.bytes[c].astype(np.float64), w) for c, w in weights.items()]
    found = estimate(parts)
    width = float(half_width(found.variances, found.df, ALPHA))
    return Score(float(found.value), float(found.value) - width, float(found.value) + width)


def _odds(
    compared: Comparisons, results: Mapping[Key, Result], headline: Mapping[str, float]
) -> dict[str, TransferOdds]:
    """By the base's own tokens: nats a token are what the source counts."""
    base = results[BASE_ARM, 0]
    rate = sum(int(size.sum()) for size in base.bytes.values()) / base.tokens
    metric = "mean" if len(headline) > 1 else "one corpus"
    return {
        c.arm: transfer_odds(gap_in_nats(c.difference, rate), metric)  # type: ignore[arg-type]
        for c in compared.headline
    }


def _warnings(design: Design, settings: Settings) -> list[str]:
    """What may keep a verdict from holding where the mix is used."""
    mix, found = design.recipe.mix, []
    if mix is not None and settings.tokens < mix.tokens:
        times = mix.tokens / settings.tokens
        parts = design.data[BASE_ARM].allocations
        worst = max(parts, key=lambda part: part.epochs)
        if worst.epochs * times > 1:
            found.append(
                f"the mix is {times:.3g} times as long as a run: corpus {worst.name!r} is read "
                f"{worst.epochs:.2g} times here, {worst.epochs * times:.2g} times there; "
                "what repetition costs is not measured"
            )
    for arm, each in design.pairing().items():
        if not each["nested"]:
            found.append(f"arm {arm!r}: its mix has other phases, so seeds pair less well")
    return found


def write_report(folder: Path, report: TrialReport, runs: Mapping[Key, Run]) -> None:
    """`report.json`, `measurements.parquet`, `curves.parquet`, and `manifest.json` last."""
    write_json(folder / "report.json", report.as_json())
    files = [
        write_table(folder, f"{name}.parquet", table.schema, table.combine_chunks().to_batches())
        for name, table in _tables(report).items()
    ]
    write_json(
        folder / "manifest.json",
        {
            "recipe": report.recipe,
            "settings": asdict(report.settings),
            "seeds": report.prospect.seeds,
            "runs": [
                {"arm": arm, "seed": seed, "hash": run.hash, **run.identity}
                for (arm, seed), run in runs.items()
            ],
            "not_comparable": {arm: list(changed) for arm, changed in report.apart.items()},
            "files": [asdict(file) for file in files],
            "versions": {n: version(n) for n in ("corpus-builder", "numpy", "scipy", "torch")},
        },
    )


def _tables(report: TrialReport) -> dict[str, pa.Table]:
    """All runs' tables, with their arm and seed."""
    if not report.results:
        return {}
    found: dict[str, list[pa.Table]] = {"measurements": [], "curves": []}
    for (arm, seed), result in report.results.items():
        for name, table in (("measurements", result.documents), ("curves", result.curve)):
            columns = {"arm": pa.array([arm] * len(table)), "seed": pa.array([seed] * len(table))}
            keyed = pa.table(columns | {n: table.column(n) for n in table.column_names})
            found[name].append(keyed)
    return {name: pa.concat_tables(tables) for name, tables in found.items()}
