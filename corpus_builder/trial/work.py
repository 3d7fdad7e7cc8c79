"""What workers do for a trial: train a run, measure how fast one trains, find its number format.

Invariant: a run's tables do not depend on the machine's speed; `run.json` is written last; a worker
whose trial was killed stops at its next step.
"""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import psutil
import pyarrow as pa

from ..store.atomic import write_json
from ..store.errors import DataError, EngineError
from ..store.tables import FileInfo, write_table
from ..train.data import MixBatches
from .runs import DOCUMENTS, PAIRS, Run

if TYPE_CHECKING:
    from ..train.evaluate import Documents, MinimalPairs
    from ..train.model import Decoder

PROBE_STEPS = 4
PROBE_TOKENS = 4096
"""Of a step, on a CPU: a fair sample. On a GPU a probe's steps are whole ones."""

SPARE = 0.1
"""Share of the memory that is left alone."""

CUDA_CONTEXT = 600 << 20
"""Bytes that a process takes on a GPU beside its tensors: assumed."""

CURVE_COLUMNS = ("step", "tokens", "loss", "learning_rate", "gradient_norm")


class Training:
    """Does a trial's tasks in a worker: `train` a run, `probe` how fast one trains, find how many
    models a GPU has room for (`room`), or the number format that is faster (`machine`).

    Args:
        folder: of all runs.
        runs: by name.
    """

    def __init__(self, folder: Path, runs: Mapping[str, Run]) -> None:
        self.folder, self.runs = folder, dict(runs)

    def __call__(
        self, task: dict[str, Any], progress: Callable[[int, int], None]
    ) -> dict[str, Any]:
        """Do one task; progress counts tokens, and thousandths of a nat of loss over them."""
        from ..train.machine import keep_memory

        keep_memory()
        run = self.runs[task["run"]]
        if task["kind"] == "machine":
            return self._machine(run)
        with _on_device(run):
            if task["kind"] == "room":
                return self._room(run, task["memory"])
            return self._probe(run) if task["kind"] == "probe" else self._train(run, progress)

    def _machine(self, run: Run) -> dict[str, Any]:
        import torch

        from ..train.machine import choose_precision

        device = "cuda" if torch.cuda.is_available() else "cpu"
        return {"device": device, "precision": choose_precision(run.config().model, device=device)}

    def _train(self, run: Run, progress: Callable[[int, int], None]) -> dict[str, float]:
        from ..train.loop import train

        folder, done = self.folder / run.name, 0

        engine = _engine()

        def moved(steps: int, budget: int, row: Mapping[str, Any]) -> None:
            nonlocal done
            if _engine() != engine:
                raise EngineError(run.name, "the trial was killed", do="run it again to go on")
            tokens = (steps - done) * run.settings.tokens // budget
            progress(tokens, round(1000 * row["loss"] * tokens))
            done = steps

        documents, pairs = run.documents(), run.pairs()
        found = train(
            run.config(),
            run.batches(),
            folder / "checkpoints",
            evaluators={
                "documents": lambda model: _scored(run, model, documents),
                "pairs": lambda model: _tried(model, pairs),
            },
            progress=moved,
        ).final
        tables = {**found.evaluations, "curve": found.curve.select(list(CURVE_COLUMNS))}
        files = _write(folder, tables)
        write_json(
            folder / "run.json",
            {"identity": run.identity, "files": [asdict(file) for file in files]},
        )
        return {"tokens_per_second": float(median(found.curve.column(-1).to_pylist()))}

    def _room(self, run: Run, memory: int) -> dict[str, int]:
        """How many models like this one train at once, this one among them.

        Args:
            memory: bytes there are, on a CPU.
        """
        import torch

        self._probe(run)
        if run.settings.machine.device == "cpu":
            return {"models": processes_in(_most_memory(), memory, run.name)}
        free, _ = torch.cuda.mem_get_info()
        return {"models": models_in(torch.cuda.max_memory_reserved() + CUDA_CONTEXT, free)}

    def _probe(self, run: Run) -> dict[str, float]:
        """Tokens a second over a few steps, what the first takes longer, tokens to score."""
        from ..train.loop import train
        from ..train.schedule import Schedule

        settings = run.settings
        sequences = settings.sequences
        if settings.machine.device == "cpu":
            sequences = max(1, min(sequences, PROBE_TOKENS // settings.sequence_length))
        batches = MixBatches(run.order, run.data.stores, sequences)
        config = replace(run.config(), schedule=Schedule((min(PROBE_STEPS, batches.steps),)))
        with tempfile.TemporaryDirectory() as folder:
            curve = train(config, batches, Path(folder)).final.curve
        rates = curve.column("tokens_per_second").to_pylist()
        rate = float(median(rates[1:] or rates))
        step = sequences * settings.sequence_length
        pairs = [half for part in run.pairs().values() for half in (part.good, part.bad)]
        scored = sum(len(i) for part in (*run.documents().values(), *pairs) for i in part.tokens)
        return {
            "tokens_per_second": rate,
            "start_seconds": max(0.0, step / rates[0] - step / rate),
            "heldout_tokens": scored,
        }


def processes_in(own: int, memory: int, where: str) -> int:
    """Processes of `own` bytes each in `memory` bytes; scoring takes a little more than training.

    Raises:
        EngineError: not even one.
    """
    if own > memory:
        what = f"training takes {own / 1e9:.1f} GB of memory, and {memory / 1e9:.1f} GB may be used"
        raise EngineError(where, what, do="raise --memory, or take a smaller model")
    return max(1, int((1 - SPARE) * memory // own))


def _most_memory() -> int:
    """The most bytes that this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def models_in(own: int, free: int) -> int:
    """Models of `own` bytes each, where one is there and `free` bytes are left beside it."""
    return max(1, int((1 - SPARE) * (own + free) // own))


@contextmanager
def _on_device(run: Run) -> Iterator[None]:
    """Says which run went wrong, and what is wrong with its device; gives back what was taken."""
    import torch

    if run.settings.machine.device == "cuda" and not torch.cuda.is_available():
        what = "the models of this trial train on a GPU, and there is none here"
        do = "go on where one is, or delete trial/machines to train all models anew"
        raise EngineError(run.name, what, do=do)
    try:
        yield
    except torch.OutOfMemoryError as error:
        do = "train fewer models at once: lower --workers; or a smaller model"
        raise EngineError(run.name, "the GPU's memory is full", do=do) from error
    except DataError as error:
        where = f"arm {run.arm!r}, seed {run.seed}, {error.where}"
        raise DataError(where, error.what, allowed=error.allowed, do=error.do) from error
    finally:
        torch.cuda.empty_cache()  # a process that did one task may stay while others do theirs


def _engine() -> int:
    """The process that started the one this worker was forked from.

    The latter outlives a killed trial for as long as a worker is busy: a step is seconds, a model
    minutes.
    """
    return int(psutil.Process(os.getppid()).ppid())


def _scored(run: Run, model: Decoder, documents: Mapping[str, Documents]) -> pa.Table:
    """The table of DOCUMENTS."""
    from ..train.evaluate import score

    parts = []
    for corpus, (ids, _) in run.heldout.texts().items():
        scores = score(model, documents[corpus])
        columns = [[corpus] * len(ids), ids, scores.text_bytes, scores.tokens, scores.bits]
        arrays = [pa.array(c, f.type) for c, f in zip(columns, DOCUMENTS, strict=True)]
        parts.append(pa.Table.from_arrays(arrays, schema=DOCUMENTS))
    return pa.concat_tables(parts)


def _tried(model: Decoder, pairs: Mapping[str, MinimalPairs]) -> pa.Table:
    """The table of PAIRS."""
    from ..train.evaluate import score_pairs

    rows = [
        {"probe": name, "phenomenon": kind, "pairs": count, "right": right}
        for name, part in pairs.items()
        for kind, (count, right) in score_pairs(model, part).items()
    ]
    return pa.Table.from_pylist(rows, PAIRS)


def _write(folder: Path, tables: Mapping[str, pa.Table]) -> list[FileInfo]:
    """The tables of a run: nothing in them depends on the machine's speed."""
    return [
        write_table(folder, f"{name}.parquet", table.schema, table.combine_chunks().to_batches())
        for name, table in tables.items()
    ]
