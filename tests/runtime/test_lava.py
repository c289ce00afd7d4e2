"""Lava's own fixed-point models against the reference, bit for bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from random_networks import random_network

from delaytool.contract.bounds import MAX_THRESHOLD
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.runtime import reference
from delaytool.runtime.backends import lava

SEEDS = st.lists(st.integers(0, 2**32 - 1), min_size=8, max_size=8, unique=True)
# One example is one start of Lava and eight networks; shrinking them would start it hundreds of times.
FEW = settings(max_examples=2, phases=[Phase.explicit, Phase.generate], deadline=None, database=None)


def differences(network: IntegerNetwork, frames: np.ndarray, trace) -> list[str]:
    expected = reference.run(network, frames)
    found = []
    for name in ("spikes", "u", "v"):
        for index, (first, second) in enumerate(zip(getattr(expected, name), getattr(trace, name), strict=True)):
            assert first.shape == second.shape
            assert first.dtype == second.dtype
            if not np.array_equal(first, second):
                found.append(f"{name} of layer {index} at (sample, step, neuron) {np.argwhere(first != second)[0]}")
    return found


def assert_agreement(seeds: list[int], python: str, variant: str, **options) -> None:
    jobs = [random_network(np.random.default_rng(seed), **options) for seed in seeds]
    traces = lava.run_many(jobs, variant=variant, python=python)
    found = {seed: differences(*job, trace) for seed, job, trace in zip(seeds, jobs, traces, strict=True)}
    assert {seed: lines for seed, lines in found.items() if lines} == {}


@FEW
@given(seeds=SEEDS, n_layers=st.sampled_from([2, 3]))
def test_stock_lava_equals_the_reference(lava_python, seeds, n_layers):
    assert_agreement(seeds, lava_python, "stock", n_layers=n_layers, max_steps=75, n_samples=1)


@FEW
@given(seeds=SEEDS)
def test_cached_lava_equals_the_reference(lava_python, seeds):
    assert_agreement(seeds[:6], lava_python, "cached", max_steps=75)


def test_cached_lava_is_certified_against_stock_lava(lava_python):
    """The same trace from both, on a network of the shape that is deployed: dense, delays over the whole range."""
    rng = np.random.default_rng(0)
    sizes = [20, 32, 32, 5]
    layers = [
        IntegerLayer(
            name=f"layer{index}",
            n_neurons=n_out,
            synapses=(
                DenseSynapses(
                    index,
                    rng.integers(-50, 64, (n_out, sizes[index])) * 2,
                    rng.integers(0, 63, (n_out, sizes[index])),
                    exponent=1,
                ),
            ),
            dv=409,
            threshold=400 if index < 2 else MAX_THRESHOLD,
            bias_mantissa=rng.integers(-60, 60, n_out),
            bias_exponent=5,
        )
        for index, n_out in enumerate(sizes[1:])
    ]
    network = IntegerNetwork(InputEncoding(20, max_count=7), tuple(layers), Readout("sum", 1.0, 0, 100), 100)
    frames = (rng.integers(1, 8, (3, 60, 20)) * (rng.random((3, 60, 20)) < 0.1)).astype(np.uint8)
    stock = lava.run(network, frames, variant="stock", python=lava_python)
    cached = lava.run(network, frames, variant="cached", python=lava_python)
    assert stock.events().min(axis=0)[:2].min() > 50
    for name in ("spikes", "u", "v"):
        for first, second in zip(getattr(stock, name), getattr(cached, name), strict=True):
            np.testing.assert_array_equal(first, second)
    assert differences(network, frames, stock) == []


def edge_cases() -> dict[str, tuple[IntegerNetwork, np.ndarray]]:
    """Small networks at edges that the random ones seldom or never reach."""

    def network(*layers: IntegerLayer, n_in: int = 2, n_steps: int = 8) -> IntegerNetwork:
        return IntegerNetwork(InputEncoding(n_in, max_count=3), layers, Readout("sum", 1.0, 0, n_steps), n_steps)

    def layer(name: str, *synapses, n: int = 2, **options) -> IntegerLayer:
        return IntegerLayer(name, n, synapses, **{"dv": 4096, "threshold": 50, **options})

    def frames(n_samples: int, n_frames: int, n_in: int = 2) -> np.ndarray:
        return np.random.default_rng(5).integers(0, 4, (n_samples, n_frames, n_in)).astype(np.uint8)

    full = DenseSynapses(0, np.array([[254, -256], [64, 2]]), np.array([[0, 1], [2, 0]]))
    longest = DenseSynapses(0, np.array([[254, -256], [64, 2]]), np.array([[63, 0], [62, 63]]))
    unused_delay = DenseSynapses(0, np.array([[254, 0], [64, 2]]), np.array([[1, 5000], [0, 2]]))
    positive = DenseSynapses(0, np.array([[254, 2], [64, 2]]), np.zeros((2, 2), int))
    negative = DenseSynapses(0, np.array([[-256, -2], [-64, -2]]), np.zeros((2, 2), int))
    silent = DenseSynapses(0, np.zeros((2, 2), int), np.zeros((2, 2), int))
    nothing = SparseSynapses(0, 2, 2, *(np.zeros(0, int) for _ in range(4)))
    same_delay_twice = SparseSynapses(0, 2, 2, *np.array([[0, 0, 1], [1, 1, 0], [20, -8, 40], [3, 3, 0]]))
    return {
        "one step": (network(layer("out", full), n_steps=1), frames(3, 1)),
        "no samples": (network(layer("out", full)), frames(0, 8)),
        "frames longer than the run": (network(layer("out", full)), frames(1, 12)),
        "delay 63": (network(layer("out", longest), n_steps=70), frames(1, 70)),
        "a delay of no consequence beyond Lava's": (network(layer("out", unused_delay)), frames(1, 8)),
        "only positive weights": (network(layer("out", positive)), frames(1, 8)),
        "only negative weights": (network(layer("out", negative)), frames(1, 8)),
        "only zero weights": (network(layer("out", silent)), frames(1, 8)),
        "a layer without synapses": (network(layer("out", bias_mantissa=[900, -900], dv=0)), frames(2, 8)),
        "an empty sparse group": (network(layer("out", nothing, full)), frames(1, 8)),
        "two taps of one delay": (network(layer("out", same_delay_twice)), frames(1, 8)),
        "one channel, one neuron": (
            network(layer("out", DenseSynapses(0, np.array([[64]]), np.array([[1]])), n=1), n_in=1),
            frames(2, 8, 1),
        ),
        "populations that nothing joins": (
            network(layer("first", full), layer("last", bias_mantissa=[70, 3])),
            frames(2, 8),
        ),
        "a layer without outgoing synapses": (network(layer("first", full), layer("second", full)), frames(1, 8)),
    }


@pytest.mark.parametrize("variant", lava.VARIANTS)
def test_edges(lava_python, variant):
    cases = edge_cases()
    traces = lava.run_many(list(cases.values()), variant=variant, python=lava_python)
    found = {name: differences(*job, trace) for (name, job), trace in zip(cases.items(), traces, strict=True)}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_more_samples_than_one_cached_run_takes(lava_python):
    network, _ = edge_cases()["one step"]
    network = replace(network, n_steps=3, readout=Readout("sum", 1.0, 0, 3))
    frames = np.random.default_rng(6).integers(0, 4, (205, 3, 2)).astype(np.uint8)
    assert differences(network, frames, lava.run(network, frames, variant="cached", python=lava_python)) == []
