"""Does a trial find what is known? `python tests/bench/trials.py PART`, which is one of

known    more of a corpus helps its held-out text, the more the better; many passes over little
         text lose to fresh text; shuffled tokens come out in order (the trial's own self-test).
even     the base against itself on other data, 40 times: how often is a difference called?
pairing  the spread of differences between seeds, paired and not, for arms of each kind;
rates    the base's loss with other optimizers, learning rates and steps than the trial's own;
larger   the same for 4M parameters, learning rates alone.

Data: the domains' Parquet files (--data). Finished models are kept in --out and not trained again.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from optimise import take
from scipy import stats

from corpus_builder.engine import LocalEngine
from corpus_builder.plan import Resources
from corpus_builder.recipe import Recipe, load_recipe
from corpus_builder.recipe_trial import BASE_ARM
from corpus_builder.train.statistics.comparison import Terms, Verdict
from corpus_builder.train.statistics.verdicts import compare_arms
from corpus_builder.trial.arms import mix_of, plan_arms, trial_of
from corpus_builder.trial.checks import AA, AA_SEEDS
from corpus_builder.trial.design import Design, design_of
from corpus_builder.trial.measured import measurements
from corpus_builder.trial.report import TrialReport
from corpus_builder.trial.runs import Result, Run
from corpus_builder.trial.settings import Machine, Settings, settings_of
from corpus_builder.trial.trainer import Trainer
from corpus_builder.trial.trial import PRELOAD, Options, build, run_trial

MEGABYTES = {"docs": 4.0, "code": 3.0, "news_gov": 3.0}
BASE = {"docs": 0.5, "code": 0.3, "news-gov": 0.2, "few": 0.0}
DOSES = (0.3, 0.45, 0.6)
TOKENS = 120_000
FEW = 12_000
CPU = Machine()
SMALL = {"layers": 2, "width": 64}


class Told:
    """Says what is going on, a line a launch."""

    def launched(self, title: str, tasks: int) -> None:
        print(f"  {title}", flush=True)

    def progressed(self, tasks: int, documents: int, size: int) -> None: ...

    def sealed(self, stage: Any, manifest: Any) -> None: ...

    def foreseen(self, prospect: Any) -> None:
        print(f"  {prospect.to_train} models to train, about {prospect.seconds:.0f} s", flush=True)

    def looked(self, found: Any) -> None: ...

    def trained(self, runs: int, tokens: int, nats: float) -> None: ...


def news(weight: float) -> dict[str, Any]:
    """An arm with so much news, the others in their proportion."""
    rest = 1 - weight
    return {"mix.weights": {"docs": rest * 0.625, "code": rest * 0.375, "news-gov": weight}}


def few_rows(source: Path, used: Path, target: Path, size: int) -> None:
    """Rows of the domain that are not in `used`, `size` bytes of text or a few more."""
    known = set(pq.read_table(used, columns=["id"]).column("id").to_pylist())
    rows = pq.read_table(source, columns=["id", "text", "url"]).to_pylist()
    free = [row for row in rows if row["id"] not in known and 1000 < len(row["text"]) < 5000]
    chosen, taken = [], 0
    for row in free:
        if taken >= size:
            break
        row["text"] = row["text"][: size - taken]
        chosen.append(row)
        taken += len(row["text"].encode())
    pq.write_table(pa.Table.from_pylist(chosen), target)


def recipe(data: Path, folder: Path, trial: Mapping[str, Any], name: str, few: int = FEW) -> Recipe:
    """Three domains, and `few`: about so many bytes more of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    for domain, size in MEGABYTES.items():
        if not (folder / f"{domain}.parquet").exists():
            take(data / f"{domain}.parquet", folder / f"{domain}.parquet", size)
    few_rows(data / "docs.parquet", folder / "docs.parquet", folder / "few.parquet", few)
    content = {
        "name": name,
        "corpora": {
            part: {
                "source": {"parquet": str(folder / f"{part.replace('-', '_')}.parquet")},
                "stages": [{"filter": ["gopher"]}, "dedup"] if part == "docs" else ["dedup"],
            }
            for part in BASE
        },
        "heldout": {"share": "5%", "max_documents": 12},
        "tokenizer": {"train": {"vocab": 4096, "max_bytes": "10MB"}},
        "mix": {
            "tokens": TOKENS, "sequence_length": 256, "weights": BASE,
            "max_epochs": {"few": 100},
        },
        "trial": trial,
    }  # fmt: skip
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return load_recipe(path)


