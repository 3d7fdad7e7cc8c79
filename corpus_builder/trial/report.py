"""The report of a trial: what each arm scores, how it compares with the base, and what was run.

Invariant: every number in it follows from the runs' own tables; nothing in the files depends on
time, machine or order of training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from ..mixing.allocation import Allocation, account
from ..recipe_trial import BASE_ARM, HEADLINE
from ..store.former import keep_former
from ..store.reports import REPORT, write_report_file, write_report_manifest
from ..store.tables import write_table
from ..train.statistics.comparison import Comparison, Terms
from ..train.statistics.forecast import smallest_detectable
from ..train.statistics.measurements import headline_weights
from ..train.statistics.transfer import Metric, TransferOdds, gap_in_nats, transfer_odds
from ..train.statistics.verdicts import compare_arms
from .checks import SelfTests, SlowerRate, judge_self_tests, judge_slower
from .looks import ALPHA, Look
from .measured import Key, Results, measurements
from .prospect import Prospect
from .runs import Run
from .scores import Pairs, Score, pairs_of, scores_of
from .settings import Settings

if TYPE_CHECKING:
    from .design import Design
    from .trial import Options


@dataclass(frozen=True)
class ArmVerdict:
    """An arm against the base, at the look where it was decided, or the last one it had.

    Attributes:
        look: its seeds, and the part of alpha that its comparisons were made at.
        comparisons: by corpus, or HEADLINE.
    """

    look: Look
    terms: Terms
    comparisons: Mapping[str, Comparison]

    @property
    def headline(self) -> Comparison:
        """What counts."""
        return self.comparisons[HEADLINE]

    @property
    def undecided(self) -> bool:
        """Whether some number of seeds may decide it yet."""
        needed = self.headline.needed
        return needed is not None and needed.possible


def compared(
    results: Results, design: Design, look: Look, arms: Sequence[str], every: int, margin: float
) -> dict[str, ArmVerdict]:
    """The verdicts of a look.

    Args:
        arms: undecided until now.
        every: arms of the trial, decided ones too.
    """
    if not arms:
        return {}
    weights = headline_weights(design.headline, tuple(design.heldout.corpora))
    terms = Terms(alpha=look.alpha, margin=margin)
    measured = measurements(results, look.seeds, arms)
    found = compare_arms(measured, weights, terms, others=every - len(arms))
    return {
        arm: ArmVerdict(
            look,
            terms,
            {c.corpus or HEADLINE: c for c in (*found.headline, *found.corpora) if c.arm == arm},
        )
        for arm in arms
    }


@dataclass(frozen=True)
class TrialReport:
    """What a trial came to.

    Attributes:
        headline: weight of each corpus, summing to 1.
        scores: arm -> corpus or HEADLINE -> score.
        verdicts: arm -> its comparisons.
        self_tests: None where they were not asked for.
        slower: arm -> its headline at a tenth of the learning rate, where asked for.
        pairs: probe -> arm -> how many minimal pairs it has right.
        odds: arm -> how often a gap like its headline's held at a larger scale.
        apart: arm -> corpora it changes; not comparable for want of a declared target.
        pairing: arm -> `nested`, and `same_sequences` as a share of slots.
        allocations: arm -> what a run reads of each corpus.
        warnings: what a reader should know before using a verdict.
    """

    recipe: str
    headline: Mapping[str, float]
    target_declared: bool
    documents: Mapping[str, int]
    settings: Settings
    prospect: Prospect
    scores: Mapping[str, Mapping[str, Score]]
    verdicts: Mapping[str, ArmVerdict]
    self_tests: SelfTests | None
    slower: Mapping[str, SlowerRate]
    pairs: Mapping[str, Mapping[str, Pairs]]
    odds: Mapping[str, TransferOdds]
    apart: Mapping[str, tuple[str, ...]]
    own_tokenizer: tuple[str, ...]
    pairing: Mapping[str, Mapping[str, Any]]
    allocations: Mapping[str, tuple[Allocation, ...]]
    warnings: tuple[str, ...]
    results: Results

    @classmethod
    def of(
        cls, design: Design, settings: Settings, prospect: Prospect, options: Options,
        verdicts: Mapping[str, ArmVerdict], results: Results,
    ) -> TrialReport:  # fmt: skip
        """Put together what was measured."""
        headline, seeds = _headline(design), prospect.seeds
        usual = {arm: found.headline.verdict for arm, found in verdicts.items()}
        trial, arms = design.recipe.trial, [BASE_ARM, *verdicts]
        slower = options.lr_check and usual
        return cls(
            recipe=design.recipe.name,
            headline=headline,
            target_declared=trial is not None and trial.target is not None,
            documents=dict(design.heldout.corpora),
            settings=settings,
            prospect=prospect,
            scores=scores_of(results, arms, headline),
            verdicts=verdicts,
            self_tests=judge_self_tests(results, headline, seeds) if options.self_test else None,
            slower=judge_slower(results, headline, seeds, usual) if slower else {},
            pairs={probe.name: pairs_of(results, arms, probe.name) for probe in design.probes},
            odds=_odds(verdicts, results, headline),
            apart=design.apart,
            own_tokenizer=tuple(a.name for a in design.arms.values() if a.own_tokenizer),
            pairing=design.pairing(),
            allocations={arm: data.allocations for arm, data in design.data.items()},
            warnings=prospect.cautions,
            results=results,
        )

    @property
    def arms(self) -> list[str]:
        """Compared arms, the base first."""
        return list(self.scores)

    @property
    def void(self) -> tuple[str, ...]:
        """Why no verdict of it counts; empty where its self-tests passed, or were not run."""
        return self.self_tests.void if self.self_tests else ()

    def of_arm(self, arm: str) -> Mapping[str, Comparison]:
        """Its comparisons by corpus or HEADLINE."""
        return self.verdicts[arm].comparisons if arm in self.verdicts else {}

    def as_json(self) -> dict[str, Any]:
        """Plain values, without times."""
        prospect = self.prospect
        return {
            "recipe": self.recipe,
            "void": list(self.void),
            "looks": [[look.seeds, look.alpha] for look in prospect.looks],
            "tokens_per_run": self.settings.tokens,
            "headline": dict(self.headline),
            "target_declared": self.target_declared,
            "heldout_documents": dict(self.documents),
            "alpha": ALPHA,
            "margin": prospect.margin,
            "resolvable_margin": prospect.resolvable,
            "margin_declared": prospect.margin_declared,
            "smallest_detectable": {
                "forecast": prospect.smallest,
                "measured": _measured(self.verdicts),
            },
            "arms": {arm: self._arm_json(arm) for arm in self.arms},
            "self_tests": self.self_tests.as_json() if self.self_tests else None,
            "not_comparable": {arm: list(changed) for arm, changed in self.apart.items()},
            "epochs": {
                arm: {part.name: round(part.epochs, 4) for part in parts}
                for arm, parts in self.allocations.items()
            },
            "warnings": list(self.warnings),
        }

    def _arm_json(self, arm: str) -> dict[str, Any]:
        found: dict[str, Any] = {
            "bits_per_byte": {name: asdict(score) for name, score in self.scores[arm].items()},
            "minimal_pairs": {name: asdict(each[arm]) for name, each in self.pairs.items()},
        }
        if arm != BASE_ARM:
            verdict, odds = self.verdicts[arm], self.odds[arm]
            found["seeds"], found["alpha"] = verdict.look.seeds, verdict.look.alpha
            found["comparisons"] = {n: _comparison(c) for n, c in verdict.comparisons.items()}
            found["transfer"] = {"pairs": odds.pairs, "right": odds.right, "share": odds.share}
            found["pairing"] = dict(self.pairing[arm])
            found["own_tokenizer"] = arm in self.own_tokenizer
            if arm in self.slower:
                found["slower_rate"] = self.slower[arm].as_json()
        return found


def _headline(design: Design) -> dict[str, float]:
    return headline_weights(design.headline, tuple(design.heldout.corpora))


def _comparison(c: Comparison) -> dict[str, Any]:
    return {
        "difference": c.difference,
        "interval": list(c.interval),
        "interval_alone": list(c.interval_alone),
        "p": c.p,
        "p_holm": c.p_holm,
        "p_equivalence": c.p_equivalence,
        "p_equivalence_holm": c.p_equivalence_holm,
        "verdict": str(c.verdict),
        "identical": c.identical,
        "within_margin": c.within_margin,
        "standard_error": c.standard_error,
        "documents_share": c.documents_share,
        "seeds_needed": asdict(c.needed) if c.needed else None,
    }


def _measured(verdicts: Mapping[str, ArmVerdict]) -> dict[str, float]:
    """Smallest detectable difference at each headline's measured spread."""
    return {
        arm: smallest_detectable(found.headline.as_design(found.terms))
        for arm, found in verdicts.items()
        if found.headline.standard_error > 0
    }


