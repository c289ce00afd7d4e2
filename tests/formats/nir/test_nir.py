"""NIR graphs of integer networks: their numbers by an interpreter of NIR's equations, and the way back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from golden import regenerate
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import nir_interpreter
from random_networks import random_network

from delaytool.contract.bounds import MAX_THRESHOLD, STATE_LIMIT
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.frames import padded_input
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import NetworkError
from delaytool.formats.nir.read import integers_of, read_graph
from delaytool.formats.nir.write import NETWORK, STEP, nir_graph, write_nir
from delaytool.runtime import reference

nir = pytest.importorskip("nir")

GOLDEN = sorted(regenerate.FOLDER.glob("*.h5"))
# Golden vectors that the format refuses, and why.
REFUSED: dict[str, str] = {}


@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_integers_come_back_field_by_field(path, tmp_path):
    assert path.stem not in REFUSED
    network = regenerate.load(path)[0]
    write_nir(network, tmp_path / "net.nir")
    again = integers_of(read_graph(tmp_path / "net.nir"))
    assert again == network
    assert again.integers_sha256() == network.integers_sha256()


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), even=st.booleans())
def test_random_networks_come_back(seed, even, tmp_path_factory):
    network, _ = random_network(np.random.default_rng(seed), even_weights=even)
    path = tmp_path_factory.mktemp("nir") / "net.nir"
    write_nir(network, path)
    assert integers_of(read_graph(path)) == network


def states_in_range(network: IntegerNetwork, frames: np.ndarray) -> bool:
    """Whether no current can wrap and no membrane clip on these samples: NIR has neither."""
    trace = reference.run(network, frames)
    for layer, u, v in zip(network.layers, trace.u, trace.v, strict=True):
        low, high = network.input_bounds(layer)
        if max(high.max(), -low.min()) * 64 * 4096 / (layer.du + 1) >= STATE_LIMIT:
            return False
        if np.abs(v).max() >= STATE_LIMIT - 1 or np.abs(u).max() >= STATE_LIMIT:
            return False
    return True


def calm_network(rng: np.random.Generator) -> tuple[IntegerNetwork, np.ndarray]:
    """A random network whose exponents are 0, so that most stay within 24 bits."""
    network, frames = random_network(rng, n_samples=1, max_steps=40, max_delay=20)
    layers = tuple(
        replace(
            layer, bias_exponent=layer.bias_exponent // 3,
            synapses=tuple(replace(group, exponent=0) for group in layer.synapses),
        )
        for layer in network.layers
    )  # fmt: skip
    return replace(network, layers=layers), frames


def test_the_equations_give_the_contracts_numbers_up_to_its_roundings():
    """Each layer fed with the contract's own spikes: u and v differ by no more than the roundings can have added up."""
    compared = spiking = exact = 0
    for seed in range(120):
        network, frames = calm_network(np.random.default_rng(seed))
        if not states_in_range(network, frames):
            continue
        trace = reference.run(network, frames)
        given = padded_input(frames, network.n_steps)[0]
        graph = nir_graph(network)
        names = [layer.name for layer in network.layers]
        forced = {name: spikes[0] for name, spikes in zip(names, trace.spikes, strict=True)}
        found = nir_interpreter.run(graph, given, graph.metadata[STEP], forced)
        for index, (name, layer) in enumerate(zip(names, network.layers, strict=True)):
            of_u = 0 if layer.du == 4095 else min(network.n_steps, 4096 / (layer.du + 1))
            of_v = 0 if layer.dv in (0, 4096) else 1
            grown = network.n_steps if layer.dv == 0 else min(network.n_steps, 4096 / layer.dv)
            bound = (of_u + of_v) * grown + 1e-6 * STATE_LIMIT * (of_u + of_v > 0) + 1e-4
            error = np.abs(found[name]["v"] - trace.v[index][0]).max()
            assert error <= bound, f"seed {seed}, layer {name}"
            margin, fired = found[name]["margin"], trace.spikes[index][0]
            assert (margin[fired] > -bound).all()
            assert (margin[~fired] <= bound).all()
            compared += 1
            spiking += int(fired.any())
            exact += int(bound < 1)
    assert compared >= 60
    assert spiking >= 15
    assert exact >= 3


