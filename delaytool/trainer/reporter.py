"""Callbacks of training. `docs/callbacks.md` has examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delaytool.models.delay_network import DelayNetwork
    from delaytool.trainer.data import TrainingData
    from delaytool.trainer.recipe import Recipe


class Reporter:
    """The callback protocol: `train` calls these methods as it goes. Each does nothing here; a subclass has its own.

    The order is `reading` (any number of times), `begin`, then per epoch `batch` for every batch and `epoch`, then
    `end`. `calibrating` comes before the first epoch through a chip's integers, `warning` at any time. With several
    processes the first one alone calls. A callback only looks: what it changes in the network or the recipe would part
    the run from its recipe. An exception that it raises ends training as Ctrl-C does: the last whole epoch is kept, and
    `resume` goes on.

    >>> import delaytool as dt
    >>> class Epochs(dt.Reporter):
    ...     def epoch(self, metrics, is_best):
    ...         print("epoch", metrics["epoch"], "moved delays of", *metrics["delay_moved"])
    >>> settings = {"model.hidden": [4], "trainer.epochs": 2}
    >>> run = dt.train("digits", folder="runs/reported", overrides=settings, reporter=Epochs())
    epoch 1 moved delays of hidden1 readout
    epoch 2 moved delays of hidden1 readout
    """

    def reading(self, what: str, done: int, total: int) -> None:
        """Reading data takes long: `done` of `total` of `what`."""

    def begin(self, recipe: Recipe, data: TrainingData, model: DelayNetwork, epochs_done: int) -> None:
        """All is read and built, nothing trained; epochs_done is above 0 where a run is resumed."""

    def batch(self, epoch: int, index: int, count: int, loss: float | None) -> None:
        """Batch `index` of `count` was trained (from 1).

        loss: its mean; None where reading it makes a GPU wait, and with several processes, which have a share each.
        """

    def calibrating(self, layer: str, tried: int, count: int) -> None:
        """Scales of a layer's integers are tried: `tried` of `count`."""

    def epoch(self, metrics: dict[str, Any], is_best: bool) -> None:
        """An epoch has ended, and its checkpoint is written. metrics: the line of `metrics.jsonl` (see `scalars`)."""

    def warning(self, sentence: str) -> None:
        """What the user should know of the run's results; it is in the summary, too."""

    def end(self, summary: dict[str, Any]) -> None:
        """Training is over; summary is what `summary.json` holds."""


class Reporters(Reporter):
    """Several callbacks as one, called in their order."""

    def __init__(self, *reporters: Reporter) -> None:
        self._reporters = reporters

    def reading(self, what: str, done: int, total: int) -> None:
        for one in self._reporters:
            one.reading(what, done, total)

    def begin(self, recipe: Recipe, data: TrainingData, model: DelayNetwork, epochs_done: int) -> None:
        for one in self._reporters:
            one.begin(recipe, data, model, epochs_done)

    def batch(self, epoch: int, index: int, count: int, loss: float | None) -> None:
        for one in self._reporters:
            one.batch(epoch, index, count, loss)

    def calibrating(self, layer: str, tried: int, count: int) -> None:
        for one in self._reporters:
            one.calibrating(layer, tried, count)

    def epoch(self, metrics: dict[str, Any], is_best: bool) -> None:
        for one in self._reporters:
            one.epoch(metrics, is_best)

    def warning(self, sentence: str) -> None:
        for one in self._reporters:
            one.warning(sentence)

    def end(self, summary: dict[str, Any]) -> None:
        for one in self._reporters:
            one.end(summary)


def scalars(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of an epoch's metrics or of a summary, by name; a layer's as 'name/layer'.

    Words, lists (a histogram's counts) and what is None are left out, and so is the epoch, which is the axis.

    >>> dict(scalars({"epoch": 3, "train_loss": 0.5, "sigma": None, "spikes": {"hidden1": 20.0}}))
    {'train_loss': 0.5, 'spikes/hidden1': 20.0}
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            for key, one in value.items():
                if isinstance(one, (int, float)):
                    yield f"{name}/{key}", one
        elif isinstance(value, (int, float)) and name != "epoch":
            yield name, value
