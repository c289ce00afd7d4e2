"""The width of taps in each epoch: from half the kernel, where a delay learns from every step, to nearly one step.

    exponential   start (end / start)^s, the schedule of arXiv 2306.17670
    linear        start + (end - start) s
    cosine        end + (start - end) (1 + cos(pi s)) / 2
    plateau       times `factor` whenever training accuracy has not risen for `patience` epochs, and never above a
                  line to `end` at the end of training
    constant      `end` from the first epoch on
    single-tap    exponential, and single taps on rounded delays in the last epochs

s goes from 0 to 1 over the first `decay_epochs`. Every one of them may end on single taps, by `single_taps_from`;
'single-tap' does so by itself, in 30 % of the epochs, rounded to a whole number (none of a single epoch).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from delaytool.errors import ModelError
from delaytool.models.delayed_linear import delayed_layers
from delaytool.models.synapse_settings import FINAL_SIGMA
from delaytool.trainer.recipe import SINGLE_TAP_SHARE, Recipe


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
SCHEDULES = (*_DECAYS, "plateau", "constant")


@dataclass
class _Plateau:
    """State of 'plateau': the width so far, the best accuracy at this width, and the epochs since then."""

    width: float = math.inf
    best: float = -1.0
    waited: int = 0


class SigmaSchedule:
    """Sets the sigma of every DelayedLinear within any module, epoch by epoch; the trainer uses it too.

    model             the module; its layers get the first epoch's sigma at once
    epochs            of the training
    kind              one of SCHEDULES, which this module's docstring defines
    start             width of the first epoch, in steps; default: half the longest kernel that learns
                      delays (a recipe's default is half the feed-forward kernel: see `of_recipe`)
    end               width that it falls to; default: 0.23 with 'gauss', 0.2 with 'laplace', 0.16 with 'max'
    decay_epochs      epochs in which it falls there; default: a quarter of all
    factor, patience  of 'plateau'
    single_taps_from  the epoch (from 0) from which sigma is None: delays are rounded and stay, weights go on; default:
                      never, or with 'single-tap' the last 30 % of the epochs, rounded to a whole number

    Call `step` after every epoch, as with PyTorch's schedulers of rates; `state_dict` and `load_state_dict` as there.
    Where no layer learns delays sigma is None throughout, and with interpolation 'triangle', which has no width, 0.

    Raises ModelError for a module without a DelayedLinear, impossible values, and layers of several interpolations
    where `end` is not given.

    >>> from delaytool.models.delayed_linear import DelayedLinear
    >>> model = nn.Sequential(DelayedLinear(3, 2, max_delay=16))
    >>> schedule = SigmaSchedule(model, epochs=8, end=0.5, decay_epochs=4, single_taps_from=6)
    >>> for epoch in range(8):
    ...     print(epoch, model[0].sigma, schedule.is_final)  # train an epoch here
    ...     schedule.step()
    0 8.0 False
    1 4.0 False
    2 2.0 False
    3 1.0 False
    4 0.5 False
    5 0.5 False
    6 None True
    7 None True
    """

    def __init__(
        self,
        model: nn.Module,
        epochs: int,
        kind: str = "exponential",
        *,
        start: float | None = None,
        end: float | None = None,
        decay_epochs: int | None = None,
        factor: float = 0.5,
        patience: int = 3,
        single_taps_from: int | None = None,
    ) -> None:
        self._layers = delayed_layers(model)
        if not self._layers:
            raise ModelError("the model has no DelayedLinear, so there is no sigma to schedule; add one")
        if kind not in SCHEDULES:
            raise ModelError(f"kind {kind!r} is no schedule of sigma; choose one of {', '.join(SCHEDULES)}")
        if single_taps_from is None:
            single_taps_from = epochs - (round(SINGLE_TAP_SHARE * epochs) if kind == "single-tap" else 0)
        learning = [layer.config for layer in self._layers if layer.config.learns_delays]
        wide = {config.interpolation for config in learning} - {"triangle"}
        self.kind, self.epochs = kind, epochs
        self._spreads, self._narrows = bool(learning), bool(wide)
        self._start = (
            float(max((config.kernel_size // 2 for config in learning), default=0)) if start is None else start
        )
        self._end = _final_sigma(wide) if end is None else end
        self._decay_epochs = max(1, int(0.25 * epochs)) if decay_epochs is None else decay_epochs
        self._factor, self._patience = factor, patience
        self._spread_epochs = min(single_taps_from, epochs)
        self._check()
        self._plateau = _Plateau()
        self.epoch = 0
        self._set()

    def _check(self) -> None:
        for name, value, fits, limit in (
            ("epochs", self.epochs, self.epochs >= 1, "1 or more"),
            ("start", self._start, 0 <= self._start < math.inf, "a number of steps, 0 or more"),
            ("end", self._end, 0 <= self._end < math.inf, "a number of steps, 0 or more"),
            ("decay_epochs", self._decay_epochs, self._decay_epochs >= 1, "1 or more"),
            ("factor", self._factor, 0 < self._factor < 1, "a number between 0 and 1"),
            ("patience", self._patience, self._patience >= 1, "1 or more"),
            ("single_taps_from", self._spread_epochs, self._spread_epochs >= 0, "an epoch, 0 or more"),
        ):
            if not fits:
                raise ModelError(f"sigma schedule: {name} {value} is impossible; give {limit}")

    @staticmethod
    def of_recipe(recipe: Recipe, model: nn.Module) -> SigmaSchedule:
        """The schedule that a recipe's trainer part describes; it starts at half the feed-forward kernel by default."""
        trainer = recipe.trainer
        single_taps_from = trainer.epochs - round(trainer.single_tap_share * trainer.epochs)
        return SigmaSchedule(
            model,
            trainer.epochs,
            trainer.sigma_schedule,
            start=float(recipe.model.kernel_size // 2) if trainer.sigma_start is None else trainer.sigma_start,
            end=trainer.sigma_end,
            decay_epochs=max(1, int(trainer.sigma_epochs * trainer.epochs)),
            factor=trainer.sigma_factor,
            patience=trainer.sigma_patience,
            single_taps_from=min(single_taps_from, trainer.first_quantized_epoch),
        )

    @property
    def single_taps_from(self) -> int | None:
        """The epoch (from 0) from which learned delays are rounded to single taps; None where none is."""
        return self._spread_epochs if self._spreads and self._spread_epochs < self.epochs else None

    @property
    def sigma(self) -> float | None:
        """Width of the present epoch, in steps; None: delays are rounded, each a single tap, and stay."""
        epoch = min(self.epoch, self.epochs - 1)
        if not self._spreads or epoch >= self._spread_epochs:
            return None
        if not self._narrows:
            return 0.0
        if self.kind == "constant":
            return self._end
        if self._start <= self._end:
            return self._start
        if self.kind == "plateau":
            return min(self._plateau.width, _linear(self._start, self._end, epoch / max(1, self._spread_epochs - 1)))
        return _DECAYS[self.kind](self._start, self._end, min(epoch, self._decay_epochs) / self._decay_epochs)

    @property
    def is_final(self) -> bool:
        """Whether the present epoch has the width that training is to end with: single taps if there are any.

        Rounding the delays of an earlier epoch, whose taps are wider, costs more.
        """
        sigma = self.sigma
        if not self._spreads or self.single_taps_from is not None:
            return sigma is None
        return sigma is not None and sigma <= self._end * (1 + 1e-9)

    def step(self, train_accuracy: float | None = None) -> None:
        """End the present epoch and set the next one's width.

        train_accuracy: over the epoch's batches, so at its width; any number that is higher where training is better.
        Only 'plateau' needs it. Raises ModelError where it is missing.
        """
        if self.kind == "plateau":
            if train_accuracy is None:
                raise ModelError("sigma schedule 'plateau' needs the training accuracy; call step(accuracy)")
            self._narrow(train_accuracy)
        self.epoch += 1
        self._set()

    def _narrow(self, train_accuracy: float) -> None:
        seen, sigma = self._plateau, self.sigma
        if sigma is None:
            return
        if train_accuracy > seen.best:
            seen.best, seen.waited = train_accuracy, 0
            return
        seen.waited += 1
        if seen.waited >= self._patience:
            # With another width the network differs, so its best accuracy starts anew.
            self._plateau = _Plateau(width=max(min(sigma, self._end), sigma * self._factor))

    def _set(self) -> None:
        for layer in self._layers:
            layer.sigma = self.sigma

    def state_dict(self) -> dict[str, Any]:
        """The epoch, and the state of 'plateau'."""
        return {"epoch": self.epoch, **(vars(self._plateau) if self.kind == "plateau" else {})}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.epoch = int(state["epoch"])
        if "width" in state:
            self._plateau = _Plateau(float(state["width"]), float(state["best"]), int(state["waited"]))
        self._set()


def _final_sigma(interpolations: set[str]) -> float:
    if len(interpolations) > 1:
        raise ModelError(
            f"the model's layers have interpolations {', '.join(sorted(interpolations))}, each with another width at "
            "the end; give `end`"
        )
    return FINAL_SIGMA[interpolations.pop()] if interpolations else 0.0
