"""The learning curves of several methods or settings beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from delaytool.report.inline_svg import inline_svg
from delaytool.report.training_figures import Metrics, learning_curves


def draw_learning_curves(curves: Mapping[str, Sequence[Metrics]]) -> list[Markup]:
    """Accuracy on validation, or in training where there is none, and loss in training over epochs.

    curves   by name, the metrics of each run
    """
    validated = any(line["validation_accuracy"] is not None for runs in curves.values() for run in runs for line in run)
    key, part = ("validation_accuracy", "Validation") if validated else ("train_accuracy", "Training")
    return [
        inline_svg(learning_curves(curves, key, f"{part} accuracy (%)", 100), f"{part} accuracy over epochs"),
        inline_svg(learning_curves(curves, "train_loss", "Training loss (cross-entropy)"), "Training loss over epochs"),
    ]
