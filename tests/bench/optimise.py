"""Does the optimised mix hold? `python tests/bench/optimise.py --data ../shared/data/domains`

Six domains, a target of two of them (declared below, before anything is trained), a swarm of
--runs models of 1M parameters, then the written recipe's own trial at fresh seeds: the chosen mix
(base) against the natural and the uniform one. Prints the answer and the verdicts; exits 1 unless
both rivals are worse. About 20 minutes on two quiet cores with 32 runs and 18 of the trial; kept
models are reused.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

MEGABYTES = {
    "books": 6.0, "code": 6.0, "docs": 5.0, "encyclopedia": 2.0, "news_gov": 3.0, "qa": 1.5,
}  # fmt: skip
"""Text taken of each domain: what is wanted most is not what there is most of."""

TARGET = {"qa": 0.5, "news-gov": 0.5}
TOKENS = 104_000
SEEDS = 6


def take(source: Path, target: Path, size: float) -> None:
    """The first rows that hold `size` megabytes of text, in an order that mixes their sources."""
    table = pq.read_table(source, columns=["id", "text", "url"])
    step = 7919  # a prime: walks through all rows
    rows, taken, used = table.num_rows, [], 0
    texts = table.column("text")
    for number in range(rows):
        row = number * step % rows
        used += len(texts[row].as_py().encode())
        taken.append(row)
        if used >= size * 1e6:
            break
    pq.write_table(table.take(pa.array(taken)), target)


def recipe(folder: Path) -> dict[str, object]:
    """Documents as they are, exact and near duplicates taken out."""
    return {
        "name": "domains",
        "corpora": {
            name.replace("_", "-"): {
                "source": {"parquet": str(folder / f"{name}.parquet")},
                "stages": ["dedup"],
            }
            for name in MEGABYTES
        },
        "heldout": {"share": "10%", "max_documents": 20},
        "tokenizer": {"train": {"vocab": 4096, "max_bytes": "10MB"}},
        "mix": {
            "tokens": 2_000_000, "sequence_length": 256, "sampler": "proportional",
            "max_epochs": 2,
        },
        "trial": {
            "model": "1M", "seeds": SEEDS, "tokens": TOKENS, "target": TARGET, "arms": {},
        },
    }  # fmt: skip


def corpus(*arguments: str) -> str:
    """What a command prints; its progress goes to the terminal."""
    command = [sys.executable, "-m", "corpus_builder", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the domains' Parquet")
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("runs/bench-optimise"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, size in MEGABYTES.items():
        if not (options.out / f"{name}.parquet").exists():
            take(options.data / f"{name}.parquet", options.out / f"{name}.parquet", size)
    path, run = options.out / "domains.yaml", str(options.out / "run")
    path.write_text(yaml.safe_dump(recipe(options.out), sort_keys=False), "utf-8")
    print(corpus("optimise", str(path), "--out", run, "--runs", str(options.runs)), flush=True)
    best = f"{run}/optimise/best.yaml"
    print(corpus("trial", best, "--out", run))
    report = json.loads(Path(run, "trial", "report.json").read_text("utf-8"))
    verdicts = {
        arm: report["arms"][arm]["comparisons"]["headline"] for arm in ("natural", "uniform")
    }
    for arm, found in verdicts.items():
        low, high = found["interval"]
        print(
            f"{arm} beside the chosen mix: {found['verdict']} by {found['difference']:.4f} bits "
            f"per byte ({low:.4f} to {high:.4f}), {SEEDS} seeds that the swarm did not use"
        )
    return 0 if all(found["verdict"] == "worse" for found in verdicts.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