def test_without_roundings_the_spikes_are_equal():
    """Decays of nothing and of everything leave nothing to round: the graph, on its own spikes, is the contract."""
    rng = np.random.default_rng(4)
    for trial in range(12):
        du, dv = 4095, int(rng.choice([0, 4096]))
        shapes = ((0, 6, 4), (1, 6, 6), (1, 3, 6))
        own, within, out = (
            DenseSynapses(source, 2 * rng.integers(-30, 60, (n_out, n_in)), rng.integers(0, 9, (n_out, n_in)))
            for source, n_out, n_in in shapes
        )
        hidden = IntegerLayer("hidden", 6, (own, within), dv, 60, du, rng.integers(-9, 30, 6), 5)
        readout = IntegerLayer("readout", 3, (out,), 4096, MAX_THRESHOLD)
        network = IntegerNetwork(InputEncoding(4, max_count=2), (hidden, readout), Readout("sum", 1.0, 0, 40), 40)
        frames = rng.integers(0, 3, (1, 30, 4)).astype(np.uint8)
        if not states_in_range(network, frames):
            continue
        trace = reference.run(network, frames)
        assert trace.events()[0, 0] > 10
        found = nir_interpreter.run(nir_graph(network), padded_input(frames, 40)[0], 0.01)
        for index, name in enumerate(("hidden", "readout")):
            np.testing.assert_array_equal(found[name]["spikes"], trace.spikes[index][0], err_msg=f"trial {trial}")
            np.testing.assert_allclose(found[name]["v"], trace.v[index][0], atol=1e-4)


def test_one_branch_for_each_delay_that_occurs():
    network = regenerate.load(regenerate.FOLDER / "recurrent-layer.h5")[0]
    graph = nir_graph(network)
    kinds = [type(node).__name__ for node in graph.nodes.values()]
    occurring = {
        (group.source, int(delay))
        for layer in network.layers
        for group in layer.synapses
        for delay in group.listed()[3]
    }
    assert kinds.count("Delay") == len(occurring)
    dt = graph.metadata[STEP]
    for name, node in graph.nodes.items():
        if type(node).__name__ == "Delay":
            delay = int(name.rpartition("delay")[2])
            np.testing.assert_allclose(node.delay, (delay + 1) * dt)


@pytest.mark.parametrize(("du", "dv", "kind"), [(4095, 7, "LIF"), (4095, 0, "IF"), (9, 7, "CubaLIF"), (9, 0, "IF")])
def test_the_neurons_that_a_layer_becomes(du, dv, kind):
    layer = IntegerLayer("out", 2, (), dv, 100, du, np.array([3, 0]))
    network = IntegerNetwork(InputEncoding(1), (layer,), Readout("sum", 1.0, 0, 5), 5)
    graph = nir_graph(network)
    assert type(graph.nodes["out"]).__name__ == kind
    assert ("out-current" in graph.nodes) == (du < 4095 and dv == 0)
    found = nir_interpreter.run(graph, np.zeros((5, 1)), graph.metadata[STEP])
    np.testing.assert_allclose(found["out"]["v"], reference.run(network, np.zeros((1, 5, 1), int)).v[0][0], atol=5)