def known(data: Path, out: Path, resources: Resources) -> None:
    """What any sound trial must find."""
    repeated = {"mix.weights": {"docs": 0, "code": 0.3, "news-gov": 0.2, "few": 0.5}}
    arms = {f"news-{round(100 * w)}": news(w) for w in DOSES} | {"repeated": repeated}
    target = {"docs": 0.5, "news-gov": 0.5}
    loaded = recipe(
        data, out, {"model": "1M", "seeds": 6, "tokens": TOKENS, "target": target, "arms": arms},
        "known", few=11_000,
    )  # fmt: skip
    report = run_trial(loaded, out / "known", resources, Told(), Options(self_test=True))
    scores = {arm: report.scores[arm]["news-gov"].value for arm in [BASE_ARM, *arms][:-1]}
    order = list(scores.values()) == sorted(scores.values(), reverse=True)
    print("\nmore news, on held-out news: bits per byte, and the difference to the base")
    for arm, score in scores.items():
        print(f"  {arm:<10} {score:.4f}  {shown(report, arm, 'news-gov')}")
    print(f"  the more the better: {'yes' if order else 'NO'}")
    passes = report.as_json()["epochs"]["repeated"]["few"]
    print(f"\n{passes:.1f} passes over little text against fresh text, on held-out docs")
    print(f"  repeated   {shown(report, 'repeated', 'docs')}")
    if report.self_tests is not None:
        series = report.self_tests.series
        print("\ntokens shuffled, on the target")
        for damage, mean in zip(series.damage, series.means, strict=True):
            print(f"  {damage:>4.0%}       {mean:.4f}")
        print(f"  {series.test.reason}\nA/A: {report.self_tests.aa.reason}")


def shown(report: TrialReport, arm: str, corpus: str) -> str:
    """A comparison in a line."""
    if arm == BASE_ARM:
        return ""
    found = report.of_arm(arm)[corpus]
    low, high = found.interval
    return f"{found.difference:+.4f}  ({low:+.4f} to {high:+.4f})  {found.verdict}"


def trained(
    loaded: Recipe,
    out: Path,
    resources: Resources,
    wanted: Callable[[Design, Machine], dict[Any, Run]],
) -> tuple[Design, dict[Any, Result]]:
    """Build a recipe's arms and train the runs that are wanted of them."""
    arms = plan_arms(loaded, out)
    build(arms, resources, Told())
    tokens = trial_of(loaded).tokens or TOKENS
    design = design_of(loaded, {arm.name: arm for arm in arms}, tokens)
    with LocalEngine(out / ".engine", resources.workers, PRELOAD) as engine:
        trainer = Trainer(out / "trial", engine, Told(), resources.whole)
        runs = wanted(design, trainer.machine(design.run(BASE_ARM, 0, settings(design))))
        trainer.train(runs)
        return design, {key: trainer.result(run) for key, run in runs.items()}


def settings(design: Design, machine: Machine = CPU, **changed: Any) -> Settings:
    """Those of the recipe's trial, or of one that differs in what is `changed`."""
    trial, mix = trial_of(design.recipe).model_copy(update=changed), mix_of(design.recipe)
    return settings_of(trial, mix, design.data[BASE_ARM].vocab, trial.tokens or TOKENS, machine)


