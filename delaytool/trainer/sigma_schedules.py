"""How wide a tap is spread in each epoch: from half the kernel, where a delay hears of every step, to nearly its own.

    exponential   sigma_start (sigma_end / sigma_start)^s, the schedule of arXiv 2306.17670
    linear        sigma_start + (sigma_end - sigma_start) s
    cosine        sigma_end + (sigma_start - sigma_end) (1 + cos(pi s)) / 2
    plateau       times sigma_factor whenever training accuracy has not risen for sigma_patience epochs, and never
                  above a line to sigma_end at the end of training
    constant      sigma_end from the first epoch on
    single-tap    exponential, and single taps on rounded delays in the last epochs

s goes from 0 to 1 over the share `sigma_epochs` of all epochs. Every one of them may end on single taps, by
`single_tap_epochs`; 'single-tap' always does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from delaytool.models.config import ModelConfig
from delaytool.models.interpolation import FINAL_SIGMA
from delaytool.trainer.recipe import TrainerConfig


def _exponential(start: float, end: float, share: float) -> float:
    return start * (end / start) ** share


def _linear(start: float, end: float, share: float) -> float:
    return start + (end - start) * share


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


# (width at share 0, width at share 1, share) to the width
_DECAYS: dict[str, Callable[[float, float, float], float]] = {
    "exponential": _exponential,
    "single-tap": _exponential,
    "linear": _linear,
    "cosine": _cosine,
}


@dataclass
class _Plateau:
    """What 'plateau' remembers: the narrowing so far, the best accuracy at this width, and epochs without a better."""

    width: float = math.inf
    best: float = -1.0
    waited: int = 0


class SigmaSchedule:
    """The widths of a run. Ask for each epoch's in order, and tell how each ended: 'plateau' goes by that."""

    def __init__(self, trainer: TrainerConfig, model: ModelConfig) -> None:
        self._trainer = trainer
        self._spreads = model.learns_delays
        self._narrows = model.interpolation != "triangle"
        self._end = FINAL_SIGMA[model.interpolation] if trainer.sigma_end is None else trainer.sigma_end
        self._start = float(model.kernel_size // 2) if trainer.sigma_start is None else trainer.sigma_start
        single_taps_from = trainer.epochs - round(trainer.single_tap_share * trainer.epochs)
        self._spread_epochs = min(single_taps_from, trainer.first_quantised_epoch)
        self._plateau = _Plateau()

    def sigma(self, epoch: int) -> float | None:
        """Width in steps during an epoch (from 0); None: delays are rounded, each a single tap, and stay."""
        name = self._trainer.sigma_schedule
        if not self._spreads or epoch >= self._spread_epochs:
            return None
        if not self._narrows:
            return 0.0
        if name == "constant":
            return self._end
        if self._start <= self._end:
            return self._start
        if name == "plateau":
            return min(self._plateau.width, _linear(self._start, self._end, epoch / max(1, self._spread_epochs - 1)))
        steps = max(1, int(self._trainer.sigma_epochs * self._trainer.epochs))
        return _DECAYS[name](self._start, self._end, min(epoch, steps) / steps)

    def epoch_ended(self, epoch: int, train_accuracy: float) -> None:
        """train_accuracy: in 0..1, over the epoch's batches, so at the epoch's width."""
        seen, sigma = self._plateau, self.sigma(epoch)
        if self._trainer.sigma_schedule != "plateau" or sigma is None:
            return
        if train_accuracy > seen.best:
            seen.best, seen.waited = train_accuracy, 0
            return
        seen.waited += 1
        if seen.waited >= self._trainer.sigma_patience:
            # Another width is another network: its accuracy starts anew.
            narrower = max(min(sigma, self._end), sigma * self._trainer.sigma_factor)
            self._plateau = _Plateau(width=narrower)

    def state(self) -> dict[str, float]:
        """What a resumed run needs; empty for the schedules that go by the epoch alone."""
        return vars(self._plateau).copy() if self._trainer.sigma_schedule == "plateau" else {}

    def restore(self, state: dict[str, float]) -> None:
        """Go on from what `state` returned."""
        if state:
            self._plateau = _Plateau(float(state["width"]), float(state["best"]), int(state["waited"]))
