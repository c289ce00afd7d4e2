"""The verdict: it passes only where bits agree and the drop is small."""

from dataclasses import replace

import numpy as np
import pytest

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import BackendError, DataError, VerificationError
from delaytool.runtime import reference
from delaytool.runtime.backends import backend_named
from delaytool.runtime.decode import decode
from delaytool.verification.binding import Binding
from delaytool.verification.float_figures import FloatFigures
from delaytool.verification.integers import compare_integers
from delaytool.verification.verdict import evaluate, verify


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


def same(network, frames):
    return reference.run(network, frames)


BOTH = {"reference": reference.run, "same": same}


def test_agreement_passes(case):
    verdict = verify(*case, {"engine": backend_named("engine"), "reference": backend_named("reference")}, max_drop=None)
    assert verdict.passed
    assert verdict.accuracy == {"engine": 8 / 9, "reference": 8 / 9}
    assert verdict.comparisons["reference"].total == 0
    record = verdict.as_dict()
    assert record["passed"]
    assert record["mismatches"] == {"reference": {"spikes": 0, "u": 0, "v": 0}}


def test_one_bit_fails_and_is_found(case):
    verdict = verify(*case, {"reference": reference.run, "wrong": wrong}, max_drop=None)
    assert not verdict.passed
    assert verdict.reasons == ("wrong differs from reference in 1 value",)
    first = verdict.comparisons["wrong"].first
    assert (first.sample, first.step, first.layer, first.neuron, first.quantity) == (4, 7, "hidden1", 2, "v")


def test_the_drop_is_against_rounded_delays(case):
    assert verify(*case, BOTH, floats=FloatFigures(1.0, 8 / 9, "x"), max_drop=0.5).passed
    verdict = verify(*case, BOTH, floats=FloatFigures(8 / 9, 1.0, "x"), max_drop=0.5)
    assert verdict.drop == pytest.approx(100 / 9)
    assert verdict.reasons == ("integers cost 11.11 points of accuracy, more than the 0.5 allowed (--max-drop)",)
    assert verdict.exit_code == 1
    assert replace(verdict, max_drop=verdict.drop).passed
    assert not replace(verdict, max_drop=verdict.drop - 0.01).passed


def test_an_unknown_float_accuracy_is_neither_a_pass_nor_a_failure(case):
    verdict = verify(*case, BOTH, max_drop=0.5)
    assert not verdict.passed
    assert not verdict.reasons
    assert verdict.exit_code == 4
    assert "--run" in verdict.accuracy_unknown
    assert "--no-drop" in verdict.accuracy_unknown
    assert verify(*case, {"reference": reference.run, "wrong": wrong}, max_drop=0.5).exit_code == 1


@pytest.mark.parametrize("max_drop", [float("nan"), float("inf"), -0.1])
def test_a_meaningless_limit_is_refused(case, max_drop):
    with pytest.raises(VerificationError, match="max_drop"):
        verify(*case, BOTH, floats=FloatFigures(1.0, 1.0, "x"), max_drop=max_drop)


@pytest.mark.parametrize("backends", [{}, {"reference": reference.run}, {"a": reference.run, "b": reference.run}])
def test_nothing_passes_without_a_comparison_of_different_backends(case, backends):
    with pytest.raises(VerificationError, match="nothing"):
        verify(*case, backends, max_drop=None)


def test_figures_of_one_backend_are_no_verdict(case):
    figures = evaluate(*case, "reference", reference.run)
    assert figures.accuracy == {"reference": 8 / 9}
    assert not hasattr(figures, "passed")


def test_integers_that_are_not_the_checkpoints_fail(case):
    network, *_ = case
    delays = np.array(network.layers[0].synapses[0].delay)
    delays[2, 3] += 1
    group = replace(network.layers[0].synapses[0], delay=delays)
    changed = replace(network, layers=(replace(network.layers[0], synapses=(group,)), network.layers[1]))
    bound = Binding("best.pt", compare_integers(network, network), "", "aa", "aa")
    assert verify(*case, BOTH, max_drop=None, binding=bound).passed
    unbound = Binding("best.pt", compare_integers(network, changed), "", "aa", "aa")
    verdict = verify(*case, BOTH, max_drop=None, binding=unbound)
    assert verdict.exit_code == 1
    assert "the integers are not those of best.pt, compiled again: 1 of" in verdict.reasons[0]
    assert not verdict.as_dict()["binding"]["bound"]
    impossible = Binding("best.pt", None, "layer hidden1: delay 80 exceeds", "aa", "bb")
    verdict = verify(*case, BOTH, max_drop=None, binding=impossible)
    assert verdict.exit_code == 1
    assert "delay 80 exceeds" in verdict.reasons[0]
    assert "best.pt is not the checkpoint that the file records" in verdict.reasons[0]


