"""The structure of layers whose fields have a known structure."""

from __future__ import annotations

import numpy as np
import pytest

from delaytool.analysis.layer_structure import MoranSettings, layer_structure
from delaytool.report.rows import structure_rows

SETTINGS = MoranSettings(permutations=99, seed=1)


@pytest.fixture(scope="module")
def fields() -> np.ndarray:
    """40 neurons of one synapse a unit at random; the last 10 have excitation in a patch. Neuron 0 has no synapse."""
    generator = np.random.default_rng(2)
    fields = np.zeros((40, 30, 8))
    delay = generator.integers(0, 8, (40, 30))
    delay[30:, 8:20] = generator.integers(2, 4, (10, 12))
    weight = generator.normal(size=(40, 30))
    weight[30:, 8:20] = np.abs(weight[30:, 8:20]) + 1
    np.put_along_axis(fields, delay[..., None], weight[..., None], 2)
    fields[0] = 0
    return fields


def test_clustered_neurons_are_significant_and_the_others_are_not(fields: np.ndarray) -> None:
    structure = layer_structure(fields, SETTINGS)
    for null in ("cells", "weights"):
        p = structure.tests["signed"][null].p
        assert (p[30:] <= 0.05).all()
        assert (p[1:30] <= 0.05).mean() < 0.25
    assert set(structure.most_tuned(10).tolist()) == set(range(30, 40))
    summary = structure.summary()
    assert summary["signed"]["neurons"] == 39
    assert summary["excitation"]["weights_shuffled"]["share_significant"] >= 10 / 39
    assert summary["inhibition"]["weights_shuffled"]["share_significant"] < 10 / 39


def test_every_neuron_has_a_row_for_each_part(fields: np.ndarray) -> None:
    structure = layer_structure(fields, SETTINGS)
    rows = structure.neurons()
    assert len(rows) == 3 * 40
    empty = rows[0]
    assert (empty["neuron"], empty["cells"], empty["morans_i"], empty["weights_p"]) == (0, 0, None, None)
    by_part = {row["part"]: row for row in rows if row["neuron"] == 35}
    assert by_part["signed"]["cells"] == 30
    assert by_part["excitation"]["cells"] + by_part["inhibition"]["cells"] == 30
    assert by_part["signed"]["morans_i"] == structure.tests["signed"]["cells"].i[35]


def test_a_layer_without_synapses_has_nothing_to_measure() -> None:
    structure = layer_structure(np.zeros((3, 4, 5)), SETTINGS)
    assert structure.summary() == {part: {"neurons": 0} for part in ("signed", "excitation", "inhibition")}
    assert len(structure.most_tuned(2)) == 2


def test_one_neuron_has_no_standard_error(fields: np.ndarray) -> None:
    structure = layer_structure(fields[35:36], SETTINGS)
    signed = structure.summary()["signed"]
    assert (signed["neurons"], signed["morans_i_deviation"]) == (1, None)
    (row, *_) = structure_rows({"before": structure})
    assert row[2] == f"{signed['morans_i_mean']:.4f}"


def test_with_fewer_than_19_permutations_nothing_is_significant(fields: np.ndarray) -> None:
    for count, expected in ((18, 0.0), (19, 1.0)):
        found = layer_structure(fields[35:36], MoranSettings(permutations=count, seed=1)).summary()["signed"]
        assert found["cells_shuffled"]["share_significant"] == expected


def test_progress_rises_to_the_end(fields: np.ndarray) -> None:
    calls: list[int] = []
    layer_structure(fields[:3], MoranSettings(permutations=5), lambda done, total: calls.append(done * 100 // total))
    assert calls == sorted(calls)
    assert calls[-1] == 100
