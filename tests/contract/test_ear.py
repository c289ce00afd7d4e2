"""The ear in a network's encoding: kept by its file, strict, and absent where there is none."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from delaytool.contract.checks import built_from
from delaytool.contract.ear import Ear, EarModel
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import NetworkError

EAR = Ear(EarModel(n_channels=6, causal=True, live_level=0.3), sample_rate=16000)


def network(encoding: InputEncoding) -> IntegerNetwork:
    synapses = DenseSynapses(0, np.full((2, encoding.n_channels), 2), np.zeros((2, encoding.n_channels), int))
    layer = IntegerLayer("readout", 2, (synapses,), dv=100, threshold=131071)
    return IntegerNetwork(encoding, (layer,), Readout("sum", 1.0, 0, 5), n_steps=5)


def test_a_network_file_keeps_the_ear(tmp_path: Path) -> None:
    ours = network(InputEncoding(6, channel_bins=2, n_steps=5, ear=EAR))
    ours.save(tmp_path / "net.h5")
    again = IntegerNetwork.load(tmp_path / "net.h5")
    assert again.encoding.ear == EAR
    assert again == ours
    assert again.integers_sha256() == ours.integers_sha256()


def test_an_encoding_without_an_ear_is_what_it_was() -> None:
    """Files and digests of networks that were exported before encodings had an ear stay the same."""
    plain = InputEncoding(6, channel_bins=2, n_steps=5)
    assert list(plain.as_dict()) == [
        "n_units", "time_step_ms", "channel_bins", "values", "start", "n_steps", "max_count",
    ]  # fmt: skip
    assert network(plain).integers_sha256() != network(replace(plain, ear=EAR)).integers_sha256()


def encoding_with(**changes: Any) -> InputEncoding:
    """From JSON, as a file has it."""
    given = InputEncoding(6, ear=EAR).as_dict()
    given["ear"] = {**given["ear"], **changes}
    return built_from(InputEncoding, "encoding", json.loads(json.dumps(given)))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: encoding_with(model={**asdict(EAR.model), "loudness": 1}), "ear: model: 'loudness' is unknown"),
        (lambda: encoding_with(cochlea=1), "encoding: ear: 'cochlea' is unknown"),
        (lambda: encoding_with(version=2), "version 2 is unknown to this delaytool"),
        (lambda: encoding_with(version="1"), "version '1' is not an integer"),
        (lambda: encoding_with(sample_rate=0), "sample_rate 0 is outside"),
        (lambda: encoding_with(sample_rate=16000.5), "sample_rate 16000.5 is not an integer"),
        (lambda: encoding_with(model=None), "model None is no description of an ear"),
        (lambda: encoding_with(model={**asdict(EAR.model), "causal": "yes"}), "causal 'yes' is not true or false"),
        (lambda: encoding_with(model={**asdict(EAR.model), "decay": "3"}), "decay '3' is not a finite number"),
        (lambda: encoding_with(model={**asdict(EAR.model), "decay": 0}), "decay 0 is not a positive number"),
        (lambda: encoding_with(model={**asdict(EAR.model), "dead_time_ms": 1e9}), "dead_time_ms 1000000000.0 is more"),
        (lambda: encoding_with(model={**asdict(EAR.model), "n_channels": 7}), "n_units 6 is not the ear's number of"),
        (lambda: InputEncoding(6, ear="causal"), "ear 'causal' is not an object|ear 'causal' is no description"),
        (lambda: InputEncoding(6, values="graded", input_bits=4, ear=EAR), "an ear makes spikes"),
        (lambda: EarModel(n_channels=0), "an ear of 0 channels is outside 1..65535"),
        (lambda: EarModel(fibers=300), "300 nerve fibers per channel are outside 1..255"),
    ],
)
def test_what_is_no_ear_is_refused(build: Callable[[], object], expected: str) -> None:
    with pytest.raises(NetworkError, match=expected):
        build()
