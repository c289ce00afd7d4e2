"""The unit of times, the rate, the type of numbers: acted on, or refused where an input does not have them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.events import EventData
from delaytool.errors import DataError
from delaytool.inference.encoders import encoder_for
from delaytool.inference.predict import predict

TIMES = np.array([0.0, 40.0, 90.0, 130.0, 210.0])  # ms
UNITS = np.array([3, 17, 8, 30, 21])
IN_S = (TIMES / 1000, UNITS)


def scores_of(network: IntegerNetwork, given: object, **settings: object) -> list[float]:
    return predict(network, given, **settings)[0].scores.tolist()


def write_events(path: Path, times: np.ndarray) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["n_units"] = 40
        for name, rows in (("times", times), ("units", UNITS.astype(np.uint16))):
            file.create_dataset(f"spikes/{name}", (1,), dtype=h5py.vlen_dtype(rows.dtype))[0] = rows
        file["labels"] = [0]
    return path


def trained_on(network: IntegerNetwork, unit: str | None) -> IntegerNetwork:
    """The network as the exporter writes it of a run whose recipe has this data.time_unit."""
    return replace(network, provenance={"recipe": {"data": {"time_unit": unit}}})


def test_a_pair_s_times_are_in_the_unit_that_is_given(event_network: IntegerNetwork) -> None:
    wanted = scores_of(event_network, IN_S)
    assert wanted != scores_of(event_network, (TIMES[:1], UNITS[:1]))
    for times in (TIMES, TIMES.astype(np.int64), torch.from_numpy(TIMES)):
        assert scores_of(event_network, (times, UNITS), time_unit="ms") == wanted
    assert scores_of(event_network, ((1000 * TIMES).astype(int), UNITS), time_unit="us") == wanted


def test_whole_numbers_without_a_unit_and_times_too_long_for_it_are_refused(event_network: IntegerNetwork) -> None:
    with pytest.raises(DataError, match=r'input 0: sample 0: its times are int64; .* with time_unit = "ms" or "us"'):
        predict(event_network, (TIMES.astype(np.int64), UNITS))
    with pytest.raises(DataError, match="its times span 210, which as seconds is over the 60 s"):
        predict(event_network, (TIMES, UNITS))
    with pytest.raises(DataError, match="time_unit 'min' is unknown; choose one of 's', 'ms', 'us'"):
        predict(event_network, IN_S, time_unit="min")


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_an_event_file_is_read_in_the_unit_of_the_network_s_training(
    dtype: type, event_network: IntegerNetwork, tmp_path: Path
) -> None:
    wanted = scores_of(event_network, IN_S)
    short = np.minimum(TIMES, 50)  # ms that pass for seconds
    in_ms, in_s = write_events(tmp_path / "ms.h5", TIMES.astype(dtype)), write_events(tmp_path / "s.h5", IN_S[0])
    network = trained_on(event_network, "ms")
    assert scores_of(network, in_ms) == scores_of(event_network, in_ms, time_unit="ms") == wanted
    assert scores_of(network, in_s, time_unit="s") == wanted
    path = write_events(tmp_path / "short.h5", short.astype(np.float32))
    assert scores_of(network, path) == scores_of(event_network, path, time_unit="ms")
    network.save(tmp_path / "net.h5")
    assert scores_of(IntegerNetwork.load(tmp_path / "net.h5"), in_ms) == wanted


@pytest.mark.parametrize(
    "provenance",
    [
        {},
        {"recipe": None},
        {"recipe": {"data": 3}},
        {"recipe": {"data": {"time_unit": "min"}}},
        {"recipe": {"data": {}}},
    ],
)
def test_networks_that_record_no_unit_read_seconds_as_before(
    provenance: dict[str, object], event_network: IntegerNetwork, tmp_path: Path
) -> None:
    network = replace(event_network, provenance=provenance)
    assert scores_of(network, write_events(tmp_path / "s.h5", IN_S[0])) == scores_of(event_network, IN_S)
    assert scores_of(network, IN_S) == scores_of(event_network, IN_S)


def test_a_pair_states_its_unit_where_training_had_another_than_seconds(event_network: IntegerNetwork) -> None:
    network = trained_on(event_network, "ms")
    with pytest.raises(DataError, match=r"the network was trained on times in ms, and these .* time_unit 'ms'"):
        predict(network, IN_S)
    wanted = scores_of(event_network, IN_S)
    assert scores_of(network, (TIMES, UNITS), time_unit="ms") == scores_of(network, IN_S, time_unit="s") == wanted
    assert scores_of(trained_on(event_network, "s"), IN_S) == wanted


def test_settings_that_an_input_does_not_have_are_refused(
    event_network: IntegerNetwork, sound_network: IntegerNetwork, tmp_path: Path
) -> None:
    frames = np.zeros((5, 20), np.uint8)
    np.save(tmp_path / "frames.npy", frames)
    data = EventData.from_samples([IN_S], [0], n_units=40, n_classes=4)
    for given in (frames, data, tmp_path / "frames.npy", [data, frames]):
        with pytest.raises(DataError, match="time_unit 'ms' is for HDF5 files of events and for events"):
            predict(event_network, given, time_unit="ms")
    for given in (data, IN_S, tmp_path / "frames.npy"):
        with pytest.raises(DataError, match="rate 16000 is for a sound that is given as an array"):
            predict(event_network, given, rate=16000)
    with pytest.raises(DataError, match=r"input 0: an array of shape \(1, 900\) with a rate; a sound is one channel"):
        predict(sound_network, np.zeros((1, 900)), rate=16000)


def test_sound_of_whole_numbers_is_refused(sound_network: IntegerNetwork, chirp) -> None:
    sound = chirp(16000, 0.5) / 32768
    whole = (sound * 32767).astype(np.int16)
    with pytest.raises(DataError, match=r"input 0: a sound holds int16 values.* divide samples of 16 bits by 32768"):
        predict(sound_network, whole, rate=16000)
    encoder = encoder_for(sound_network.encoding, 16000)
    with pytest.raises(DataError, match="sound holds int16 values"):
        encoder.push(whole)


@pytest.mark.parametrize("rate", [16000.0, "16000", 0, -1])
def test_a_rate_is_a_whole_number_that_recordings_have(rate: object, sound_network: IntegerNetwork) -> None:
    for use in (
        lambda: predict(sound_network, np.zeros(900), rate=rate),
        lambda: encoder_for(sound_network.encoding, rate),
    ):
        with pytest.raises(DataError, match="sampling rate"):
            use()


def test_sound_is_an_array_a_tensor_or_a_list(sound_network: IntegerNetwork, chirp) -> None:
    sound = chirp(16000, 0.2) / 32768
    wanted = scores_of(sound_network, sound, rate=16000)
    for form in (torch.from_numpy(sound), sound.tolist(), list(sound)):
        assert scores_of(sound_network, form, rate=np.int64(16000)) == wanted


def test_frames_are_whole_numbers_of_any_type(event_network: IntegerNetwork) -> None:
    frames = np.random.default_rng(0).integers(0, 4, (6, 20))
    wanted = scores_of(event_network, frames)
    tensor = torch.from_numpy(frames)
    for form in (frames.astype(np.float64), tensor.float().requires_grad_(), tensor.bfloat16(), tensor.tolist()):
        assert scores_of(event_network, form) == wanted
    for wrong, words in (
        (frames + 0.5, "input 0: it holds float64 values"),
        (frames + 4.0, "input 0: frames hold the value 7, the network's encoding admits 0..3"),
        (frames - 1.0, "input 0: frames hold the value -1"),
        (np.full((6, 20), np.inf), "input 0: frames hold the value inf"),
        ([[[0] * 20] * 2, [[0] * 20]], "input 0: a list holds lists of unequal lengths"),
    ):
        with pytest.raises(DataError, match=words):
            predict(event_network, wrong)
