"""The exporter's record of the float network's predictions, read again."""

from __future__ import annotations

import numpy as np

from delaytool.verification.float_figures import FloatFigures, float_record, recorded_figures


def test_recorded_accuracies_are_those_of_the_chosen_samples() -> None:
    record = float_record("checkpoint", "samples", as_trained=[0, 1, 2, 0], rounded=[1, 1, 2, 1])
    provenance = {"checkpoint_sha256": "checkpoint", "float": record}
    figures = recorded_figures(provenance, "samples", np.array([0, 1, 1, 1]), np.array([0, 1]))
    assert isinstance(figures, FloatFigures)
    assert (figures.as_trained, figures.rounded, figures.quantized_for) == (1.0, 0.5, None)


def test_the_record_of_a_network_that_was_trained_through_integers_says_so() -> None:
    record = float_record("checkpoint", "samples", [0, 1], [0, 1])
    labels = np.array([0, 1])
    for name in ("quantized_for", "trained_through"):  # the second is the first's former name
        provenance = {"checkpoint_sha256": "checkpoint", "float": record, name: "loihi2"}
        figures = recorded_figures(provenance, "samples", labels, labels)
        assert isinstance(figures, FloatFigures)
        assert figures.by_network() == {"as trained, integers": 1.0}
    changed = {**record, "rounded": [1, 1]}
    found = recorded_figures({**provenance, "float": changed}, "samples", labels, labels)
    assert found == "the float accuracy that the file records does not have its digest: it was changed"
