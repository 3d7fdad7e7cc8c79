"""Training the runs of a trial in the processes of an engine.

Invariant: of runs with the same content one is trained; what is finished is not trained again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from ..engine import LocalEngine
from ..fingerprint import fingerprint
from ..runner import Watcher
from ..store.atomic import read_json, write_json
from ..store.errors import CorpusError
from .runs import Result, Run, find_run, read_run
from .settings import Machine
from .work import Training

if TYPE_CHECKING:
    from .prospect import Speed


AMPLE_BASE, AMPLE_PARAMETER = 900 << 20, 60
"""Bytes of a process, and of each parameter of its model: weights, gradients, optimizer state,
copies, activations."""

AMPLE_TOKENS, AMPLE_ACTIVATIONS = 4096, 24
"""Tokens at once that those bytes hold, and of each further one the numbers in fp32 that are kept,
in widths of the model, a layer."""


class TrainingFollower(Watcher, Protocol):
    """Who is told how training goes."""

    def trained(self, runs: int, tokens: int, nats: float) -> None:
        """Of the runs being trained, so many are over, so many tokens in all are done, and the
        loss summed over them is this."""


class Trainer:
    """Trains runs and keeps what they come to, in the processes of an engine.

    Args:
        memory: bytes for all of them together, where models train on the CPU.
    """

    def __init__(
        self, folder: Path, engine: LocalEngine, follower: TrainingFollower, memory: int
    ) -> None:
        self.folder, self.engine, self.follower = folder, engine, follower
        self.memory = memory
        self._room: dict[int, int] = {}

    def machine(self, run: Run) -> Machine:
        """What this model trains fastest on; the same again for the same trial folder."""
        key = fingerprint([str(run.settings.shape), run.data.vocab])
        path = self.folder / "machines" / f"{key[:16]}.json"
        if not path.exists():
            task = {"kind": "machine", "run": run.name, "label": "finding the faster number format"}
            self.follower.launched(str(task["label"]), 1)
            work = Training(self.folder, {run.name: run})
            (found,) = self.engine.launch([task], work, lambda seen: None)
            write_json(path, found)
        return Machine(**read_json(path))

    def due(self, runs: Mapping[Any, Run]) -> list[Run]:
        """Those not trained yet; of runs with the same content the first."""
        due: dict[str, Run] = {}
        for run in runs.values():
            if run.hash not in due and find_run(self.folder, run) is None:
                due[run.hash] = run
        return list(due.values())

    def processes(self, runs: Iterable[Run]) -> int:
        """How many models train at once: there may be memory for fewer than there are workers.

        Arms with a tokenizer of their own have other models than the base; the largest counts.

        Raises:
            EngineError: there is too little for one.
        """
        run = max(runs, key=ample_memory)
        workers, ample = self.engine.workers, ample_memory(run)
        on_cpu = run.settings.machine.device == "cpu"
        enough = workers * ample <= self.memory if on_cpu else workers == 1
        if enough:
            return workers
        if ample not in self._room:
            task = {
                "kind": "room", "run": run.name, "label": f"how much memory {run.name} takes",
                "memory": self.memory,
            }  # fmt: skip
            self.follower.launched("finding how many models there is memory for", 1)
            work = Training(self.folder, {run.name: run})
            (found,) = self.engine.launch([task], work, lambda seen: None)
            self._room[ample] = int(found["models"])
        return min(workers, self._room[ample])

    def speed(self, runs: Sequence[Run]) -> Speed:
        """Measured on as many processes as will train at once."""
        from .prospect import Speed

        processes = self.processes(runs)
        chosen = runs[:processes]
        tasks = [
            {"kind": "probe", "run": run.name, "label": f"how fast {run.name} trains"}
            for run in chosen
        ]
        self.follower.launched("measuring how fast models train", len(tasks))
        work = Training(self.folder, {run.name: run for run in chosen})
        found = self.engine.launch(tasks, work, lambda seen: None)
        return Speed(
            tokens_per_second=median(probe["tokens_per_second"] for probe in found),
            processes=processes,
            heldout_tokens=max(int(probe["heldout_tokens"]) for probe in found),
            start=median(probe["start_seconds"] for probe in found),
        )

    def train(self, runs: Mapping[Any, Run]) -> None:
        """Train what is due."""
        due = {run.name: run for run in self.due(runs)}
        if not due:
            return
        tasks = [
            {"kind": "train", "run": name, "label": f"training {run.arm}, seed {run.seed}"}
            for name, run in due.items()
        ]
        self.follower.launched(f"training {len(tasks)} models", len(tasks))
        told: Callable[[Any], None] = partial(_tell, self.follower)
        processes = self.processes(due.values())
        self.engine.launch(tasks, Training(self.folder, due), told, processes=processes)

    def result(self, run: Run) -> Result:
        """What a trained run came to."""
        path = find_run(self.folder, run)
        if path is None:
            raise CorpusError(run.name, "was trained, yet left no result", do="run again")
        return read_run(path, run)


def ample_memory(run: Run) -> int:
    """Bytes that a process on a CPU surely needs no more of to train this model.

    Seen were .6 GB for 1M parameters and 3.3 GB for 60M with sequences of up to 4,096 tokens, and
    2.3 GB for 15M with 8,192: a sequence is computed at once, however long.
    """
    settings = run.settings
    shape, further = settings.shape, max(0, settings.sequence_length - AMPLE_TOKENS)
    activations = 4 * AMPLE_ACTIVATIONS * shape.layers * shape.width * further
    return AMPLE_BASE + AMPLE_PARAMETER * shape.parameters(run.data.vocab) + activations


def _tell(follower: TrainingFollower, seen: Any) -> None:
    follower.trained(seen.tasks, seen.documents, seen.bytes / 1000)
