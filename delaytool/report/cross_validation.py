"""The record of a cross-validation (folds.json, and `cross_validation` of a summary) as rows and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from delaytool.accuracy_errors import format_accuracy, format_percent

FOLD_HEADINGS = ("fold", "held out", "best epoch", "accuracy there", "at the chosen epoch")


def fold_rows(record: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One per fold: what it held out, the epoch that it alone would have chosen, and its accuracies."""
    return [
        (
            str(fold["fold"]),
            fold["held_out"],
            str(fold["best_epoch"]),
            format_accuracy(fold["accuracy"], fold["samples"]),
            format_percent(fold["accuracy_at_chosen"]),
        )
        for fold in record["folds"]
    ]


def describe_chosen_epoch(record: Mapping[str, Any]) -> str:
    """The chosen epoch, what the folds' mean is there, and what that figure is not."""
    folds = [fold["best_epoch"] for fold in record["folds"]]
    return (
        f"the folds alone would choose epochs {min(folds)} to {max(folds)}; their mean is highest in epoch "
        f"{record['chosen_epoch']}: {100 * record['accuracy']:.2f} % ± {100 * record['standard_error']:.2f} over "
        f"{len(folds)} folds, which as the highest of {len(record['mean_accuracy'])} epochs is a little too high"
    )
