"""`verify` and `run` as a program calls them: frames, labels and backends are what was meant, or an error."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from inference_networks import NAMES, network_of, sound_encoding

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import BackendError, DataError
from delaytool.experiments.run_network import run, verify
from delaytool.inference.predict import predict
from delaytool.runtime import engine, reference

RNG = np.random.default_rng(0)
NETWORK = network_of(InputEncoding(20, max_count=3, n_steps=30, start="zero"))
FRAMES = RNG.integers(0, 4, (8, 30, 20)).astype(np.uint8)
LABELS = np.array([one.label for one in predict(NETWORK, FRAMES)])


@pytest.mark.parametrize("kind", ["names", "digits in text", "a mixture"])
def test_labels_that_are_names_need_a_network_that_names_its_classes(kind: str) -> None:
    nameless = replace(NETWORK, class_names=())
    labels = {
        "names": [NAMES[label] for label in LABELS],
        "digits in text": [str(label + 1) for label in LABELS],
        "a mixture": [*LABELS[:-1].tolist(), "last"],
    }[kind]
    assert verify(nameless, FRAMES, LABELS).accuracy["engine"] == 1
    with pytest.raises(DataError, match=r"is a name, and the network names no classes; give numbers, 0\.\.3, or"):
        verify(nameless, FRAMES, labels)
    if kind == "names":
        assert verify(NETWORK, FRAMES, labels).accuracy["engine"] == 1


@pytest.mark.parametrize("more", [2, NETWORK.n_steps - 30, 40])
def test_verify_cuts_where_predict_and_training_do(more: int) -> None:
    longer = np.concatenate([FRAMES, RNG.integers(0, 4, (8, more, 20)).astype(np.uint8)], axis=1)
    assert not np.array_equal(run(NETWORK, longer).readout, run(NETWORK, FRAMES).readout), "it would be heard"
    found = [one.label for one in predict(NETWORK, longer)]
    with pytest.warns(UserWarning, match=rf"8 of 8 samples \(the first is 0\) have {30 + more} steps, of which .* 30"):
        verdict = verify(NETWORK, longer, LABELS)
    assert verdict.predictions.tolist() == found == LABELS.tolist()
    longer[:, 30:] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert verify(NETWORK, longer, LABELS).accuracy["engine"] == 1


def test_real_numbers_are_quantized_as_by_predict() -> None:
    for encoding in (
        sound_encoding(),
        InputEncoding(20, values="graded", input_bits=4, offset=30_000.0, scale=0.5, n_steps=51, start="zero"),
    ):
        network = network_of(encoding)
        integers = RNG.integers(0, 16, (3, 51, encoding.n_channels)).astype(np.uint8)
        real = encoding.offset + encoding.scale * integers
        labels = [one.label for one in predict(network, real)]
        assert labels == [one.label for one in predict(network, integers)]
        for given in (real, real.tolist(), real.astype(np.float32), integers):
            verdict = verify(network, given, labels)
            assert (verdict.accuracy["engine"], verdict.passed) == (1, True)
            np.testing.assert_array_equal(run(network, given).readout, run(network, integers).readout)
        real[1, 0, 0] = np.nan
        # An integer type says that they are quantized; the same numbers as floats are not.
        whole = np.full((3, 51, encoding.n_channels), 16)
        for given, message in (
            (real, "sample 1: it holds a value that is not finite"),
            (whole, r"the value 16, .* quantized already, 0\.\.15; give real numbers as floats"),
        ):
            for ask in (run, predict, partial(verify, labels=labels)):
                with pytest.raises(DataError, match=message):
                    ask(network, given)
        assert predict(network, whole.astype(float))


def test_backends_are_names_or_functions_by_name() -> None:
    named = verify(NETWORK, FRAMES, LABELS, {"a": "engine", "b": reference.run})
    assert named.passed
    assert list(named.accuracy) == ["a", "b"]
    for backends, message in (
        ("engine", r"backends 'engine' is one name; give a list of at least two, as \['engine', 'reference'\]"),
        (["engine", reference.run], r"backends holds <function run .*>, which is no name; give functions by name"),
        ({"a": 3, "b": "engine"}, "backend 3 is neither a name nor a function"),
        ({"a": "motor", "b": "engine"}, "backend 'motor' is unknown"),
        ({1: "engine", "b": "reference"}, "backends has the key 1, which is no text"),
    ):
        with pytest.raises(BackendError, match=message):
            verify(NETWORK, FRAMES, LABELS, backends)


@pytest.mark.parametrize("steps", [1, 30, 50])
def test_run_reads_as_many_steps_as_it_is_given(steps: int) -> None:
    frames = RNG.integers(0, 4, (2, steps, 20)).astype(np.uint8)
    np.testing.assert_array_equal(run(NETWORK, frames).readout, engine.run(NETWORK, frames).readout)
