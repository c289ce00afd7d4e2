"""brian2-loihi against the golden vectors and the reference, and what it refuses."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from golden import regenerate
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from random_networks import random_network

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import BackendError, DataError
from delaytool.runtime import reference
from delaytool.runtime.backends import brian2loihi
from delaytool.runtime.trace import Trace

# Golden vectors that brian2-loihi cannot run, and what its refusal names.
REFUSED = {
    "beyond-one-wrap": "weight with its exponent -32768",
    "biases": "has biases",
    "charge-in-flight": "has biases",
    "current-wraps": "weight with its exponent -32768",
    "graded-input": "spikes carry no payload",
    "graded-values": "spikes carry no payload",
    "long-delays": "delay 63 is outside",
    "membrane-clips": "has biases",
    "refusal-limit": "spikes carry no payload",
    "strict-threshold": "has biases",
    "three-layers": "has biases",
    "weight-exponents": "weight with its exponent -32768",
}
REFUSED_AFTER = {"wraps-at-2-23": "u reached"}  # what it does only after a run
FRAMES = np.ones((1, 5, 1), np.uint8)


@pytest.fixture(scope="session")
def emulator_python() -> str:
    """An interpreter with brian2-loihi: $DELAYTOOL_BRIAN2LOIHI_PYTHON or this one. Skips the test without one."""
    chosen = os.environ.get(brian2loihi.PYTHON_VARIABLE)
    if chosen:
        return chosen
    if importlib.util.find_spec("brian2_loihi") is None:
        pytest.skip(f"brian2-loihi is not installed; {brian2loihi.INSTALL}, or set {brian2loihi.PYTHON_VARIABLE}")
    return sys.executable


def assert_same(expected: Trace, got: Trace) -> None:
    for name in ("spikes", "u", "v"):
        for index, (first, second) in enumerate(zip(getattr(expected, name), getattr(got, name), strict=True)):
            assert first.dtype == second.dtype
            np.testing.assert_array_equal(first, second, err_msg=f"{name} of layer {index}")


def test_golden_vectors(emulator_python):
    cases = {path.stem: regenerate.load(path) for path in sorted(regenerate.FOLDER.glob("*.h5"))}
    admitted = {name: case for name, case in cases.items() if name not in REFUSED | REFUSED_AFTER}
    assert len(admitted) >= 10
    traces = brian2loihi.run_many(
        [(network, frames) for network, frames, _ in admitted.values()], python=emulator_python
    )
    for (_, _, expected), trace in zip(admitted.values(), traces, strict=True):
        assert_same(expected, trace)


@pytest.mark.parametrize("name", REFUSED)
def test_golden_vectors_that_it_cannot_run(name):
    network, frames, _ = regenerate.load(regenerate.FOLDER / f"{name}.h5")
    with pytest.raises(BackendError, match=REFUSED[name]):
        brian2loihi.run(network, frames)


@pytest.mark.parametrize("name", REFUSED_AFTER)
def test_golden_vectors_that_it_runs_but_not_as_the_contract(emulator_python, name):
    network, frames, _ = regenerate.load(regenerate.FOLDER / f"{name}.h5")
    with pytest.raises(BackendError, match=REFUSED_AFTER[name]):
        brian2loihi.run(network, frames, python=emulator_python)


def sayable(rng: np.random.Generator) -> tuple[IntegerNetwork, np.ndarray]:
    """A random network without biases and payloads, its exponents such that most states stay within 24 bits."""
    network, frames = random_network(rng, graded=False, biases=False, n_samples=1, max_steps=60)
    layers = tuple(
        replace(layer, synapses=tuple(replace(group, exponent=group.exponent // 2) for group in layer.synapses))
        for layer in network.layers
    )
    return replace(network, layers=layers), frames


# One example is one start of brian2 and twenty networks; shrinking would start it hundreds of times.
@settings(max_examples=1, phases=[Phase.explicit, Phase.generate], deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_random_networks(emulator_python, seed):
    rng = np.random.default_rng(seed)
    jobs = [sayable(rng) for _ in range(26)]
    traces = brian2loihi.in_worker(jobs, python=emulator_python, timeout=600)
    compared = spiking = 0
    for (network, frames), trace in zip(jobs, traces, strict=True):
        try:
            brian2loihi.refuse_overflow(network, trace)
        except BackendError:
            continue
        assert_same(reference.run(network, frames), trace)
        compared += 1
        spiking += int(trace.events().any())
    assert compared >= 20
    assert spiking >= 5


def network(weight: int = 2, delay: int = 0, exponent: int = 0, **options) -> IntegerNetwork:
    group = DenseSynapses(0, np.array([[weight]]), np.array([[delay]]), exponent)
    layer = IntegerLayer("hidden1", 1, (group,), **{"dv": 409, "threshold": 100, **options})
    return IntegerNetwork(InputEncoding(1, max_count=7), (layer,), Readout("sum", 1.0, 0, 5), n_steps=5)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"weight": 37}, "weight 37 is odd"),
        ({"weight": 256}, r"weight 256 is outside brian2-loihi's -256\.\.254"),
        ({"weight": -256, "exponent": 7}, r"weight with its exponent -32768 is outside brian2-loihi's -32767\.\.32767"),
        ({"delay": 63}, r"delay 63 is outside brian2-loihi's 0\.\.62"),
        ({"bias_mantissa": np.array([1])}, "layer hidden1: it has biases"),
    ],
)
def test_what_it_cannot_represent_is_refused(options, text):
    with pytest.raises(BackendError, match=text):
        brian2loihi.run(network(**options), FRAMES)


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        (np.ones((5, 1), np.uint8), "shape"),
        (np.ones((1, 5, 1)), "float64"),
        (np.full((1, 5, 1), 2, np.uint8), "a frame holds 2"),
        (np.full((1, 5, 1), -1), "the value -1"),
    ],
)
def test_frames_that_it_cannot_take_are_refused(frames, text):
    with pytest.raises((BackendError, DataError), match=text):
        brian2loihi.run(network(), frames)


@pytest.mark.parametrize(("weight", "what"), [(254, "u reached .* wraps"), (-254, "reached .* beyond 24 bits")])
def test_a_state_beyond_24_bits_is_refused_after_the_run(emulator_python, weight, what):
    """Its membranes do not saturate and its currents do not wrap; the contract's do."""
    kept = network(weight=weight, exponent=7, du=0, dv=0, threshold=131071)
    frames = np.ones((1, 40, 1), np.uint8)
    longer = replace(kept, n_steps=40, readout=Readout("sum", 1.0, 0, 40))
    with pytest.raises(BackendError, match=what):
        brian2loihi.run(longer, frames, python=emulator_python)


def test_no_samples_are_no_samples(emulator_python):
    trace = brian2loihi.run(network(), np.zeros((0, 5, 1), np.uint8), python=emulator_python)
    assert trace.v[0].shape == (0, 5, 1)


def test_without_it_the_error_names_how_to_get_it(monkeypatch):
    monkeypatch.delenv(brian2loihi.PYTHON_VARIABLE, raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendError) as caught:
        brian2loihi.run(network(), FRAMES)
    assert brian2loihi.INSTALL in str(caught.value)
    assert "--brian2loihi-python" in str(caught.value)


def test_an_interpreter_without_it(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path)], check=True)
    python = tmp_path / ("Scripts" if os.name == "nt" else "bin") / "python"
    with pytest.raises(BackendError) as caught:
        brian2loihi.run(network(), FRAMES, python=python)
    assert "cannot run brian2-loihi: No module named 'numpy'" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_time_limit(emulator_python):
    with pytest.raises(BackendError, match=r"no result within 0\.05 s; give more with --brian2loihi-timeout"):
        brian2loihi.run(network(), FRAMES, python=emulator_python, timeout=0.05)
