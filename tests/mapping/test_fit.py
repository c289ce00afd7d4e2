"""Limits from both sides, hand-checked sizes, and the exporter's check as the oracle."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.limits import bits_per_synapse, check_limits, first_violation, placements
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.errors import ExportError
from delaytool.hw_configs import Axons, load_target
from delaytool.mapping.cores import axons, pack
from delaytool.mapping.design import Design
from delaytool.mapping.fit import fit, memory
from delaytool.mapping.shape import GroupShape, shape_of_design, shape_of_network

LOIHI2 = load_target("loihi2")


def chip(**limits: int):
    return replace(LOIHI2, limits=replace(LOIHI2.limits, **limits))


def three_neurons(*, weight: int = 2, delay: int = 5, **layer) -> IntegerNetwork:
    """Two hidden neurons with an input of 3 channels, a readout of one: 6 synapses in a matrix, 2 in a list."""
    weights, delays = np.full((2, 3), 2), np.zeros((2, 3))
    weights[1, 2], delays[1, 2] = weight, delay
    values = {"dv": 409, "threshold": 100, **layer}
    exponent = values.pop("exponent", 0)
    hidden = IntegerLayer("hidden1", 2, (DenseSynapses(0, weights, delays.astype(int), exponent),), **values)
    listed = SparseSynapses(1, 1, 2, np.array([0, 0]), np.array([0, 1]), np.array([4, 6]), np.array([0, 1]))
    readout = IntegerLayer("readout", 1, (listed,), dv=409, threshold=100)
    encoding = InputEncoding(3, values="count", max_count=layer.pop("max_count", 7))
    return IntegerNetwork(encoding, (hidden, readout), Readout("sum", 1.0, 0, 9), 9, "loihi2")


def test_three_neurons_by_hand() -> None:
    """Matrix: 6 x (8 weight + 3 delay bits for 5) = 66 bits, two units of 8 bytes. List: 2 x (8 + 1 + 0) = 18: one."""
    result = fit(shape_of_network(three_neurons()), LOIHI2)
    hidden, readout = result.shape.layers
    assert (memory(hidden, LOIHI2).total, memory(readout, LOIHI2).total) == (16, 8)
    assert (hidden.synapses, hidden.fan_in, readout.synapses, readout.fan_in) == (6, 3, 2, 2)
    assert memory(hidden, LOIHI2).weights == 6
    assert memory(hidden, LOIHI2).delays == 18 // 8
    # In Loihi 1's blocks every axon has its own: 3 x (2 x 14 + 10 = 38 bits), 2 x (1 x 14 + 10 = 24 bits).
    assert [core.high_bytes for core in result.packing.cores] == [24, 16]
    assert [core.neurons for core in result.packing.cores] == [2, 1]
    inward, outward = axons(result.shape, result.packing)
    assert inward.tolist() == [3, 2]
    assert outward.tolist() == [2, 0]
    assert result.fits
    assert not result.doubts


@pytest.mark.parametrize(
    ("within", "beyond", "reason"),
    [
        ({"delay": 62}, {"delay": 63}, "layer hidden1: longest delay 63 exceeds 62 by 1"),
        ({"weight": 254}, {"weight": 256}, "layer hidden1: largest weight 256 exceeds 254 by 2"),
        ({"weight": -256}, {"weight": -258}, "layer hidden1: smallest weight -258 is below -256 by 2"),
        ({"weight": 4}, {"weight": 3}, "layer hidden1: remainder of weights 1 exceeds 0 by 1"),
        ({"dv": 4095}, {"dv": 4096}, "layer hidden1: dv 4,096 exceeds 4,095 by 1"),
    ],
)
def test_a_networks_limits_from_both_sides(within, beyond, reason) -> None:
    assert fit(shape_of_network(three_neurons(**within)), LOIHI2).fits
    result = fit(shape_of_network(three_neurons(**beyond)), LOIHI2)
    assert result.reasons == (reason,)


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("payload_max", 7),
        ("weight_exponent_max", 3),
        ("threshold_max", 100),
        ("decay_max", 4095),  # du of every layer: no current filter
        ("membrane_decay_max", 409),
        ("bias_mantissa_max", 9),
        ("bias_exponent_max", 2),
        ("synapse_bytes_per_core", 8),
        ("cores", 2),
    ],
)
def test_a_chips_limits_from_both_sides(limit: str, value: int) -> None:
    network = three_neurons(exponent=3, bias_mantissa=np.array([-9, 9]), bias_exponent=2)
    shape = shape_of_network(network)
    assert fit(shape, chip(**{limit: value})).fits
    result = fit(shape, chip(**{limit: value - 1}))
    assert not result.fits
    if value > 1:
        assert any(f" {value - 1:,} " in f"{reason} " or "KiB" in reason for reason in result.reasons)


@pytest.mark.parametrize(("limit", "value"), [("neurons_per_core", 2), ("synapse_bytes_per_core", 16)])
def test_what_a_core_holds_decides_how_many_are_needed(limit: str, value: int) -> None:
    network = three_neurons()
    within, beyond = chip(**{limit: value, "cores": 2}), chip(**{limit: value - 1, "cores": 2})
    assert fit(shape_of_network(network), within).fits
    assert first_violation(network, within) is None
    assert fit(shape_of_network(network), beyond).reasons == ("network: cores 3 exceeds 2 by 1",)
    assert str(first_violation(network, beyond)).startswith("network: it takes about 3 cores, loihi2 has 2 ")


@pytest.mark.parametrize(("limit", "value"), [("bias_mantissa_min", -9), ("bias_exponent_min", 0)])
def test_lower_limits_from_both_sides(limit: str, value: int) -> None:
    shape = shape_of_network(three_neurons(bias_mantissa=np.array([-9, 9])))
    assert fit(shape, chip(**{limit: value})).fits
    assert not fit(shape, chip(**{limit: value + 1})).fits


def test_axons_bind_only_where_they_are_the_chips_own() -> None:
    shape = shape_of_network(three_neurons())

    def with_axons(inward: int, outward: int, is_own: bool):
        return replace(LOIHI2, axons=Axons(inward, outward, is_own, "a test"))

    assert fit(shape, with_axons(3, 2, True)).fits
    assert not fit(shape, with_axons(2, 2, True)).fits
    assert not fit(shape, with_axons(3, 1, True)).fits
    foreign = fit(shape, with_axons(2, 1, False))
    assert foreign.fits
    assert len(foreign.doubts) == 2


def test_cores_are_split_by_memory_and_by_neurons_and_shared_for_a_budget() -> None:
    design = Design(n_channels=8, hidden=(10,), n_classes=2, max_delay=3)
    # A hidden neuron takes 8 x (8 + 2) = 80 bits; k of them 8 ceil(80 k / 64) bytes: 4 in 40 bytes, 5 in 56.
    shape = shape_of_design(design, LOIHI2)
    by_memory = pack(shape, chip(synapse_bytes_per_core=40))
    assert [(part.layer, part.start, part.stop) for core in by_memory.cores for part in core.parts] == [
        (0, 0, 4), (0, 4, 7), (0, 7, 10), (1, 0, 2)
    ]  # fmt: skip
    by_neurons = pack(shape, chip(neurons_per_core=5))
    assert [core.neurons for core in by_neurons.cores] == [5, 5, 2]
    assert pack(shape, LOIHI2).count == 2
    shared = pack(shape, LOIHI2, cores=1)
    assert shared.shares_cores
    assert [(part.layer, part.start, part.stop) for part in shared.cores[0].parts] == [(0, 0, 10), (1, 0, 2)]
    # Split evenly, 60 and 60 hidden neurons would leave no room for the readout's 12,680 bytes.
    shape = shape_of_design(Design(n_channels=100, hidden=(120,), n_classes=65), LOIHI2)
    shared = pack(shape, chip(synapse_bytes_per_core=16_250), cores=2)
    assert [[(part.layer, part.start, part.stop) for part in core.parts] for core in shared.cores] == [
        [(0, 0, 99)], [(0, 99, 120), (1, 0, 65)]
    ]  # fmt: skip


def test_one_neuron_beyond_a_core() -> None:
    shape = shape_of_design(Design(n_channels=8, hidden=(3,), n_classes=2, max_delay=3), LOIHI2)
    assert fit(shape, chip(synapse_bytes_per_core=16)).fits
    result = fit(shape, chip(synapse_bytes_per_core=8))
    assert any("memory of one neuron's synapses" in reason for reason in result.reasons)


def test_more_cores_than_anybody_has_are_counted_without_being_laid_out() -> None:
    design = Design(n_channels=1_000_000, hidden=(1_000_000,) * 4, n_classes=10)
    result = fit(shape_of_design(design, LOIHI2), LOIHI2)
    assert result.packing.count > 10**7
    assert not result.packing.cores
    assert not result.fits


def test_every_core_that_the_chip_has_is_laid_out_and_checked() -> None:
    many = chip(cores=100_000, neurons_per_core=1)
    shape = shape_of_design(Design(n_channels=8, hidden=(5000,), n_classes=2, max_delay=3), many)
    assert fit(shape, many).fits
    assert len(fit(shape, many).packing.cores) == 5002
    # A neuron of the readout takes 5000 x (8 + 2) bits.
    small = replace(many, limits=replace(many.limits, synapse_bytes_per_core=6000))
    assert fit(shape, small).reasons == (
        "layer readout: memory of one neuron's synapses 6.1 KiB exceeds 5.9 KiB by 0.2 KiB",
    )
    few = replace(small, limits=replace(small.limits, cores=10))
    assert not fit(shape, few).packing.cores
    assert len(fit(shape, few).reasons) == 2
    own = replace(many, axons=Axons(8, 4096, True, "a test"))
    assert any("axons into a core 5,000 exceeds 8" in reason for reason in fit(shape, own).reasons)


def test_a_core_holds_whole_neurons_and_files_of_before_still_load(tmp_path: Path) -> None:
    """A hidden neuron takes 700 x 13 bits, so that a core of 128 KiB holds 115 of them, not 115.2."""
    network = dense(700, 576)
    assert [one.cores for one in placements(network, LOIHI2)] == [6, 1]
    assert fit(shape_of_network(network), LOIHI2).packing.count == 7
    beyond = dense(90_000, 1)
    with pytest.raises(ExportError, match=r"layer hidden1: the synapses of one neuron take 142\.8 KiB, a core"):
        check_limits(beyond, LOIHI2)
    assert not fit(shape_of_network(beyond), LOIHI2).fits
    assert first_violation(network, chip(cores=6)) is not None
    # Which neurons share a core was not asked for when files like this were written.
    beyond.save(tmp_path / "net.h5")
    assert IntegerNetwork.load(tmp_path / "net.h5") == beyond


def test_a_network_for_no_chip_keeps_the_contracts_limits(tmp_path: Path) -> None:
    network = replace(three_neurons(weight=40_000, dv=4096), target="ideal")
    network.save(tmp_path / "net.h5")
    assert fit(shape_of_network(IntegerNetwork.load(tmp_path / "net.h5")), load_target("ideal")).fits
    recipe = shape_of_design(Design(n_channels=3, hidden=(2,), n_classes=2, max_delay=40_000), load_target("ideal"))
    assert not fit(recipe, load_target("ideal")).fits


def dense(n_in: int, n_hidden: int) -> IntegerNetwork:
    groups = [
        DenseSynapses(source, np.full(shape, 2), np.full(shape, 24))
        for source, shape in enumerate([(n_hidden, n_in), (2, n_hidden)])
    ]
    layers = [
        IntegerLayer(name, group.shape[0], (group,), dv=1, threshold=1)
        for name, group in zip(("hidden1", "readout"), groups, strict=True)
    ]
    return IntegerNetwork(InputEncoding(n_in, values="binary"), tuple(layers), Readout("sum", 1.0, 0, 5), 5, "loihi2")


@st.composite
def networks(draw) -> IntegerNetwork:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = draw(st.lists(st.integers(1, 12), min_size=2, max_size=4))
    largest, longest = draw(st.sampled_from([100, 256, 300])), draw(st.sampled_from([0, 7, 62, 64]))
    step = draw(st.sampled_from([1, 2]))
    layers = []
    for index, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        weight = rng.integers(-largest, largest + 1, (n_out, n_in)) // step * step
        weight[rng.random((n_out, n_in)) < draw(st.sampled_from([0.0, 0.9]))] = 0
        group = DenseSynapses(index, weight, rng.integers(0, longest + 1, (n_out, n_in)), draw(st.integers(0, 7)))
        chosen = group if draw(st.booleans()) else group.as_sparse()
        layers.append(IntegerLayer(f"layer{index}", n_out, (chosen,), dv=draw(st.sampled_from([4095, 4096])),
                                   threshold=100))  # fmt: skip
    encoding = InputEncoding(sizes[0], values="count", max_count=draw(st.sampled_from([1, 3])))
    return IntegerNetwork(encoding, tuple(layers), Readout("sum", 1.0, 0, 5), 5, "ideal")


@given(network=networks(), name=st.sampled_from(["loihi2", "loihi2-netx", "ideal"]))
@settings(max_examples=150, deadline=None)
def test_the_exporters_check_and_the_fit_agree(network: IntegerNetwork, name: str) -> None:
    target = load_target(name)
    result = fit(shape_of_network(network), target)
    assert result.fits == (first_violation(network, target) is None)
    assert result.synapse_bytes == sum(one.synapse_bytes for one in placements(network, target))
    for core in result.packing.cores:
        assert core.neurons <= target.limits.neurons_per_core
        assert core.high_bytes >= core.n_bytes


@given(
    network=networks(), room=st.sampled_from([8, 16, 40, 104, 1000]), neurons=st.integers(1, 12), share=st.booleans()
)
@settings(max_examples=150, deadline=None)
def test_every_neuron_lies_on_one_core_within_its_limits(network, room, neurons, share) -> None:
    shape, target = shape_of_network(network), chip(synapse_bytes_per_core=room, neurons_per_core=neurons)
    packing = pack(shape, target, 1 if share else None)
    for index, layer in enumerate(shape.layers):
        parts = [part for core in packing.cores for part in core.parts if part.layer == index]
        assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
        assert parts[-1].stop == layer.n_neurons
    for core in packing.cores:
        assert core.neurons <= neurons
        assert core.n_bytes <= room or core.neurons == 1
    counted = placements(network, target)
    assert packing.oversized == tuple(
        (i, one.largest_neuron) for i, one in enumerate(counted) if one.largest_neuron > room
    )
    if not packing.shares_cores:
        assert packing.count == sum(one.cores for one in counted)
    if share:
        assert packing.count == cores_one_neuron_at_a_time(network, target)


def cores_one_neuron_at_a_time(network: IntegerNetwork, target) -> int:
    """Neurons in their order, each on the core of the one before it where that has room: as few cores as can be."""

    def bits_of(group: GroupShape) -> int:
        return bits_per_synapse(group.max_delay, group.n_out, group.is_matrix, target)

    shape = shape_of_network(network)
    cores, taken = 0, []  # of the last core: (layer, start, stop)
    for index, layer in enumerate(shape.layers):
        for neuron in range(layer.n_neurons):
            whole = taken and taken[-1][0] == index
            tried = [*taken[:-1], (index, taken[-1][1], neuron + 1)] if whole else [*taken, (index, neuron, neuron + 1)]
            size = sum(
                8 * math.ceil(int(group.stored[start:stop].sum()) * bits_of(group) / 64)
                for layer_tried, start, stop in tried
                for group in shape.layers[layer_tried].groups
            )
            neurons = sum(stop - start for _, start, stop in tried)
            fits = cores and size <= target.limits.synapse_bytes_per_core and neurons <= target.limits.neurons_per_core
            cores, taken = (cores, tried) if fits else (cores + 1, [(index, neuron, neuron + 1)])
    return cores


def test_one_core_that_may_not_fit_is_named_once() -> None:
    """Three layers on one core of 44 bytes, which the estimate keeps and Loihi 1's packing does not."""
    shape = shape_of_design(Design(n_channels=3, hidden=(2, 2), n_classes=2, max_delay=3), LOIHI2)
    result = fit(shape, chip(synapse_bytes_per_core=24), 1)
    assert result.fits
    assert result.packing.shares_cores
    assert len(result.doubts) == 1
    assert result.doubts[0].startswith("layers hidden1+hidden2+readout: memory per core may be up to ")
    # In KiB both would read 0.0.
    assert result.doubts[0].endswith(" bytes (Loihi 1's packing), above 24 bytes")


