"""A reporter that presses Ctrl-C while a run trains."""

from __future__ import annotations

from delaytool.trainer.reporter import Reporter


class Interrupts(Reporter):
    """Presses Ctrl-C in an epoch, counted from 1, after the batch of that number."""

    def __init__(self, epoch: int, batch: int = 1) -> None:
        self.at = epoch, batch

    def batch(self, epoch: int, index: int, count: int, loss: float | None) -> None:
        if (epoch, index) == self.at:
            raise KeyboardInterrupt
