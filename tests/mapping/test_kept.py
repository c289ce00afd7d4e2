"""A placement goes into a network file and comes back, and changes no integer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from mapping.test_fit import three_neurons

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import NetworkError
from delaytool.hw_configs import load_target
from delaytool.mapping.fit import fit
from delaytool.mapping.kept import EXTENSION, core_of_neurons, fit_as_kept, kept_placement, with_placement
from delaytool.mapping.placement import Placement
from delaytool.mapping.shape import shape_of_network
from delaytool.report.chip import chip_section
from delaytool.report.content import Content

LOIHI2 = load_target("loihi2")


def test_it_comes_back(tmp_path: Path) -> None:
    network = three_neurons()
    result = fit(shape_of_network(network), LOIHI2)
    assert [cores.tolist() for cores in core_of_neurons(result.packing, [2, 1])] == [[0, 0], [1]]
    assert LOIHI2.mesh is not None
    assert kept_placement(network, result) is None
    placed = with_placement(network, result, Placement(np.array([17, 3]), LOIHI2.mesh, "by hand"))
    placed.save(tmp_path / "net.h5")
    again = IntegerNetwork.load(tmp_path / "net.h5")
    assert again.integers_sha256() == network.integers_sha256()
    kept = kept_placement(again, result)
    assert kept is not None
    assert (kept.slots.tolist(), kept.method) == ([17, 3], "by hand")


def test_another_chip_or_other_cores_are_placed_anew() -> None:
    network = three_neurons()
    result = fit(shape_of_network(network), LOIHI2)
    assert LOIHI2.mesh is not None
    placed = with_placement(network, result, Placement(np.array([0, 1]), LOIHI2.mesh, "by hand"))
    other = fit(shape_of_network(network), load_target("loihi2-netx"))
    assert kept_placement(placed, other) is None
    one = replace(LOIHI2, limits=replace(LOIHI2.limits, neurons_per_core=1))
    assert kept_placement(placed, fit(shape_of_network(network), one)) is None


def test_a_placement_of_a_budget_is_the_one_that_is_shown() -> None:
    network = three_neurons()
    shape, mesh = shape_of_network(network), LOIHI2.mesh
    assert mesh is not None
    placed = with_placement(network, fit(shape, LOIHI2, 1), Placement(np.array([17]), mesh, "by hand"))
    kept = fit_as_kept(placed, LOIHI2)
    assert (kept.fit.packing.count, kept.fit.packing.shares_cores, kept.why_anew) == (1, True, "")
    assert kept.placement is not None
    assert kept.placement.slots.tolist() == [17]
    content = SimpleNamespace(file=SimpleNamespace(network=placed), verification=None, why_not_verified="")
    section = chip_section(cast(Content, content))
    assert section is not None
    assert "on 1 core, which layers share, of 128 of Intel Loihi 2" in section["headline"]
    apart = fit_as_kept(with_placement(network, fit(shape, LOIHI2), Placement(np.array([17, 3]), mesh, "")), LOIHI2)
    assert (apart.fit.packing.count, apart.why_anew, apart.placement is None) == (2, "", False)


def test_a_placement_that_is_not_shown_says_why() -> None:
    network = three_neurons()
    result = fit(shape_of_network(network), LOIHI2)
    assert LOIHI2.mesh is not None
    placed = with_placement(network, result, Placement(np.array([17, 3]), LOIHI2.mesh, "by hand"))
    assert fit_as_kept(network, LOIHI2).why_anew == ""
    for values, why in (
        ({"target": "mine"}, "The file's placement is for mine, and not shown"),
        ({"core/0": np.array([0, 1])}, "of other cores than these, or of another mesh; place it again"),
        ({"slots": np.array([0, 0])}, "slots are not different cores of 0..127"),
    ):
        other = replace(placed, extensions={EXTENSION: {**placed.extensions[EXTENSION], **values}})
        content = SimpleNamespace(file=SimpleNamespace(network=other), verification=None, why_not_verified="")
        section = chip_section(cast(Content, content))
        assert section is not None
        assert why in section["lines"][-1]
        assert "on 2 cores of 128" in section["headline"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("slots", np.array([0, 0])), ("slots", np.array([0, 128])), ("slots", np.array([-1, 0])), ("slots", "two"),
     ("slots", np.array([0.5, 1.0])), ("method", np.array([1]))],
)  # fmt: skip
def test_what_cannot_be_is_refused(key: str, value: object) -> None:
    network = three_neurons()
    result = fit(shape_of_network(network), LOIHI2)
    assert LOIHI2.mesh is not None
    placed = with_placement(network, result, Placement(np.array([0, 1]), LOIHI2.mesh, "by hand"))
    values = {**placed.extensions[EXTENSION], key: value}
    with pytest.raises(NetworkError, match="extension placement"):
        kept_placement(replace(placed, extensions={EXTENSION: values}), result)
