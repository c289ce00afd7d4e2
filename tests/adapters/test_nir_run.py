"""Other tools' NIR graphs as our float networks: the same spikes and membranes as NIR's equations give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from oracles import nir_interpreter

from delaytool.adapters.nir import settings_of
from delaytool.contract.encoding import InputEncoding
from delaytool.errors import CheckpointError, NetworkError
from delaytool.experiments.import_nir import checkpoint_of, recipe_of
from delaytool.formats.nir.float_network import float_network
from delaytool.trainer.data import Part, TrainingData
from delaytool.trainer.recipe import load_recipe

nir = pytest.importorskip("nir")

DT = 0.01
RNG = np.random.default_rng(0)


def lif(n, tau=0.05, threshold=1.0, leak=0.0, r=1.0, reset=0.0):
    every = np.ones(n)
    return nir.LIF(tau * every, r * every, leak * every, threshold * every, reset * every)


def cuba(n, tau=0.05, tau_syn=0.03, threshold=1.0, leak=0.0, w_in=1.0):
    every = np.ones(n)
    return nir.CubaLIF(tau_syn * every, tau * every, every, leak * every, threshold * every, w_in=w_in * every)


def weights(n_out, n_in, scale=1.0, seed=0):
    return np.random.default_rng(seed).normal(0.3, 1.0, (n_out, n_in)) * scale


def graph(nodes: dict, edges: list[tuple[str, str]]):
    return nir.NIRGraph(nodes, edges)


def chain(*nodes):
    return nir.NIRGraph.from_list(*nodes)


def delays(n, low, high, seed=3):
    return np.random.default_rng(seed).integers(low, high + 1, n) * DT


def recurrent_graph():
    nodes = {
        "input": nir.Input(np.array([4])),
        "w1": nir.Linear(weights(6, 4, 8)),
        "n1": lif(6),
        "wait": nir.Delay(delays(6, 1, 4)),
        "own": nir.Linear(weights(6, 6, 1, 5)),
        "w2": nir.Linear(weights(3, 6, 4, 2)),
        "n2": lif(3, threshold=1e9),
        "output": nir.Output(np.array([3])),
    }
    edges = [
        ("input", "w1"), ("w1", "n1"), ("n1", "wait"), ("wait", "own"), ("own", "n1"), ("n1", "w2"), ("w2", "n2"),
        ("n2", "output"),
    ]  # fmt: skip
    return graph(nodes, edges)


def branched_graph():
    """Several delays from one population to the next, as our own export writes them."""
    nodes = {"input": nir.Input(np.array([4])), "n1": lif(6), "output": nir.Output(np.array([3]))}
    edges = []
    for source, name, n_in, n_out in (("input", "n1", 4, 6), ("n1", "n2", 6, 3)):
        for steps in (1, 2, 5):
            wait, branch = f"{source}-{steps}", f"{source}-{steps}-w"
            nodes[wait], nodes[branch] = (
                nir.Delay(np.full(n_in, steps * DT)),
                nir.Linear(weights(n_out, n_in, 4, steps)),
            )
            edges += [(source, wait), (wait, branch), (branch, name)]
    nodes["n2"] = lif(3, threshold=1e9)
    edges.append(("n2", "output"))
    return graph(nodes, edges)


GRAPHS = {
    "no delays": lambda: chain(
        nir.Linear(weights(6, 4, 8)), lif(6), nir.Linear(weights(3, 6, 4, 1)), lif(3, threshold=1e9)
    ),
    "biases and leaks": lambda: chain(
        nir.Affine(weights(6, 4, 6), RNG.normal(0, 0.3, 6)), lif(6, leak=0.4),
        nir.Affine(weights(3, 6, 4, 1), np.ones(3)), lif(3, threshold=1e9, leak=-0.2),
    ),
    "other thresholds and resistances": lambda: chain(
        nir.Linear(weights(6, 4, 80)), lif(6, threshold=20.0, r=2.0), nir.Linear(weights(3, 6)),
        lif(3, threshold=1e9, r=7.0),
    ),
    "delays everywhere": lambda: chain(
        nir.Delay(delays(4, 1, 5)), nir.Linear(weights(6, 4, 8)), lif(6), nir.Delay(delays(6, 1, 3)),
        nir.Linear(weights(3, 6, 4, 1)), lif(3, threshold=1e9),
    ),
    "delays of the receivers": lambda: chain(
        nir.Linear(weights(6, 4, 8)), nir.Delay(delays(6, 1, 4)), lif(6), nir.Linear(weights(3, 6, 4, 1)),
        lif(3, threshold=1e9),
    ),
    "currents": lambda: chain(
        nir.Linear(weights(6, 4, 9)), cuba(6, w_in=2.0), nir.Linear(weights(3, 6, 4, 1)), cuba(3, threshold=1e9)
    ),
    "time constants per layer": lambda: chain(
        nir.Linear(weights(6, 4, 8)), lif(6, tau=0.05), nir.Linear(weights(3, 6, 4, 1)), lif(3, tau=0.2, threshold=1e9)
    ),
    "no leak": lambda: chain(
        nir.Linear(weights(6, 4)), nir.IF(np.full(6, 40.0), np.ones(6)), nir.Linear(weights(3, 6, 4, 1)),
        nir.LI(np.full(3, 0.1), np.ones(3), np.zeros(3)),
    ),
    "recurrent": recurrent_graph,
    "several branches": branched_graph,
}  # fmt: skip


def imported(made, n_frames: int = 30):
    network = float_network(made, time_step_ms=1000 * DT)
    recipe = recipe_of(network, load_recipe("shd-2l-1kc"))
    encoding = InputEncoding(network.n_channels, time_step_ms=10.0, n_steps=n_frames, max_count=2)
    part = Part(torch.zeros(1, n_frames, network.n_channels, dtype=torch.uint8), torch.zeros(1, dtype=torch.long))
    n_classes = network.layers[-1].n_neurons
    return checkpoint_of(network, recipe, TrainingData(part, part, part, encoding, n_classes, "none"))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_parameter_that_is_no_number_is_named(value):
    """A single one, the first: whatever is compared with it must not hide it."""
    fields = {
        "lif": {"lif": ("tau", "r", "v_leak", "v_threshold"), "affine": ("weight", "bias"), "delay": ("delay",)},
        "cubalif": {"cubalif": ("tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "w_in")},
        "if": {"if": ("r", "v_threshold")},
    }
    neurons = {"lif": lambda: lif(6), "cubalif": lambda: cuba(6), "if": lambda: nir.IF(np.ones(6), np.ones(6))}
    for kind, nodes in fields.items():
        for node, names in nodes.items():
            for field in names:
                made = chain(
                    nir.Delay(np.full(4, DT)), nir.Affine(weights(6, 4), np.zeros(6)), neurons[kind](),
                    nir.Linear(weights(3, 6)), lif(3),
                )  # fmt: skip
                assert float_network(made, time_step_ms=1000 * DT).n_channels == 4
                getattr(made.nodes[node], field).reshape(-1)[0] = value
                with pytest.raises(NetworkError, match=f"nir: {node}'s {field} holds values that are NaN or infinite"):
                    float_network(made, time_step_ms=1000 * DT)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_run_follows_the_equations(name):
    made = GRAPHS[name]()
    frames = np.random.default_rng(1).integers(0, 3, (30, 4)) * (np.random.default_rng(2).random((30, 4)) < 0.4)
    model = imported(made).network()
    with torch.no_grad():
        spikes, membrane = model.traced(torch.from_numpy(frames.astype(np.uint8))[None])
    expected = nir_interpreter.run(made, frames, DT)
    first, *last = [record for record in expected.values() if record["spikes"].shape[1] in (6, 3)]
    assert first["spikes"].sum() > 10
    assert first["spikes"].mean() < 0.9
    np.testing.assert_array_equal(spikes[0][:30, 0].numpy(), first["spikes"])
    threshold = 1e9 if last else 1.0
    readout = last[0]["v"] if last else nir_interpreter_readout(made, first["spikes"])
    np.testing.assert_allclose(membrane[:30, 0].numpy() * threshold, readout, rtol=1e-4, atol=1e-3)


def nir_interpreter_readout(made, spikes: np.ndarray) -> np.ndarray:
    """The membrane of a last LI, from the spikes before it."""
    node, weight = made.nodes["li"], made.nodes["linear_1"].weight
    v, out = np.zeros(len(node.tau)), []
    for step in spikes:
        v = v + DT / node.tau * (node.v_leak - v + node.r * (weight @ step))
        out.append(v)
    return np.array(out)


def test_timing_and_taps_are_those_of_the_graph():
    everywhere = imported(GRAPHS["delays everywhere"]()).recipe.model
    assert (everywhere.timing, everywhere.max_delay, everywhere.kernel_count) == ("chip", 4, 1)
    assert imported(GRAPHS["no delays"]()).recipe.model.timing == "paper"
    assert imported(GRAPHS["several branches"]()).recipe.model.kernel_count == 3
    assert imported(GRAPHS["recurrent"]()).recipe.model.recurrent == (True,)
    assert imported(GRAPHS["time constants per layer"]()).recipe.model.neuron == "plif"


def refusal(made, **options) -> str:
    with pytest.raises(NetworkError) as caught:
        float_network(made, **{"time_step_ms": 10.0, **options})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_every_node_that_is_not_supported_is_named():
    made = chain(
        nir.Scale(np.ones(4)), nir.Linear(weights(6, 4)), nir.Threshold(np.ones(6)), nir.Linear(weights(3, 6)), lif(3)
    )
    text = refusal(made)
    assert "scale (Scale)" in text
    assert "threshold (Threshold)" in text


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: chain(nir.Linear(weights(3, 4)), lif(3, reset=-0.5)), "lif's v_reset is -0.5"),
        (lambda: chain(nir.Linear(weights(3, 4)), lif(3, threshold=0.0)), "v_threshold is 0"),
        (lambda: chain(nir.Linear(weights(3, 4)), lif(3, tau=0.001)), "tau is 0.1 steps"),
        (lambda: chain(nir.Linear(weights(3, 4)), nir.Linear(weights(3, 3)), lif(3)), "2 Linear or Affine"),
        (lambda: chain(nir.Affine(weights(3, 4), np.ones(3)), cuba(3)), "put it into v_leak"),
        (lambda: chain(nir.Linear(weights(3, 4))), "no neurons"),
        (lambda: chain(nir.Linear(weights(3, 4)), lif(3), nir.Linear(weights(2, 3))), "come from the last neurons"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_refused(made, text):
    assert text in refusal(made())


def test_time_constants_that_differ_within_a_layer_are_refused():
    node = lif(3)
    node.tau[1] = 0.2
    assert "tau differs within the layer (5 to 20 steps)" in refusal(chain(nir.Linear(weights(3, 4)), node))


def test_skips_are_refused():
    made = branched_graph()
    made.nodes["skip"] = nir.Linear(weights(3, 4))
    made.edges += [("input", "skip"), ("skip", "n2")]
    assert "input goes into 2 layers" in refusal(made)


@pytest.mark.parametrize(("unit", "factor"), [("s", 1.0), ("ms", 1e3), ("step", 1 / DT)])
def test_units_of_time(unit, factor):
    made = chain(nir.Delay(delays(4, 1, 5) * factor), nir.Linear(weights(6, 4)), lif(6, tau=0.05 * factor))
    network = float_network(made, time_step_ms=10.0, time_unit=unit)
    assert network.layers[0].tau == pytest.approx(5.0)
    assert network.layers[0].forward[0].delay.max() <= 5.0 + 1e-9
    assert "unit 'h' is unknown" in refusal(made, time_unit="h")


def test_what_the_models_do_not_have_is_refused():
    for first, second, text in (
        (cuba(6), cuba(3, tau_syn=0.1), "synaptic time constants differ"),
        (cuba(6), cuba(3, tau=0.1), "membrane time constants differ"),
        (lif(6), cuba(3), "synaptic time constants differ"),
    ):
        made = chain(nir.Linear(weights(6, 4)), first, nir.Linear(weights(3, 6)), second)
        with pytest.raises(CheckpointError, match=text):
            imported(made)


def test_data_of_another_size_are_refused():
    network = float_network(GRAPHS["no delays"](), time_step_ms=10.0)
    part = Part(torch.zeros(1, 3, 4, dtype=torch.uint8), torch.zeros(1, dtype=torch.long))
    data = TrainingData(part, part, part, InputEncoding(4, n_steps=3), 3, "none")
    recipe = recipe_of(network, load_recipe("shd-2l-1kc"))
    checkpoint_of(network, recipe, data)
    with pytest.raises(CheckpointError, match="the graph has 4 inputs, the data 5"):
        checkpoint_of(network, recipe, replace(data, encoding=InputEncoding(5, n_steps=3)))
    with pytest.raises(CheckpointError, match="the graph has 3 outputs, the data 4"):
        checkpoint_of(network, recipe, replace(data, n_classes=4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("step_ms", [1, 2, 4, 5, 7, 10])
def test_whole_steps_are_whole_whatever_floating_point_makes_of_them(dtype, step_ms):
    step = step_ms / 1000
    for steps in (1, 3, 7, 25, 63):
        waits = [nir.Delay(np.full(n, steps * step, dtype)) for n in (4, 6)]
        taus = [np.full(n, steps * step, dtype) for n in (6, 3)]
        neurons = [nir.LIF(tau, np.ones(len(tau)), np.zeros(len(tau)), np.ones(len(tau))) for tau in taus]
        made = chain(waits[0], nir.Linear(weights(6, 4)), neurons[0], waits[1], nir.Linear(weights(3, 6)), neurons[1])
        network = float_network(made, time_step_ms=step_ms)
        assert network.delayed_everywhere
        for layer in network.layers:
            assert layer.tau == steps
            assert (layer.forward[0].delay == steps).all()
        settings = settings_of(network)
        assert (settings["timing"], settings["max_delay"]) == ("chip", max(1, steps - 1))


def test_delays_on_both_sides_of_the_weights_add_up_to_whole_steps():
    halves = [nir.Delay(np.full(n, share * 0.005, np.float32)) for n, share in ((4, 0.3), (3, 0.7))]
    network = float_network(chain(halves[0], nir.Linear(weights(3, 4)), halves[1], lif(3)), time_step_ms=5)
    assert (network.layers[0].forward[0].delay == 1).all()
    broken = float_network(chain(halves[0], nir.Linear(weights(3, 4)), lif(3)), time_step_ms=5)
    np.testing.assert_allclose(broken.layers[0].forward[0].delay, 0.3, rtol=1e-6)
