"""Bars of long work on a terminal: what is done, what is reported of it, elapsed and remaining time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from delaytool.printable import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


def live_bars(console: Console, status: str, speed_period_s: float = 30.0) -> Progress:
    """Bars over a terminal's width, gone at the end; nothing where the console is no terminal.

    status          the fields of a task that stand beside its bar, as rich formats them
    speed_period_s  over how long the speed is a mean
    Where the terminal is narrow, the bar gives way first, and times stay whole.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.table import Column

    def whole() -> Column:
        return Column(no_wrap=True, overflow="ignore")

    return Progress(
        TextColumn("{task.description}", markup=False, table_column=whole()),
        BarColumn(bar_width=None, table_column=Column(ratio=1)),
        TextColumn(status, markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
        TimeElapsedColumn(table_column=whole()),
        TextColumn("left", table_column=whole()),
        TimeRemainingColumn(table_column=whole()),
        console=console,
        transient=True,
        expand=True,
        disable=not console.is_terminal,
        speed_estimate_period=speed_period_s,
    )


class StepBars:
    """A bar for each step that progress is reported of, with its remaining time; nothing where stderr is no terminal.

    with StepBars() as progress:
        progress("reading", 3, 10)  # step, done, of how many
    """

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
        return self._update

    def _update(self, step: str, done: int, total: int) -> None:
        if step not in self.tasks:
            self.tasks[step] = self.progress.add_task(printable(step), total=total, completed=done)
        self.progress.update(self.tasks[step], completed=done)

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
