"""The exporter's record of the float network's predictions, read again."""

from __future__ import annotations

import numpy as np

from delaytool.verification.float_figures import FloatFigures, float_record, recorded_figures


def test_recorded_accuracies_are_those_of_the_chosen_samples() -> None:
    record = float_record("checkpoint", "samples", as_trained=[0, 1, 2, 0], rounded=[1, 1, 2, 1])
    provenance = {"checkpoint_sha256": "checkpoint", "float": record}
    figures = recorded_figures(provenance, "samples", np.array([0, 1, 1, 1]), np.array([0, 1]))
    assert isinstance(figures, FloatFigures)
    assert (figures.as_trained, figures.rounded) == (1.0, 0.5)
