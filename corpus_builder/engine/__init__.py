"""Runs lists of tasks on datatrove's executors; the only folder that imports them.

A task is a JSON object; what it means is known to the work function that goes with a launch.
Invariant: the engine decides nothing about data: no rank, worker count or completion file of its
own ever says that something is done.
"""

from .local import LocalEngine, Progress

__all__ = ["LocalEngine", "Progress"]