def headline(design: Design, result: Result) -> float:
    """The weighted mean of a model's bits per byte."""
    found = {c: result.bits[c].sum() / result.bytes[c].sum() for c in design.headline}
    return sum(w * found[c] for c, w in design.headline.items()) / sum(design.headline.values())


def even(data: Path, out: Path, resources: Resources) -> None:
    """A/A trials, each with seeds of its own; false verdicts are counted by trial."""
    repetitions, seeds = 40, 3
    loaded = recipe(data, out, {"model": SMALL, "seeds": seeds, "tokens": 40_000}, "even")

    def wanted(design: Design, machine: Machine) -> dict[Any, Run]:
        found = {}
        for seed in range(repetitions * seeds):
            run = design.run(BASE_ARM, seed, settings(design, machine))
            found[BASE_ARM, seed] = run
            order = design.data[BASE_ARM].order(AA_SEEDS + seed)
            found[AA, seed] = replace(run, arm=AA, order=order)
        return found

    design, results = trained(loaded, out / "even", resources, wanted)
    wrong, differences = 0, []
    for number in range(repetitions):
        part = {
            (arm, seed - number * seeds): result
            for (arm, seed), result in results.items()
            if seed // seeds == number
        }
        found = compare_arms(measurements(part, seeds, [AA]), design.headline, Terms(alpha=0.05))
        every = (*found.headline, *found.corpora)
        wrong += any(c.verdict in (Verdict.BETTER, Verdict.WORSE) for c in every)
        differences.append(found.headline[0].difference)
    chance = sum(
        math.comb(repetitions, k) * 0.05**k * 0.95 ** (repetitions - k)
        for k in range(wrong, repetitions + 1)
    )
    print(
        f"\n{repetitions} A/A trials of {seeds} seeds: {wrong} with a false verdict (5 % allowed)"
    )
    print(f"  so many or more have a chance of {chance:.0%} where the true rate is 5 %")
    print(f"  headline differences: mean {np.mean(differences):+.4f}, sd {np.std(differences):.4f}")


def read(design: Design, arm: str) -> Any:
    """The sequences that an arm's first seed reads: `[sequences, length]`."""
    run = design.run(arm, 0, settings(design))
    batches = run.batches()
    return np.concatenate([batches.batch(step) for step in range(run.settings.steps)])


def pairing(data: Path, out: Path, resources: Resources) -> None:
    """Spread of a difference between seeds: arm and base with the same seed, or with another.

    Were all of it due to which sequences a seed reads, a share f of others would make the ratio
    1 / sqrt(f). Sequences from the same place may be shifted; `equal` are the same token for token.
    The ratio's 90 % interval is the jackknife's over seeds, on its logarithm.
    """
    seeds = 16
    arms = {
        "weights-half": news(0.205),
        "weights-1": news(0.21),
        "weights-2": news(0.22),
        "weights-5": news(0.25),
        "weights-10": news(0.3),
        "filter": {"corpora.docs.filter.gopher.n_words.min": 150},
        "dedup": {"corpora.code.dedup": {"threshold": 0.3, "bands": 40, "rows": 3}},
    }
    trial = {
        "model": "1M", "seeds": seeds, "tokens": TOKENS,
        "target": {"docs": 0.5, "code": 0.3, "news-gov": 0.2}, "arms": arms,
    }  # fmt: skip
    loaded = recipe(data, out, trial, "pairing")
    design, results = trained(
        loaded, out / "pairing", resources, lambda d, m: d.runs(settings(d, m), range(seeds))
    )

    def losses(arm: str) -> Any:
        return np.array([headline(design, results[arm, seed]) for seed in range(seeds)])

    base = losses(BASE_ARM)
    print(f"\nsd between {seeds} seeds of the headline's difference, bits per byte")
    print("  arm            same place    equal   paired  unpaired    ratio")

    def spreads(losses: Any, base: Any) -> tuple[float, float]:
        paired = float((losses - base).std(ddof=1))
        return paired, math.sqrt(losses.var(ddof=1) + base.var(ddof=1))

    for arm in arms:
        own = losses(arm)
        paired, unpaired = spreads(own, base)
        left_out = [spreads(np.delete(own, s), np.delete(base, s)) for s in range(seeds)]
        logs = np.log([two / one for one, two in left_out])
        error = math.sqrt((seeds - 1) / seeds * ((logs - logs.mean()) ** 2).sum())
        factor = math.exp(stats.t.ppf(0.95, seeds - 1) * error)
        ratio = unpaired / paired
        same = design.pairing()[arm]["same_sequences"]
        equal = (read(design, arm) == read(design, BASE_ARM)).all(1).mean()
        print(
            f"  {arm:<12} {same:>12.1%} {equal:>8.1%} {paired:>8.4f} {unpaired:>9.4f}"
            f" {ratio:>7.1f}x ({ratio / factor:.1f} to {ratio * factor:.1f})"
        )


