"""The learning curves of several methods or settings beside each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from markupsafe import Markup

from delaytool.report.inline_svg import inline_svg
from delaytool.report.training_figures import Metrics, learning_curves


def draw_learning_curves(curves: Mapping[str, Sequence[Metrics]], on_test: Collection[str] = ()) -> list[Markup]:
    """Accuracy on validation, or in training where there is none, and loss in training over epochs.

    curves    by name, the metrics of each run
    on_test   the names whose epochs were chosen on the test part, which then stands in place of validation
    """
    validated = any(line["validation_accuracy"] is not None for runs in curves.values() for run in runs for line in run)
    key, part = "train_accuracy", "Training"
    if validated:
        key, part = "validation_accuracy", "Validation"
        if on_test:
            part = "Test" if all(name in on_test for name in curves) else "Validation or test"
    return [
        inline_svg(learning_curves(curves, key, f"{part} accuracy (%)", 100), f"{part} accuracy over epochs"),
        inline_svg(learning_curves(curves, "train_loss", "Training loss (cross-entropy)"), "Training loss over epochs"),
    ]
