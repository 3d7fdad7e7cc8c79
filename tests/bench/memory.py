"""Memory and throughput of a whole run at two input sizes and one --memory.

The shared domains are repeated with edits that defeat deduplication, written as Parquet, and put
through every stage. Printed: the peak resident memory of the largest process and of all together,
and documents and megabytes of text a second for each launch.

    python tests/bench/memory.py --sizes 1G 10G --memory 4G [--data ../shared/data/domains]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

UNITS = {"M": 10**6, "G": 10**9}
PART_BYTES = 64 << 20
DOMAINS = ("docs", "books", "news_gov", "encyclopedia", "code")
RECIPE = """
name: memory
corpora:
  text:
    source: {{parquet: '{inputs}/*.parquet'}}
    stages:
      - language: {{min_score: 0}}
      - filter: [{{gopher: {{alpha_word_fraction: off}}}}]
      - dedup
heldout: {{share: 1%, max_documents: 200}}
tokenizer: {{train: {{vocab: 8192, max_bytes: 50MB}}}}
mix: {{tokens: 50M, sequence_length: 1024, weights: {{text: 1}}, on_short: redistribute}}
"""


def documents(data: Path, size: int) -> Iterator[str]:
    """Texts of the domains, again and again, every third word marked with the round."""
    texts = [
        text
        for name in DOMAINS
        for text in pq.read_table(data / f"{name}.parquet")["text"].to_pylist()
    ]
    written = 0
    for turn in range(10**6):
        for text in texts:
            words = text.split(" ")
            words[::3] = [f"{word}{turn:x}" for word in words[::3]]
            edited = " ".join(words)
            yield edited
            written += len(edited.encode())
            if written >= size:
                return


def write_inputs(data: Path, folder: Path, size: int) -> None:
    """Parquet parts of about 64 MB of text each, in row groups of 1,000."""
    folder.mkdir(parents=True)
    part: list[str] = []
    held = number = 0
    for text in documents(data, size):
        part.append(text)
        held += len(text)
        if held >= PART_BYTES:
            write_part(folder, number, part)
            part, held, number = [], 0, number + 1
    if part:
        write_part(folder, number, part)


def write_part(folder: Path, number: int, texts: list[str]) -> None:
    table = pa.table({"text": pa.array(texts, pa.large_string())})
    path = folder / f"part-{number:05d}.parquet"
    pq.write_table(table, path, compression="zstd", row_group_size=1000)


class Watch(threading.Thread):
    """Samples the proportional set size (shared pages divided) of a process and all below it."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.process, self.largest, self.total, self.done = psutil.Process(pid), 0, 0, False

    def run(self) -> None:
        while not self.done:
            sizes = [0]
            for process in [self.process, *self.process.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    sizes.append(process.memory_full_info().pss)
            self.largest = max(self.largest, *sizes)
            self.total = max(self.total, sum(sizes))
            time.sleep(0.3)


def run(folder: Path, inputs: Path, memory: str, workers: int) -> tuple[int, int, float]:
    """Peak bytes of the largest process and of all, and seconds, of one run."""
    recipe = folder / "memory.yaml"
    recipe.write_text(RECIPE.format(inputs=inputs))
    command = [
        sys.executable,
        "-m",
        "corpus_builder",
        "run",
        str(recipe),
        "--out",
        str(folder / "run"),
    ]
    command += ["--memory", memory, "--workers", str(workers), "--quiet"]
    began = time.monotonic()
    process = subprocess.Popen(command)
    watch = Watch(process.pid)
    watch.start()
    code = process.wait()
    watch.done = True
    if code:
        raise SystemExit(f"the run failed with {code}")
    return watch.largest, watch.total, time.monotonic() - began


def launches(folder: Path, size: int) -> None:
    """Throughput of every launch."""
    timing = json.loads((folder / "run" / "timing.json").read_text())[-1]
    for launch in timing["launches"]:
        rate = size / 1e6 / max(launch["seconds"], 1e-3)
        print(f"    {launch['launch']:<62} {launch['seconds']:>8.1f} s {rate:>9.1f} MB of text/s")


def bytes_of(text: str) -> int:
    return int(float(text[:-1]) * UNITS[text[-1]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[3] / "shared" / "data" / "domains"
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--sizes", nargs=2, default=["1G", "10G"])
    parser.add_argument("--memory", default="4G")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where to work (needs 6 times the larger size)")
    given = parser.parse_args()
    results = []
    with tempfile.TemporaryDirectory(dir=given.folder) as temp:
        for text in given.sizes:
            size, folder = bytes_of(text), Path(temp) / text
            write_inputs(given.data, folder / "inputs", size)
            largest, total, seconds = run(folder, folder / "inputs", given.memory, given.workers)
            results.append((text, largest, total))
            print(
                f"{text}: largest process {largest / 1e6:,.0f} MB, "
                f"all {total / 1e6:,.0f} MB, {seconds:,.0f} s"
            )
            launches(folder, size)
    (small, first, all_first), (big, second, all_second) = results
    print(
        f"{big} against {small}: largest {second / first:.2f}x, "
        f"all together {all_second / all_first:.2f}x"
    )


if __name__ == "__main__":
    main()
