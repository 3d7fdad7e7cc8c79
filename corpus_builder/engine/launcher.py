"""The engine's own process: takes launches on standard input, runs each on datatrove's executor.

One process serves all launches of a run, so that the forkserver starts once with everything
imported and compiled. It is a process so that it can be killed whole when a worker is lost:
datatrove's local pool waits for ever for a worker that was killed.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from .worker import RunTask, die_with_parent

# Imported by the forkserver, so that workers inherit them; kernels compile (or load) at import.
PRELOAD = (
    "datatrove.executor.local",
    "numpy",
    "pyarrow.compute",
    "pyarrow.parquet",
    "tokenizers",
    "corpus_builder.engine.forked",
    "corpus_builder.engine.worker",
    "corpus_builder.work",
    "corpus_builder.rules",
    "corpus_builder.kernels.c4",
    "corpus_builder.kernels.code",
    "corpus_builder.kernels.fineweb",
    "corpus_builder.kernels.gopher",
    "corpus_builder.kernels.repetition",
    "corpus_builder.kernels.text",
    "corpus_builder.minhash.banding",
    "corpus_builder.minhash.components",
    "corpus_builder.minhash.digests",
    "corpus_builder.minhash.heldout",
    "corpus_builder.minhash.shingles",
    "corpus_builder.minhash.signatures",
    "corpus_builder.minhash.verify",
    "corpus_builder.mixing.order",
)


def launch(order: dict[str, Any], work: bytes) -> None:
    """Run one list of tasks to its end (failures are on the board, not raised)."""
    from datatrove.executor.local import LocalPipelineExecutor

    step = RunTask(order["board"], work)
    executor = LocalPipelineExecutor(
        pipeline=[step],
        tasks=order["tasks"],
        workers=min(order["workers"], order["tasks"]),
        logging_dir=order["logs"],
        skip_completed=False,
        start_method="forkserver",
    )
    executor.run()


def main() -> None:
    """Serve launches from standard input until it ends: a JSON line, then the pickled work.

    Arguments name further modules for the forkserver to import.

    datatrove's executor forks a manager here; like us it must not outlive its parent.
    """
    import multiprocess

    from . import forked  # noqa: F401

    die_with_parent()
    multiprocess.set_forkserver_preload([*PRELOAD, *sys.argv[1:]])
    # Whatever a library prints, here or in a worker, must not look like a reply.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    while line := sys.stdin.buffer.readline():
        order = json.loads(line)
        launch(order, sys.stdin.buffer.read(order["pickled"]))
        replies.write("done\n")
        replies.flush()


if __name__ == "__main__":
    main()
