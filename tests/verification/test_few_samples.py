"""Backends on fewer samples than the first: where they differ, the sample is named as among all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from golden import regenerate

from delaytool.errors import VerificationError
from delaytool.experiments import verify_run
from delaytool.experiments.evaluated_samples import SampleChoice, Samples
from delaytool.experiments.verify_run import VerifyRequest, verify_network
from delaytool.runtime import reference


@pytest.fixture
def request_of(tmp_path, monkeypatch):
    """A request for a network on nine samples, of which a backend 'wrong' gets every v of sample 4 wrong."""
    network, frames, _ = regenerate.load(regenerate.FOLDER / "three-layers.h5")
    path = tmp_path / "network.h5"
    replace(network, extensions={}).save(path)
    many = np.concatenate([np.roll(frames[:1], shift, axis=1) for shift in range(9)])

    def wrong(_, given):
        trace = reference.run(network, given)
        spoilt = [np.array_equal(sample, many[4]) for sample in given]
        trace.v[1][spoilt] += 1
        return trace

    real = verify_run.backend_named
    monkeypatch.setattr(
        verify_run, "backend_named", lambda name, options: wrong if name == "wrong" else real(name, options)
    )
    labels = np.zeros(9, int)
    samples = Samples(many, labels, "made up", "", np.arange(9), labels)
    monkeypatch.setattr(verify_run, "load_samples", lambda *arguments: samples)
    return lambda **options: VerifyRequest(path, SampleChoice("made up"), max_drop=None, **options)


def test_a_difference_names_the_sample_among_all(request_of):
    verdict = verify_network(request_of(backends=("reference", "wrong"), few={"wrong": 3})).verdict
    assert not verdict.passed
    assert verdict.comparisons["wrong"].samples == 3  # samples 0, 4 and 8
    assert verdict.comparisons["wrong"].first.sample == 4
    assert verdict.samples == 9


def test_samples_that_are_left_out_are_not_compared(request_of):
    assert verify_network(request_of(backends=("reference", "wrong"), few={"wrong": 2})).verdict.passed


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"backends": ("reference", "wrong"), "few": {"reference": 3}}, "so it runs on all samples"),
        ({"backends": ("reference", "wrong"), "few": {"engine": 3}}, "does not run"),
        ({"backends": ("reference", "wrong"), "few": {"wrong": 0}}, "would compare nothing"),
    ],
)
def test_limits_that_make_no_sense_are_refused(request_of, options, text):
    with pytest.raises(VerificationError, match=text):
        verify_network(request_of(**options))


@pytest.mark.parametrize("spikes", [1, 0])
def test_a_quiet_sample_is_compared_and_a_silent_one_refused(request_of, monkeypatch, spikes):
    """One spike in the input of sample 0, which makes no neuron fire; all others fire."""
    request = request_of(backends=("reference", "wrong"), few={"wrong": 1})
    samples = verify_run.load_samples()
    frames = samples.frames.copy()
    frames[0] = 0
    frames[0, -1, :spikes] = 1
    monkeypatch.setattr(verify_run, "load_samples", lambda *arguments: replace(samples, frames=frames))
    if spikes:
        assert verify_network(request).verdict.samples_of("wrong") == 1
        return
    with pytest.raises(VerificationError, match=r"input of its 1 samples holds no spike.*give more with wrong:N"):
        verify_network(request)