def test_an_accuracy_at_chance_carries_a_warning(case):
    verdict = verify(*case, BOTH, max_drop=None)
    labels = np.arange(300) % 3
    good = replace(verdict, labels=labels, predictions=labels)
    assert good.warnings == ()
    constant = replace(verdict, labels=labels, predictions=np.zeros(300, int))
    assert constant.passed
    assert "not above chance: 100 of 300 samples are right" in constant.warnings[0]
    assert constant.as_dict()["warnings"] == list(constant.warnings)
    assert not constant.as_dict()["chance"]["above_chance"]
    one_class = replace(verdict, labels=labels * 0, predictions=labels * 0)
    assert "not above chance" in one_class.warnings[0]


def test_chunks_give_what_the_whole_gives(case, monkeypatch):
    backends = {"engine": backend_named("engine"), "reference": reference.run}
    whole = verify(*case, backends, max_drop=None)
    monkeypatch.setattr("delaytool.verification.verdict.CHUNK_BYTES", 2 * 20 * 11 * 9)
    parts = verify(*case, backends, max_drop=None)
    assert parts.comparisons == whole.comparisons
    assert np.array_equal(parts.predictions, whole.predictions)
    assert np.array_equal(parts.counters.synaptic_events, whole.counters.synaptic_events)


def test_a_verdict_without_meaning_is_refused(case):
    network, frames, labels = case
    with pytest.raises(DataError, match="label 7 is beyond the network's 3 outputs"):
        verify(network, frames, labels * 0 + 7, BOTH)
    with pytest.raises(DataError, match="label -1 is beyond the network's 3 outputs"):
        verify(network, frames, labels * 0 - 1, BOTH)
    with pytest.raises(DataError, match="no samples"):
        verify(network, frames[:0], labels[:0], BOTH)
    with pytest.raises(DataError, match="9 samples have 3 labels"):
        verify(network, frames, labels[:3], BOTH)
    with pytest.raises(DataError, match="the input frames hold no spike"):
        verify(network, frames * 0, labels, BOTH)
    silent = replace(network, layers=(replace(network.layers[0], threshold=131071), network.layers[1]))
    with pytest.raises(BackendError, match="layer hidden1: it never fires"):
        verify(silent, frames, labels, BOTH)
    hidden, readout = network.layers
    second = replace(hidden, name="hidden2", synapses=(DenseSynapses(1, np.eye(8, dtype=int), np.zeros((8, 8), int)),))
    last = replace(readout, synapses=(replace(readout.synapses[0], source=2),))
    silent = replace(network, layers=(hidden, replace(second, threshold=131071), last))
    with pytest.raises(BackendError, match="layer hidden2: it never fires"):
        verify(silent, frames, labels, BOTH)


def test_zeros_prove_nothing(case):
    network, frames, labels = case
    group = DenseSynapses(0, np.full((3, 6), 2), np.zeros((3, 6), int))

    def readout_alone(*synapses, bias=0, n_steps=20):
        readout = replace(network.layers[1], synapses=synapses, bias_mantissa=np.full(3, bias))
        return replace(network, layers=(readout,), readout=Readout("sum", 1.0, 0, n_steps), n_steps=n_steps)

    assert verify(readout_alone(group), frames, labels, BOTH, max_drop=None).passed
    without_weights, late = replace(group, weight=group.weight * 0), replace(group, delay=group.delay + 62)
    for silent in (
        readout_alone(),
        readout_alone(without_weights),
        readout_alone(late),
        readout_alone(late, bias=3),
        readout_alone(group, n_steps=1),
    ):
        with pytest.raises(BackendError, match="layer readout: no current reaches it on these samples"):
            verify(silent, frames, labels, BOTH, max_drop=None)
        with pytest.raises(BackendError, match="layer readout: no current reaches it on these samples"):
            evaluate(silent, frames, labels, "reference", reference.run)
        assert verify(silent, frames, labels, BOTH, max_drop=None, may_be_silent=True).passed
    assert verify(readout_alone(bias=3), frames, labels, BOTH, max_drop=None).passed
    assert verify(readout_alone(without_weights, bias=3), frames, labels, BOTH, max_drop=None).passed
    after_the_run = np.concatenate([np.zeros((9, 20, 6), np.uint8), frames], axis=1)
    with pytest.raises(DataError, match="no spike before the run ends"):
        verify(network, after_the_run, labels, BOTH, max_drop=None)


def test_unknown_backends_are_named():
    with pytest.raises(BackendError, match="backend 'abacus' is unknown; choose one of engine, reference, lava"):
        backend_named("abacus")
