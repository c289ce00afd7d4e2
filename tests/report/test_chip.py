"""The page's section about the chip."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest


def test_placement_energy_latency_real_time_and_neurobench(page: str, figures_of: Callable) -> None:
    section = page[page.index('<section id="chip">') : page.index('<section id="sample">')]
    for text in (
        "of synapses on 2 cores of 128 of Intel Loihi 2 (an estimate",
        "Energy (Loihi 1 constants): ",
        "Time (Loihi 1 constants): ",
        "Real time (Loihi 1 constants): a step of the data is 2 ms; the chip keeps up",
        "Placement (",
        "activation sparsity",
        "membrane updates",
    ):
        assert text in section, text
    drawing = figures_of(page)["2 cores on the mesh of Intel Loihi 2"]
    for name in ("hidden1", "readout"):
        assert name in drawing


def test_the_mesh_shows_every_core_where_it_lies() -> None:
    pytest.importorskip("matplotlib")
    from delaytool.hw_configs import load_target
    from delaytool.mapping.design import Design
    from delaytool.mapping.fit import fit
    from delaytool.mapping.placement import Placement, traffic_of
    from delaytool.mapping.shape import shape_of_design
    from delaytool.report.chip_figure import mesh_figure

    target = load_target("loihi2")
    result = fit(shape_of_design(Design(n_channels=140, hidden=(256, 256), n_classes=20), target), target)
    assert target.mesh is not None
    placement = Placement(np.array([5, 0, 127]), target.mesh, "by hand")
    axes = mesh_figure(result, placement, traffic_of(result.shape, result.packing)).axes[0]
    places = {text.get_text(): text.get_position() for text in axes.texts}
    tiles = {name: (int(x), int(y)) for name, (x, y) in places.items()}
    assert tiles == {"0": (1, 0), "1": (0, 0), "2": (7, 3)}
    assert len(axes.lines) == 2  # hidden1 to hidden2, hidden2 to readout
