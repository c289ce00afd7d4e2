"""Exported networks of every kind of neuron, delay and recurrence, on every backend: the same bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.network import IntegerNetwork
from delaytool.hw_configs import load_target
from delaytool.runtime import engine, reference
from delaytool.runtime.backends import lava

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

KINDS = {
    "plif": {"neuron": "plif"},
    "cuba": {"neuron": "cuba", "tau_current": 3.0, "bias": True},
    "a delay per sender": {"delays_per": "presynaptic"},
    "a delay per receiver, two taps": {"delays_per": "postsynaptic", "kernel_count": 2},
    "recurrent": {"recurrent": True, "recurrent_max_delay": 11},
    "recurrent, every delay": {"recurrent": True, "recurrent_max_delay": 3, "delays": "dense"},
    "recurrent cuba, two taps, a delay per sender": {
        "recurrent": (False, True), "neuron": "cuba", "kernel_count": 2, "delays_per": "presynaptic",
    },
}  # fmt: skip
FRAMES = np.minimum(np.random.default_rng(3).poisson(0.3, (12, 16, 9)), 2).astype(np.uint8)


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> dict[str, IntegerNetwork]:
    from delaytool.exporter.compile import export
    from delaytool.models.config import ModelConfig
    from delaytool.models.delay_network import DelayNetwork

    networks = {}
    for kind, options in KINDS.items():
        torch.manual_seed(1)
        model = DelayNetwork(9, 4, ModelConfig(hidden=(10, 8), max_delay=5, tau=2.0, timing="chip", **options))
        with torch.no_grad():
            for _ in range(20):  # batch norm's statistics
                model(torch.from_numpy(FRAMES), sigma=None)
        path = tmp_path_factory.mktemp("exported") / "net.h5"
        encoding = InputEncoding(9, n_steps=16, max_count=2, start="zero")
        export(model.eval(), encoding, load_target("loihi2"), path, FRAMES)
        networks[kind] = IntegerNetwork.load(path)
    return networks


def assert_same(expected, traces) -> None:
    for name in ("spikes", "u", "v"):
        for ours, theirs in zip(getattr(traces, name), getattr(expected, name), strict=True):
            assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("kind", KINDS)
def test_engine_and_torch_equal_the_reference(exported, kind):
    from delaytool.runtime.backends.torch import simulate

    network = exported[kind]
    expected = reference.run(network, FRAMES)
    assert all(spikes.any() for spikes in expected.spikes[:-1])
    for method in ("event", "batched"):
        assert_same(expected, engine.run(network, FRAMES, threads=1, method=method))
    for index, trace in enumerate(simulate(network, torch.from_numpy(FRAMES))):
        assert np.array_equal(trace.spikes.numpy(), expected.spikes[index])
        assert np.array_equal(trace.u.numpy(), expected.u[index])
        assert np.array_equal(trace.v.numpy(), expected.v[index])


def test_the_synapses_of_a_layer_to_itself_matter(exported):
    for kind in ("recurrent", "recurrent cuba, two taps, a delay per sender"):
        network = exported[kind]
        layer = network.layers[1]
        without = replace(layer, synapses=layer.synapses[:1])
        other = replace(network, layers=(network.layers[0], without, network.layers[2]))
        assert (reference.run(network, FRAMES).v[1] != reference.run(other, FRAMES).v[1]).any()


@pytest.mark.parametrize("variant", lava.VARIANTS)
def test_lava_equals_the_reference(exported, lava_python, variant):
    jobs = [(network, FRAMES[:1]) for network in exported.values()]
    traces = lava.run_many(jobs, variant=variant, python=lava_python)
    for (network, frames), trace in zip(jobs, traces, strict=True):
        assert_same(reference.run(network, frames), trace)
