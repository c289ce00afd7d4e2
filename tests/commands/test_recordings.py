"""Recordings all the way: trained on integers, exported, and the same on every backend."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chirps
import numpy as np
import pytest

from delaytool import datasets
from delaytool.contract.network import IntegerNetwork

KINDS = {"gsc-3l-1kc": chirps.speech_folder, "hd-1l-1kc": chirps.heidelberg_folder}
SMALL = ["--set", "model.hidden=[12]", "--set", "trainer.epochs=1", "--set", "trainer.batch_size=4"]


@pytest.mark.parametrize("preset", KINDS)
def test_a_network_trained_on_recordings_is_bit_exact(
    preset: str, call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELAYTOOL_DATA", str(tmp_path / "cache"))
    folder = KINDS[preset](tmp_path / "recordings")
    run = tmp_path / "run"
    more = ["--set", "data.validation_fraction=0.5"] if preset == "hd-1l-1kc" else ["--set", "trainer.cut_mix=0.5"]
    result = call("train", preset, "--data", folder, "-o", run, *SMALL, *more)
    assert result.exit_code == 0, result.output
    for target in ("ideal", "loihi2"):
        result = call("export", run, "--target", target)
        assert result.exit_code == 0, result.output
        network = IntegerNetwork.load(run / f"network-{target}.h5")
        encoding = network.encoding
        assert (encoding.values, encoding.input_bits, encoding.max_payload) == ("graded", 4, 15)
        assert encoding.mel == datasets.mel.MELS["gsc-paper" if preset == "gsc-3l-1kc" else "hd"]
        result = call("verify", run / f"network-{target}.h5", "--torch", "--no-drop", "--json", "--data", "recorded")
        assert result.exit_code == 0, result.output
        verdict = json.loads(result.stdout)
        assert verdict["passed"] is True
        assert set(verdict["accuracy"]) >= {"engine", "reference", "torch"}
    # The network file alone defines how other recordings become its frames.
    again = tmp_path / "other"
    chirps.write_chirp(again / "up" / "1_nohash_0.wav", 400, 2000)
    chirps.write_chirp(again / "up" / "2_nohash_0.wav", 400, 1000)
    chirps.write_chirp(again / "down" / "1_nohash_0.wav", 2000, 400)
    chirps.write_chirp(again / "down" / "2_nohash_0.wav", 1000, 400)
    recipe = {"data": {"source": str(again), "split_by": "stratified", "test_fraction": 0.5}, "protocol": "paper"}
    data = datasets.load_for_evaluation(datasets.DataSpec.from_recipe(recipe, encoding), n_units=encoding.n_units)
    frames = datasets.frames_of(data, encoding)
    assert frames.shape == (2, encoding.n_steps, encoding.n_channels)
    assert 0 < frames.max() <= 15
    assert frames.dtype == np.uint8