@pytest.mark.parametrize("what", ["taps per synapse", "synapse groups"])
def test_connections_that_a_target_has_no_place_for(what: str, tmp_path: Path) -> None:
    network, netx = three_neurons(bias_exponent=6), load_target("loihi2-netx")
    hidden, readout = network.layers
    readout = replace(readout, bias_exponent=6)
    recurrent = DenseSynapses(1, np.full((2, 2), 2), np.zeros((2, 2), int))
    twice = SparseSynapses(0, 2, 3, *np.array([[0, 0], [1, 1], [2, 2], [0, 1]]))
    changed = replace(hidden, synapses=(twice,) if what == "taps per synapse" else (*hidden.synapses, recurrent))
    encoding = InputEncoding(3, values="binary")
    one, two = (replace(network, encoding=encoding, layers=(layer, readout)) for layer in (hidden, changed))
    assert fit(shape_of_network(one), netx).fits
    check_limits(one, netx)
    assert fit(shape_of_network(two), netx).reasons == (f"layer hidden1: {what} 2 exceeds 1 by 1",)
    with pytest.raises(ExportError, match=f"layer hidden1: {what} 2 exceeds loihi2-netx's 1; export for another"):
        check_limits(two, netx)
    assert fit(shape_of_network(two), LOIHI2).fits
    kept = replace(two, target="loihi2-netx")  # as earlier versions wrote them
    kept.save(tmp_path / "net.h5")
    assert IntegerNetwork.load(tmp_path / "net.h5") == kept