def _odds(
    verdicts: Mapping[str, ArmVerdict], results: Results, headline: Mapping[str, float]
) -> dict[str, TransferOdds]:
    """By the base's own tokens: nats a token are what the source counts."""
    base = results[BASE_ARM, 0]
    rate = sum(int(size.sum()) for size in base.bytes.values()) / base.tokens
    metric: Metric = "mean" if len(headline) > 1 else "one corpus"
    return {
        arm: transfer_odds(gap_in_nats(found.headline.difference, rate), metric)
        for arm, found in verdicts.items()
    }


def write_report(folder: Path, report: TrialReport, runs: Mapping[Key, Run]) -> None:
    """`report.json`, tables of measurements, curves and pairs, and `manifest.json` last; the report
    of another trial is kept aside."""
    content = report.as_json()
    keep_former(folder, content)
    files = [
        write_report_file(folder, REPORT, content),
        *(
            write_table(
                folder, f"{name}.parquet", table.schema, table.combine_chunks().to_batches()
            )
            for name, table in _tables(report).items()
        ),
    ]
    write_report_manifest(
        folder,
        {
            "recipe": report.recipe,
            "settings": asdict(report.settings),
            "runs": [
                {
                    "arm": arm,
                    "seed": seed,
                    "hash": run.hash,
                    "tables": report.results[arm, seed].tables,
                    **run.identity,
                }
                for (arm, seed), run in runs.items()
            ],
            "arms": {
                arm: {part.name: account(part) for part in parts}
                for arm, parts in report.allocations.items()
            },
            "not_comparable": {arm: list(changed) for arm, changed in report.apart.items()},
            "files": [asdict(file) for file in files],
            "versions": {n: version(n) for n in ("corpus-builder", "numpy", "scipy", "torch")},
        },
    )


def _tables(report: TrialReport) -> dict[str, pa.Table]:
    """All runs' tables, with their arm and seed."""
    found: dict[str, list[pa.Table]] = {"measurements": [], "curves": [], "pairs": []}
    for (arm, seed), result in report.results.items():
        tables = {
            "measurements": result.documents, "curves": result.curve, "pairs": result.pairs,
        }  # fmt: skip
        for name, table in tables.items():
            columns = {"arm": pa.array([arm] * len(table)), "seed": pa.array([seed] * len(table))}
            keyed = pa.table(columns | {n: table.column(n) for n in table.column_names})
            found[name].append(keyed)
    return {name: pa.concat_tables(tables) for name, tables in found.items()}
