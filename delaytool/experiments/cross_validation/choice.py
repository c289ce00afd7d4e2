"""From what the folds have measured to the epoch that they choose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from delaytool.accuracy_errors import exact_mean, over_seeds
from delaytool.errors import SweepError


@dataclass(frozen=True)
class Fold:
    """One fold. Accuracies are of validation, 0..1.

    held_out     what it held out, in words
    best_epoch   the epoch that it alone would choose, with its accuracy
    """

    fold: int
    held_out: str
    samples: int
    best_epoch: int
    accuracy: float
    accuracy_at_chosen: float


@dataclass(frozen=True)
class EpochChoice:
    """What folds measured per epoch.

    folds            in order
    mean_accuracy    of each epoch, 0..1: validation accuracy, every fold counting the same
    mean_loss        the same of the loss
    chosen_epoch     from 1: of those that can be chosen in every fold, the highest mean accuracy, then the lowest mean
                     loss, then the first; the last epoch where none can
    accuracy         mean accuracy of that epoch; standard_error over the folds
    """

    folds: tuple[Fold, ...]
    mean_accuracy: tuple[float, ...]
    mean_loss: tuple[float, ...]
    chosen_epoch: int
    accuracy: float
    standard_error: float

    def as_dict(self) -> dict[str, Any]:
        """For folds.json and the summary."""
        return asdict(self)


def choose_epoch(summaries: Sequence[Mapping[str, Any]]) -> EpochChoice:
    """The choice of finished folds, given their summaries in order.

    Raises SweepError where they have not the same number of epochs.

    >>> curves = [{"accuracy": [0.2, 0.8, 0.9], "loss": [1.0] * 3, "can_be_chosen": [True] * 3},
    ...           {"accuracy": [0.2, 0.8, 0.5], "loss": [1.0] * 3, "can_be_chosen": [True] * 3}]
    >>> folds = [{"split": "", "validation_samples": 10, "best_epoch": 0, "validation_accuracy": 0.0, "fold_curve": c}
    ...          for c in curves]
    >>> choose_epoch(folds).chosen_epoch
    2
    """
    curves: list[Mapping[str, Any]] = [summary.get("fold_curve") or {} for summary in summaries]
    lengths = {len(curve.get("accuracy", ())) for curve in curves}
    if len(lengths) != 1 or 0 in lengths:
        raise SweepError("the folds have not trained the same epochs, so that none can be chosen; train them again")
    accuracies = list(zip(*(curve["accuracy"] for curve in curves), strict=True))  # (epoch, fold)
    losses = list(zip(*(curve["loss"] for curve in curves), strict=True))
    can_be = [all(each) for each in zip(*(curve["can_be_chosen"] for curve in curves), strict=True)]
    samples = [summary["validation_samples"] for summary in summaries]
    means = [exact_mean(each, samples) for each in accuracies]
    mean_loss = [math.fsum(each) / len(each) for each in losses]
    candidates = [epoch for epoch, can in enumerate(can_be) if can] or [len(means) - 1]
    chosen = max(candidates, key=lambda epoch: (means[epoch], -mean_loss[epoch]))
    error = over_seeds(accuracies[chosen]).standard_error
    return EpochChoice(
        folds=tuple(_fold(number, len(curves), summary, chosen) for number, summary in enumerate(summaries)),
        mean_accuracy=tuple(map(float, means)),
        mean_loss=tuple(mean_loss),
        chosen_epoch=chosen + 1,
        accuracy=float(means[chosen]),
        standard_error=0.0 if error is None else error,
    )


def _fold(number: int, count: int, summary: Mapping[str, Any], chosen: int) -> Fold:
    return Fold(
        fold=number,
        held_out=summary["split"].partition("; test: ")[0].removeprefix(f"validation: fold {number} of {count}: "),
        samples=summary["validation_samples"],
        best_epoch=summary["best_epoch"],
        accuracy=summary["validation_accuracy"],
        accuracy_at_chosen=summary["fold_curve"]["accuracy"][chosen],
    )
