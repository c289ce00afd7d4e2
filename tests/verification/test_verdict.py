"""The verdict: it passes only where bits agree and the drop is small."""

from dataclasses import replace

import numpy as np
import pytest

from delaytool.errors import BackendError, DataError
from delaytool.network import DenseSynapses, InputEncoding, IntegerLayer, IntegerNetwork, Readout
from delaytool.runtime import reference
from delaytool.runtime.backends import backend_named
from delaytool.runtime.decode import decode
from delaytool.verification.verdict import FloatFigures, verify


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    encoding = InputEncoding(n_units=6, n_steps=12, max_count=2)

    def layer(name, source, n_out, n_in, threshold):
        weight = 2 * rng.integers(-60, 100, (n_out, n_in))
        return IntegerLayer(
            name, n_out, (DenseSynapses(source, weight, rng.integers(0, 4, (n_out, n_in))),), 2048, threshold
        )

    layers = (layer("hidden1", 0, 8, 6, 150), layer("readout", 1, 3, 8, 131071))
    network = IntegerNetwork(encoding, layers, Readout("softmax-sum", 64 * 150.0, 2, 20), 20)
    frames = rng.integers(0, 3, (9, 12, 6)).astype(np.uint8)
    labels = decode(network, reference.run(network, frames).readout)[0]
    labels[0] = (labels[0] + 1) % 3
    return network, frames, labels


def wrong(network, frames):
    trace = reference.run(network, frames)
    v = [array.copy() for array in trace.v]
    v[0][4, 7, 2] += 1
    return replace(trace, v=tuple(v))


def test_agreement_passes(case):
    verdict = verify(*case, {"engine": backend_named("engine"), "reference": backend_named("reference")}, max_drop=None)
    assert verdict.passed
    assert verdict.accuracy == {"engine": 8 / 9, "reference": 8 / 9}
    assert verdict.comparisons["reference"].total == 0
    told = verdict.as_dict()
    assert told["passed"]
    assert told["mismatches"] == {"reference": {"spikes": 0, "u": 0, "v": 0}}


def test_one_bit_fails_and_is_found(case):
    verdict = verify(*case, {"reference": reference.run, "wrong": wrong}, max_drop=None)
    assert not verdict.passed
    assert verdict.reasons == ("wrong differs from reference in 1 values",)
    first = verdict.comparisons["wrong"].first
    assert (first.sample, first.step, first.layer, first.neuron, first.quantity) == (4, 7, "hidden1", 2, "v")


def test_the_drop_is_judged_against_rounded_delays(case):
    backends = {"reference": reference.run}
    assert verify(*case, backends, floats=FloatFigures(1.0, 8 / 9, "x"), max_drop=0.5).passed
    verdict = verify(*case, backends, floats=FloatFigures(8 / 9, 1.0, "x"), max_drop=0.5)
    assert verdict.drop == pytest.approx(100 / 9)
    assert verdict.reasons == ("integers cost 11.11 points of accuracy, more than --max-drop 0.5",)
    assert verify(*case, backends, floats=FloatFigures(8 / 9, 1.0, "x"), max_drop=12).passed


def test_an_unknown_float_accuracy_does_not_pass_in_silence(case):
    verdict = verify(*case, {"reference": reference.run}, max_drop=0.5)
    assert not verdict.passed
    assert "--run" in verdict.reasons[0]
    assert "--no-drop" in verdict.reasons[0]


def test_chunks_give_what_the_whole_gives(case, monkeypatch):
    backends = {"engine": backend_named("engine"), "reference": reference.run}
    whole = verify(*case, backends, max_drop=None)
    monkeypatch.setattr("delaytool.verification.verdict.CHUNK_BYTES", 2 * 20 * 11 * 9)
    parts = verify(*case, backends, max_drop=None)
    assert parts.comparisons == whole.comparisons
    assert np.array_equal(parts.predictions, whole.predictions)
    assert np.array_equal(parts.counters.synaptic_events, whole.counters.synaptic_events)


def test_what_cannot_be_judged_is_refused(case):
    network, frames, labels = case
    backends = {"reference": reference.run}
    with pytest.raises(DataError, match="label 7 is beyond the network's 3 outputs"):
        verify(network, frames, labels * 0 + 7, backends)
    with pytest.raises(DataError, match="no samples"):
        verify(network, frames[:0], labels[:0], backends)
    with pytest.raises(DataError, match="9 samples have 3 labels"):
        verify(network, frames, labels[:3], backends)
    with pytest.raises(DataError, match="not one spike"):
        verify(network, frames * 0, labels, backends)
    deaf = replace(network, layers=(replace(network.layers[0], threshold=131071), network.layers[1]))
    with pytest.raises(BackendError, match="layer hidden1: it never fires"):
        verify(deaf, frames, labels, backends)


def test_unknown_backends_are_named():
    with pytest.raises(BackendError, match="backend 'abacus' is unknown; choose one of engine, reference, lava"):
        backend_named("abacus")
