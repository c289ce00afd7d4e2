"""Energy, time and hops: by hand on three neurons, and equal to SANA-FE on mapped networks without delays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from mapping.test_fit import three_neurons

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import TargetError
from delaytool.hw_configs import Mesh, load_target
from delaytool.hw_configs.costs import costs_from, costs_names
from delaytool.mapping.activity import Activity, assumed_activity, measured_activity
from delaytool.mapping.cores import pack
from delaytool.mapping.design import Design
from delaytool.mapping.energy import estimate
from delaytool.mapping.placement import Placement, place, random_placement, row_by_row, traffic_of
from delaytool.mapping.shape import shape_of_design, shape_of_network
from delaytool.runtime import reference
from delaytool.runtime.counters import count

LOIHI2, LOIHI1 = load_target("loihi2"), costs_from("loihi1")


def test_three_neurons_by_hand() -> None:
    """Channels fire 2, 0, 4 times, the hidden neurons 3 and 1 times in 10 steps; the readout lies 1 east, 1 south."""
    shape = shape_of_network(three_neurons())
    packing = pack(shape, LOIHI2)
    mesh = Mesh(2, 2, 1, "a test")
    placement = Placement(np.array([0, 3]), mesh, "by hand")
    activity = Activity((np.array([2.0, 0, 4]), np.array([3.0, 1]), np.zeros(1)), 10, "")
    result = estimate(shape, packing, activity, LOIHI1, placement)
    counts = result.counts
    assert (counts.neuron_steps, counts.spikes) == (30, 4)
    assert (counts.events_dense, counts.events_sparse) == (12, 4)  # 6 input spikes to 2 neurons, 4 spikes to 1
    assert (counts.messages, counts.input_messages) == (4, 6)
    assert (counts.hops_east_west, counts.hops_north_south) == (4, 4)
    low = 30 * 51.2 + 4 * 69.3 + 16 * 33.6 + 4 * 111 + 4 * 3.0 + 4 * 4.2
    high = 30 * 72.8 + 4 * 69.3 + 16 * 35.5 + 10 * 111 + 4 * 3.0 + 4 * 4.2
    assert result.energy_pj.low == pytest.approx(low)
    assert result.energy_pj.high == pytest.approx(high)
    # Core 0 per step: 2 neurons, 0.4 spikes, 1.2 events in a matrix, 0.6 messages in, 0.4 out.
    hidden = 0.4 * 30 + 1.2 * 3.8 + 0.6 * 16 + 0.4 * 5.1
    assert result.step_ns.low == pytest.approx(2 * 6.0 + hidden + 600)
    assert result.step_ns.high == pytest.approx(2 * 9.7 + hidden + 4.1 + 6.5 + 1800)
    worst = 2 * 30 + 6 * 3.8 + 3 * 16 + 2 * 5.1
    assert result.worst_ns.high == pytest.approx(2 * 9.7 + worst + 4.1 + 6.5 + 1800)
    assert result.power_w.low == pytest.approx(low * 1e-12 / 0.1)  # 10 steps of 10 ms
    assert result.speed.low == pytest.approx(1e7 / result.step_ns.high)


def test_events_are_those_of_the_counters() -> None:
    rng = np.random.default_rng(3)
    network = random_network(rng, 6, [9, 5, 3])
    frames = (rng.random((4, 12, 6)) < 0.4).astype(np.uint8)
    trace = reference.run(network, frames)
    counters = count(network, frames, trace)
    shape = shape_of_network(network)
    padded = np.pad(frames, ((0, 0), (0, network.n_steps - 12), (0, 0)))
    activity = measured_activity(padded, trace.spikes, "measured")
    for cores in (None, 1):
        target = replace(LOIHI2, limits=replace(LOIHI2.limits, synapse_bytes_per_core=64)) if cores is None else LOIHI2
        counts = estimate(shape, pack(shape, target, cores), activity, LOIHI1).counts
        assert counts.events_dense + counts.events_sparse == pytest.approx(counters.synaptic_events.sum() / 4)
        assert counts.spikes == pytest.approx(counters.spikes.sum() / 4)
        assert counts.neuron_steps == counters.neuron_updates.sum() / 4


def random_network(rng: np.random.Generator, n_in: int, sizes: list[int]) -> IntegerNetwork:
    layers, before = [], n_in
    for index, size in enumerate(sizes):
        weight = 2 * rng.integers(-40, 100, (size, before))
        weight[rng.random(weight.shape) < (0.8 if index % 2 else 0.1)] = 0
        group = DenseSynapses(index, weight, np.zeros(weight.shape, int))
        chosen = group.as_sparse() if index % 2 else group
        layers.append(IntegerLayer(f"layer{index}", size, (chosen,), dv=400, threshold=150))
        before = size
    encoding = InputEncoding(n_in, values="binary")
    return IntegerNetwork(encoding, tuple(layers), Readout("sum", 1.0, 0, 15), 15)


def test_few_hops_on_forty_cores_and_more() -> None:
    """The placement has fewer hops than row by row and than any of five random ones, and is the same every time."""
    pytest.importorskip("scipy")
    assert LOIHI2.mesh is not None
    for seed in range(2):
        rng = np.random.default_rng(seed)
        design = Design(n_channels=140, hidden=(700, 900, 700), n_classes=35, kernel_count=2)
        shape = shape_of_design(design, LOIHI2)
        packing = pack(shape, LOIHI2)
        assert 40 <= packing.count <= 128
        sizes = [140, *(layer.n_neurons for layer in shape.layers)]
        activity = Activity(tuple(rng.gamma(1.0, 10.0, size) for size in sizes), 100, "random")
        traffic = traffic_of(shape, packing, activity)
        found = place(traffic, LOIHI2.mesh)
        assert len(set(found.slots.tolist())) == packing.count
        hops = found.total_hops(traffic)
        assert hops < row_by_row(packing.count, LOIHI2.mesh).total_hops(traffic)
        assert all(hops < random_placement(packing.count, LOIHI2.mesh, other).total_hops(traffic) for other in range(5))
        if seed == 0:
            assert np.array_equal(found.slots, place(traffic, LOIHI2.mesh).slots)


def test_hops_are_counted_one_by_one() -> None:
    rng = np.random.default_rng(0)
    mesh = Mesh(3, 2, 2, "a test")
    placement = random_placement(9, mesh, 1)
    columns, rows = placement.hops()
    for a in range(9):
        for b in range(9):
            tile_a, tile_b = placement.slots[a] // 2, placement.slots[b] // 2
            assert columns[a, b] == abs(tile_a % 3 - tile_b % 3)
            assert rows[a, b] == abs(tile_a // 3 - tile_b // 3)
    between = rng.random((9, 9))
    expected = sum(between[a, b] * (columns[a, b] + rows[a, b]) for a in range(9) for b in range(9))
    from delaytool.mapping.placement import Traffic

    assert placement.total_hops(Traffic(between, np.zeros(9))) == pytest.approx(expected)


def sanafe_python() -> str | None:
    """An interpreter that has SANA-FE: the one that DELAYTOOL_SANAFE_PYTHON names, else this one."""
    return os.environ.get("DELAYTOOL_SANAFE_PYTHON") or (sys.executable if find_spec("sanafe") else None)


@pytest.mark.skipif(sanafe_python() is None, reason="sanafe is not installed; or name DELAYTOOL_SANAFE_PYTHON")
@pytest.mark.parametrize("seed", range(3))
def test_equal_to_sana_fe_for_the_same_mapping(seed: int) -> None:
    """Messages, synaptic events and their energy are equal; of neuron updates SANA-FE computes some, which lie between.

    SANA-FE fires input neurons on a core of the chip: their hops, which we do not count, are added here by hand.
    """
    rng = np.random.default_rng(seed)
    network = random_network(rng, 7, [12, 9, 6])
    shape = shape_of_network(network)
    target = replace(LOIHI2, limits=replace(LOIHI2.limits, neurons_per_core=4))
    packing = pack(shape, target)
    assert target.mesh is not None
    placement = random_placement(packing.count, target.mesh, seed)
    places = [[None] * layer.n_neurons for layer in shape.layers]
    for number, core in enumerate(packing.cores):
        for part in core.parts:
            slot = int(placement.slots[number])
            places[part.layer][part.start : part.stop] = [[slot // 4, slot % 4]] * part.neurons
    free = next(slot for slot in range(127, -1, -1) if slot not in placement.slots)
    steps = 25
    synapses = []
    for index, layer in enumerate(network.layers):
        to, pre, weight, _ = layer.synapses[0].listed()
        synapses += [[index, index, int(a), int(b), int(w)] for a, b, w in zip(pre, to, weight, strict=True)]
    given = {
        "steps": steps,
        "inputs": (rng.random((7, steps)) < 0.3).astype(int).tolist(),
        "input_core": [free // 4, free % 4],
        "neurons": places,
        "forms": ["sparse" if index % 2 else "dense" for index in range(3)],
        "synapses": synapses,
    }
    script = Path(__file__).parent / "run_sanafe.py"
    done = subprocess.run(
        [str(sanafe_python()), str(script)], input=json.dumps(given), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout[done.stdout.index("{") :])
    activity = Activity(tuple(np.array(spikes, float) for spikes in theirs["fired"]), steps, "SANA-FE's")
    assert sum(activity.spikes[2]) > 0  # spikes travel through the network
    ours = estimate(shape, packing, activity, LOIHI1, placement)
    counts, pj = ours.counts, 1e12
    assert theirs["packets_sent"] == counts.messages + counts.input_messages
    assert theirs["spikes"] == counts.events_dense + counts.events_sparse
    assert theirs["energy"]["synapse"] * pj == pytest.approx(counts.events_dense * 35.5 + counts.events_sparse * 33.6)
    with_input = Placement(np.append(placement.slots, free), target.mesh, "")
    columns, rows = with_input.hops()
    to_cores = traffic_of(shape, packing, activity).from_input
    input_hops = float((to_cores * (3.0 * columns[-1, :-1] + 4.2 * rows[-1, :-1])).sum())
    network_energy = ours.parts["messages"].high + ours.parts["hops"].high + input_hops
    assert theirs["energy"]["network"] * pj == pytest.approx(network_energy)
    soma = theirs["energy"]["soma"] * pj - ours.parts["spikes"].high
    assert ours.parts["neurons"].low <= soma <= ours.parts["neurons"].high + 1e-6
    inputs_fired = sum(theirs["fired"][0])
    computed = (soma - ours.parts["neurons"].low) / 21.6
    assert computed == pytest.approx(round(computed), abs=1e-6)
    assert computed <= theirs["neurons_updated"] <= computed + 7 * steps
    assert inputs_fired > 0
    assert ours.step_ns.low < theirs["sim_time"] * 1e9 / steps < ours.step_ns.high


def test_an_assumed_activity() -> None:
    shape = shape_of_design(Design(n_channels=4, hidden=(3,), n_classes=2), LOIHI2)
    counts = estimate(shape, pack(shape, LOIHI2), assumed_activity(shape, 0.5, 10), LOIHI1).counts
    assert (counts.spikes, counts.events_dense) == (15, 4 * 5 * 3 + 3 * 5 * 2)


def test_constants_of_ones_own(tmp_path: Path) -> None:
    assert costs_names() == ["loihi1"]
    text = (Path(costs_from.__code__.co_filename).parent / "loihi1.toml").read_text()
    path = tmp_path / "mine.toml"
    path.write_text(text.replace("message_out = 111.0", "message_out = 7").replace('"loihi1"', '"mine"'))
    assert costs_from(str(path)).energy_pj.message_out == 7
    for old, new, message in (
        ("spike_out = 69.3", "spike_out = -1", "energy_pj.spike_out -1 is not a number of 0 or more"),
        ("spike_out = 69.3", "spike_out = inf", "energy_pj.spike_out inf is not a number"),
        ("spike_out = 69.3", "", "energy_pj.spike_out None is not a number"),
        ("spike_out = 69.3", "spike = 69.3", "energy_pj.spike is no constant"),
        ("[time_ns]", "[times]", "'times' is no key of constants"),
        ('source = "', 'sauce = "', "'sauce' is no key"),
        ("synchronization_low = 600.0", "synchronization_low = 9e9", "above synchronization_high"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(TargetError, match=message.replace("[", r"\[")):
            costs_from(str(path))
    with pytest.raises(TargetError, match="costs 'loihi2' are unknown"):
        costs_from("loihi2")
