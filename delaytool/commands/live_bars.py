"""Bars of long work: what is done, what it says, elapsed and remaining time."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


def live_bars(console: Console, said: str, speed_period_s: float = 30.0) -> Progress:
    """Bars over a terminal's width, gone at the end; nothing where the console is no terminal.

    said            the fields of a task that stand beside its bar, as rich formats them
    speed_period_s  over how long the speed is a mean
    """
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        TextColumn(said, markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        speed_estimate_period=speed_period_s,
    )
