"""Progress in the terminal: one bar a launch, with rate and time left; none where no one looks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .common import size_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from ..stages.base import Stage
    from ..store.manifest import StageManifest


class TerminalWatcher:
    """Shows launches as bars and sealed stages as lines; use as a context manager.

    Args:
        console: where to show it; when it is no terminal only sealed stages are printed.
        quiet: show nothing at all.
    """

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet
        self.live = console.is_terminal and not quiet
        self._progress: Progress | None = None
        self._task: TaskID | None = None
        self._began = time.monotonic()
        self._tasks = 0

    def __enter__(self) -> TerminalWatcher:
        if self.live:
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._progress = Progress(
                TextColumn("{task.description}", style="bold"),
                BarColumn(),
                TextColumn("{task.fields[done]}"),
                TextColumn("{task.fields[rate]}"),
                TextColumn("left"),
                TimeRemainingColumn(compact=True),
                console=self.console,
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()

    def launched(self, title: str, tasks: int) -> None:
        """Start a new bar."""
        self._began = time.monotonic()
        if self._progress:
            if self._task is not None:
                self._progress.remove_task(self._task)
            short = title if len(title) < 60 else title[:57] + "..."
            done = f"0/{tasks}"
            self._task = self._progress.add_task(short, total=tasks, done=done, rate="starting")
            self._tasks = tasks

    def progressed(self, tasks: int, documents: int, size: int) -> None:
        """Move the bar."""
        if self._progress and self._task is not None:
            seconds = max(time.monotonic() - self._began, 1e-9)
            rate = f"{documents / seconds:,.0f} docs/s, {size_text(size / seconds)}/s"
            shown = rate if documents else ""
            done = f"{tasks}/{self._tasks}"
            self._progress.update(self._task, completed=tasks, done=done, rate=shown)

    def sealed(self, stage: Stage, manifest: StageManifest) -> None:
        """One line for a stage that is done."""
        if self.quiet:
            return
        counts, units = manifest.counts, len(manifest.units)
        text = f"[green]✓[/] {stage.id:<44} {units:>5} {'unit' if units == 1 else 'units':<5}"
        if counts.records_in:
            text += f"  {counts.records_in:>10,} → {counts.records_out:,}"
        self.console.print(text)
