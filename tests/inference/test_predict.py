"""Whatever a sample is given as, the frames are those that training would have made of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from inference_networks import NAMES

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import Readout
from delaytool.datasets.binner import bin_events
from delaytool.datasets.events import EventData
from delaytool.datasets.graded import quantize_rows
from delaytool.datasets.mel import mel_frames
from delaytool.errors import DataError
from delaytool.experiments.evaluated_samples import SampleChoice, load_samples
from delaytool.inference.predict import inputs_listed, predict
from delaytool.runtime import reference
from delaytool.runtime.decode import decode


def event_file(path: Path, n_samples: int = 5) -> EventData:
    rng = np.random.default_rng(3)
    samples = [
        (np.sort(rng.uniform(0, 0.25, 80)).astype(np.float32), rng.integers(0, 40, 80)) for _ in range(n_samples)
    ]
    labels = np.arange(n_samples) % 4
    with h5py.File(path, "w") as file:
        file["labels"] = labels
        for name, dtype, at in (("times", np.float32, 0), ("units", np.int32, 1)):
            file.create_dataset(f"spikes/{name}", (n_samples,), dtype=h5py.vlen_dtype(dtype))
            for index, sample in enumerate(samples):
                file[f"spikes/{name}"][index] = sample[at].astype(dtype)
    return EventData.from_samples(samples, labels, n_units=40, n_classes=4)


def test_events_of_a_file_and_of_arrays(event_network, tmp_path: Path) -> None:
    data = event_file(tmp_path / "events.h5")
    frames = bin_events(data, event_network.encoding)
    labels, scores = decode(event_network, reference.run(event_network, frames).readout)
    found = predict(event_network, tmp_path / "events.h5")
    assert [one.label for one in found] == labels.tolist()
    assert [one.class_name for one in found] == [NAMES[label] for label in labels]
    assert [one.true_label for one in found] == data.labels.tolist()
    np.testing.assert_array_equal([one.scores for one in found], scores)
    assert [one.sample for one in predict(event_network, str(tmp_path / "events.h5"), samples=[3, 1])] == [3, 1]
    one = predict(event_network, data.sample(2))[0]
    np.testing.assert_array_equal(one.scores, scores[2])
    assert one.true_label is None
    np.testing.assert_array_equal([one.scores for one in predict(event_network, data)], scores)
    for form in (frames, frames.tolist(), frames.astype(np.int64)):
        np.testing.assert_array_equal([one.scores for one in predict(event_network, form)], scores)
    np.testing.assert_array_equal(predict(event_network, [frames[1], frames[4]])[1].scores, scores[4])
    np.save(tmp_path / "frames.npy", frames)
    several = predict(event_network, [tmp_path / "frames.npy", tmp_path / "events.h5"])
    assert [one.source for one in several] == [str(tmp_path / "frames.npy")] * 5 + [str(tmp_path / "events.h5")] * 5


def test_a_file_that_names_more_classes_is_numbered_as_the_network_numbers_them(event_network, tmp_path: Path) -> None:
    event_file(tmp_path / "events.h5")
    with h5py.File(tmp_path / "events.h5", "r+") as file:
        file["extra/keys"] = np.array([name.encode() for name in (*NAMES[::-1], "another")])
    found = predict(event_network, tmp_path / "events.h5")
    assert [one.true_label for one in found] == [3, 2, 1, 0, 3]
    with h5py.File(tmp_path / "events.h5", "r+") as file:
        file["labels"][...] = 4
    with pytest.raises(DataError, match="its class 'another' is none of the network's"):
        predict(event_network, tmp_path / "events.h5")


def test_the_margin_is_the_lead_per_step(event_network) -> None:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 4, (1, 30, 20)).astype(np.uint8)
    for method, unit in (("softmax-sum", 1.0), ("sum", 2.0)):
        network = replace(event_network, readout=Readout(method, 2.0, 3, 43))
        (one,) = predict(network, frames)
        first, second = np.sort(one.scores)[:-3:-1]
        assert one.margin == pytest.approx((first - second) / (40 * unit), rel=1e-12)
        assert one.scores[one.label] == first
        assert set(one.as_dict(network)["scores"]) == set(NAMES)


def test_a_recording_is_quantized_as_trained(sound_network, chirp, tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    encoding = sound_network.encoding
    for rate, seconds in ((8000, 0.5), (8000, 0.2), (16000, 0.9)):
        sound = chirp(rate, seconds)
        path = tmp_path / f"{rate}-{seconds}.wav"
        soundfile.write(str(path), sound, rate)
        rows = mel_frames(sound / 32768, rate, encoding.mel, 10.0)
        frames = quantize_rows(rows, encoding)[None]
        _, scores = decode(sound_network, reference.run(sound_network, frames).readout)
        (found,) = predict(sound_network, path)
        np.testing.assert_array_equal(found.scores, scores[0])
        assert len(found.notes) == (seconds > 0.5)
        np.testing.assert_array_equal(predict(sound_network, sound / 32768, rate=rate)[0].scores, scores[0])
        # Decibels as real numbers, which only the encoding makes integers of.
        np.testing.assert_array_equal(predict(sound_network, rows.astype(np.float32))[0].scores, scores[0])
        np.testing.assert_array_equal(predict(sound_network, np.stack([rows, rows]))[1].scores, scores[0])


def test_frames_past_the_sample_are_cut_whatever_they_are_given_as(
    event_network, sound_network, tmp_path: Path
) -> None:
    rng = np.random.default_rng(5)
    for network in (event_network, sound_network):
        encoding = network.encoding
        n_steps = encoding.n_steps
        # Some more than the sample, all that the network runs, and more than that.
        for more in (2, network.n_steps - n_steps, 40):
            frames = rng.integers(0, encoding.max_payload + 1, (2, n_steps + more, encoding.n_channels))
            silent = frames.copy()
            silent[:, n_steps:] = 0
            _, scores = decode(network, reference.run(network, silent).readout)
            assert not np.array_equal(scores, decode(network, reference.run(network, frames).readout)[1])
            np.save(tmp_path / "frames.npy", frames)
            given = [frames, tmp_path / "frames.npy"]
            if encoding.values == "graded":
                given.append(encoding.offset + encoding.scale * frames)
            for one in given:
                found = predict(network, [one])
                np.testing.assert_array_equal([part.scores for part in found], scores)
                note = f"has {n_steps + more} steps, of which the network's sample takes the first {n_steps}"
                assert [part.notes for part in found] == [(note,)] * 2
            assert [part.notes for part in predict(network, silent)] == [()] * 2


def test_tensors_are_taken(event_network) -> None:
    torch = pytest.importorskip("torch")
    frames = torch.randint(0, 4, (2, 30, 20), dtype=torch.uint8)
    found, expected = predict(event_network, frames), predict(event_network, frames.numpy())
    np.testing.assert_array_equal([one.scores for one in found], [one.scores for one in expected])


@pytest.mark.parametrize("kind", [list, np.array])
def test_samples_are_chosen_by_number_or_by_a_mask(kind, event_network, tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 4, (5, 30, 20)).astype(np.uint8)

    def chosen(samples: object) -> list[int]:
        return [one.sample for one in predict(event_network, frames, samples=samples)]

    assert chosen(kind([False, False, False, True, True])) == [3, 4]
    assert chosen(kind([4, 0, 0])) == [4, 0, 0]
    assert chosen(range(2)) == [0, 1]
    for samples, words in (
        (kind([True, False]), "samples is a mask of 2 truth values for 5 samples; give one for each"),
        (kind([1.5]), r"is no list of sample numbers; give whole numbers, such as \[0, 3\], or a mask"),
        (3, "samples 3 is no list of sample numbers"),
        (kind([[0, 1]]), "is no list of sample numbers"),
        ("01", "samples '01' is no list of sample numbers"),
        (kind([-1]), r"sample -1 is outside 0\.\.4"),
    ):
        with pytest.raises(DataError, match=words):
            chosen(samples)


def test_one_input_or_several() -> None:
    assert inputs_listed("a.wav") == ["a.wav"]
    assert inputs_listed(["a.wav", "b.wav"]) == ["a.wav", "b.wav"]
    assert inputs_listed([[0, 1], [1, 0]]) == [[[0, 1], [1, 0]]]
    assert len(inputs_listed([np.zeros((2, 2)), np.zeros((2, 2))])) == 2


def test_what_the_network_does_not_read_is_refused(event_network, sound_network, tmp_path: Path) -> None:
    event_file(tmp_path / "events.h5")
    (tmp_path / "a.txt").write_text("")
    (tmp_path / "b.npy").write_bytes(b"no array")
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    np.save(tmp_path / "wide.npy", np.zeros((30, 21), np.uint8))
    np.save(tmp_path / "high.npy", np.full((30, 20), 4, np.uint8))
    np.save(tmp_path / "float.npy", np.full((30, 20), 0.5))
    np.save(tmp_path / "nan.npy", np.full((30, 20), np.nan))
    (tmp_path / "c.wav").write_bytes(b"")
    for network, given, words in (
        (event_network, "gone.h5", "no such file"),
        (event_network, ".", "this is a folder"),
        (event_network, "a.txt", r"\*\.txt is nothing that is read here"),
        (event_network, "b.npy", "cannot be read as a NumPy array"),
        (event_network, "object.npy", "cannot be read as a NumPy array"),
        (event_network, "wide.npy", r"shape \(30, 21\); the network reads frames \(time, 20\)"),
        (event_network, "high.npy", "the value 4, the network's encoding admits 0..3"),
        (event_network, "float.npy", "float64 values, the network reads integers 0..3"),
        (event_network, "c.wav", "a recording, but the network reads events of 40 units"),
        (sound_network, "events.h5", "events, but the network reads recordings"),
        (sound_network, "nan.npy", "not finite"),
    ):
        with pytest.raises(DataError, match=words):
            predict(network, tmp_path / given)
    with pytest.raises(DataError, match=r"sample 5 is outside 0\.\.4"):
        predict(event_network, tmp_path / "events.h5", samples=[5])
    with pytest.raises(DataError, match="input 0: a recording"):
        predict(event_network, np.zeros(100), rate=8000)
    with pytest.raises(DataError, match="input 1: sample 0: unit 40 is outside"):
        predict(event_network, [([0.0], [1]), ([0.0], [40])])
    other = replace(
        sound_network, encoding=InputEncoding(20, values="graded", input_bits=4, offset=0.0, scale=1.0, n_steps=51)
    )
    with pytest.raises(DataError, match="events, but the network reads 20 real numbers per step"):
        predict(other, ([0.0], [1]))


def test_the_class_of_a_label_is_that_of_its_name_when_predicting_and_verifying(event_network, tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    numbers = event_file(path).labels
    with h5py.File(path, "a") as file:
        file["extra/keys"] = np.array([name.encode() for name in reversed(NAMES)])
    wanted = [3 - number for number in numbers]
    assert [one.true_label for one in predict(event_network, path)] == wanted
    assert load_samples(event_network, path, SampleChoice(str(path))).labels.tolist() == wanted


def test_real_numbers_are_quantized_in_32_bits(sound_network) -> None:
    encoding = InputEncoding(20, values="graded", input_bits=4, offset=30_000.0, scale=0.5, n_steps=51)
    network = replace(sound_network, encoding=encoding)
    integers = np.random.default_rng(0).integers(0, 16, (2, 51, 20)).astype(np.uint8)
    wanted = [one.scores for one in predict(network, integers)]
    np.testing.assert_array_equal([one.scores for one in predict(network, 30_000 + 0.5 * integers)], wanted)
