"""Progress of named steps, on a terminal's error stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from delaytool.printable import printable


class StepBars:
    """A bar for each step that reports progress, with its remaining time; nothing where the stream is no terminal."""

    def __init__(self, wanted: bool = True) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("left"),
            TimeRemainingColumn(), console=console, transient=True, disable=not (wanted and console.is_terminal),
        )  # fmt: skip
        self.tasks: dict[str, Any] = {}

    def __enter__(self) -> Callable[[str, int, int], None]:
        self.progress.start()
        return self._tell

    def _tell(self, name: str, done: int, total: int) -> None:
        if name not in self.tasks:
            self.tasks[name] = self.progress.add_task(printable(name), total=total)
        self.progress.update(self.tasks[name], completed=done)

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