def test_a_graph_that_was_changed_is_refused(tmp_path):
    network = regenerate.load(regenerate.FOLDER / "three-layers.h5")[0]
    graph = nir_graph(network)
    name = next(name for name, node in graph.nodes.items() if type(node).__name__ == "Linear")
    graph.nodes[name].weight[0, 0] += 1
    nir.write(str(tmp_path / "changed.nir"), graph)
    with pytest.raises(NetworkError, match=f"node '{name}' does not agree with the integers in its metadata"):
        integers_of(read_graph(tmp_path / "changed.nir"))
    graph = nir_graph(network)
    branch = next(before for before, after in graph.edges if after == "hidden1")
    graph.edges.append((branch, "hidden2"))
    nir.write(str(tmp_path / "rewired.nir"), graph)
    with pytest.raises(NetworkError, match="edge"):
        integers_of(read_graph(tmp_path / "rewired.nir"))
    graph = nir_graph(network)
    graph.metadata[STEP] *= 2
    nir.write(str(tmp_path / "slower.nir"), graph)
    with pytest.raises(NetworkError, match=f"metadata '{STEP}' does not agree with the integers"):
        integers_of(read_graph(tmp_path / "slower.nir"))


@pytest.mark.parametrize("name", ["a-current", "a-bias", "a-delay0", "input-delay1", "a-delay0-to-a-delay0-to-a"])
def test_a_layer_takes_no_other_nodes_name(name):
    """A layer 'a' with a current and a bias, and another one with the name of a node that is made for the first."""
    weights = np.array([[2, 4], [6, 8]])
    first = IntegerLayer(
        "a", 2, (DenseSynapses(0, weights, weights % 2, 0),), dv=0, du=2047, threshold=1,
        bias_mantissa=np.array([3, 4]),
    )  # fmt: skip
    second = IntegerLayer(name, 2, (DenseSynapses(1, weights, 0 * weights, 0),), dv=9, threshold=MAX_THRESHOLD)
    encoding = InputEncoding(n_units=2, n_steps=5, values="binary")
    graph = nir_graph(IntegerNetwork(encoding, (first, second), Readout("sum", 1.0, 0, 5), 5))
    kinds = sorted(type(node).__name__ for node in graph.nodes.values())
    # The input's delay 0 and the first layer's; a Linear behind each.
    assert kinds == ["Affine", "Delay", "Delay", "IF", "Input", "LI", "LIF", "Linear", "Linear", "Output"]


def test_two_branches_never_have_one_name():
    """From 'a' to 'delay0-to-c', and from 'a-delay0-to' to 'c'."""
    weights, threshold = np.array([[2, 4], [6, 8]]), MAX_THRESHOLD
    sources = {"a": 0, "a-delay0-to": 0, "delay0-to-c": 1, "c": 2}
    layers = tuple(
        IntegerLayer(name, 2, (DenseSynapses(source, weights, 0 * weights, 0),), dv=9, threshold=threshold)
        for name, source in sources.items()
    )
    encoding = InputEncoding(n_units=2, n_steps=5, values="binary")
    graph = nir_graph(IntegerNetwork(encoding, layers, Readout("sum", 1.0, 0, 5), 5))
    assert sum(type(node).__name__ == "Linear" for node in graph.nodes.values()) == len(layers)


def test_damaged_integers_are_refused(tmp_path):
    graph = nir_graph(regenerate.load(GOLDEN[0])[0])
    graph.metadata[NETWORK] = graph.metadata[NETWORK][:200]
    nir.write(str(tmp_path / "damaged.nir"), graph)
    with pytest.raises(NetworkError, match="its integers cannot be read"):
        integers_of(read_graph(tmp_path / "damaged.nir"))


def test_files_that_are_no_nir_are_refused(tmp_path):
    with pytest.raises(NetworkError, match="no such file"):
        read_graph(tmp_path / "nowhere.nir")
    (tmp_path / "text.nir").write_text("not HDF5", encoding="utf-8")
    with pytest.raises(NetworkError, match="not a readable NIR file"):
        read_graph(tmp_path / "text.nir")
    nir.write(str(tmp_path / "node.nir"), nir.Linear(np.ones((2, 2))))
    with pytest.raises(NetworkError, match="not a readable NIR file"):
        read_graph(tmp_path / "node.nir")