def at_rates(design: Design, machine: Machine = CPU) -> dict[str, Settings]:
    """The base's own settings, and AdamW's, at half and twice the rate too."""
    found = {}
    for name in ("muon", "adamw"):
        own = settings(design, machine, optimizer=name)
        for factor in (0.5, 1.0, 2.0):
            label = f"{name}, {own.steps} steps of {own.sequences}, rate {factor:g}x"
            found[label] = replace(own, learning_rate=own.learning_rate * factor)
    return found


def variants(design: Design, machine: Machine = CPU) -> dict[str, Settings]:
    """Those, and steps of other sizes; the rate of larger steps grows with their root."""
    muon, found = settings(design, machine, optimizer="muon"), at_rates(design, machine)
    for sequences in (2, 8, 16):
        more = sequences / muon.sequences
        steps = muon.steps * muon.sequences // sequences
        found[f"muon, {steps} steps of {sequences}"] = replace(
            muon, sequences=sequences, steps=steps, beta2=muon.beta2**more,
            learning_rate=muon.learning_rate * math.sqrt(more),
        )  # fmt: skip
    return found


def rates(data: Path, out: Path, resources: Resources) -> None:
    """The headline over seeds, with the trial's own settings and with others."""
    tried(data, out, resources, "rates", "1M", variants)


def larger(data: Path, out: Path, resources: Resources) -> None:
    """Whether the rate for a size follows the table of `sizes.py` where it was not searched."""
    tried(data, out, resources, "larger", "4M", at_rates)


def tried(
    data: Path, out: Path, resources: Resources, name: str, model: str,
    choices: Callable[..., dict[str, Settings]],
) -> None:  # fmt: skip
    """Train a model's base with each choice of settings."""
    seeds = 3
    loaded = recipe(data, out, {"model": model, "seeds": seeds, "tokens": TOKENS}, name)

    def wanted(design: Design, machine: Machine) -> dict[Any, Run]:
        return {
            (label, seed): design.run(BASE_ARM, seed, other)
            for seed in range(seeds)
            for label, other in choices(design, machine).items()
        }

    design, results = trained(loaded, out / name, resources, wanted)
    print(f"\n{model}: headline, bits per byte, mean and sd of {seeds} seeds")
    for label, other in choices(design).items():
        found = [headline(design, results[label, seed]) for seed in range(seeds)]
        mean, sd = np.mean(found), np.std(found, ddof=1)
        print(f"  {label:<34} {other.learning_rate:.2g}   {mean:.4f}  {sd:.4f}")


PARTS = {"known": known, "even": even, "pairing": pairing, "rates": rates, "larger": larger}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=[*PARTS])
    default = Path(__file__).parents[3] / "shared" / "data" / "domains"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-trials"))
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    PARTS[given.part](given.data, given.out, Resources(given.workers, 2 << 30))


if __name__ == "__main__":
    main()
