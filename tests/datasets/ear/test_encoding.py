"""Folders of recordings to files of spikes."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import chirps
import h5py
import numpy as np
import pytest

from delaytool.contract.ear import Ear
from delaytool.contract.encoding import InputEncoding
from delaytool.datasets import (
    DataSpec,
    EventData,
    frames_of,
    load,
    load_every_part,
    load_for_evaluation,
    read_file,
    resolve_encoding,
)
from delaytool.datasets.ear import EarModel, ear_spikes, workers
from delaytool.datasets.ear.random_numbers import seed_of
from delaytool.datasets.ear.spike_file import describe_spike_file, write_spike_file
from delaytool.datasets.listings import list_recordings
from delaytool.datasets.recordings import NOBODY, Recording, read_sound
from delaytool.datasets.speech_commands import KEYWORDS, list_speech_commands
from delaytool.datasets.spoken_digits import list_spoken_digits
from delaytool.errors import DataError

pytest.importorskip("scipy")
MODEL = EarModel(n_channels=20)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chirps.speech_folder(tmp_path_factory.mktemp("speech"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DELAYTOOL_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


def encode(folder: Path, path: Path, part: str = "train", model: EarModel = MODEL, **options: object) -> None:
    listing = list_recordings(folder)
    assert listing is not None
    write_spike_file(path, listing, part, model, working=path.with_name("working"), **options)  # type: ignore[arg-type]


def test_a_file_has_shd_s_layout(folder: Path, tmp_path: Path) -> None:
    encode(folder, tmp_path / "train.h5")
    listing = list_speech_commands(folder)
    with h5py.File(tmp_path / "train.h5") as file:
        assert file["extra/keys"][()].tolist() == [b"bed", b"cat", b"dog", b"tree"]
        assert file["labels"][()].tolist() == [recording.label for recording in listing.parts["train"]]
        assert file["extra/speaker"][()].tolist() == [recording.speaker for recording in listing.parts["train"]]
        assert set(np.round(file["extra/duration"][()], 6)) == {1.0, np.float32(0.9)}
        assert file["extra/recording"][0] == b"bed/00000000_nohash_0.wav"
        assert json.loads(file.attrs["ear"])["n_channels"] == file.attrs["n_units"] == 20
        for index in (0, 7):
            recording = listing.parts["train"][index]
            sound, rate = read_sound(recording, None)
            name = recording.path.relative_to(folder).as_posix()
            times, units = ear_spikes(sound, rate, MODEL, seed_of(0, name, None))
            assert times.size > 50
            np.testing.assert_array_equal(file["spikes/times"][index], times)
            np.testing.assert_array_equal(file["spikes/units"][index], units)
    assert list(tmp_path.glob("working/*")) == []


def test_the_file_is_the_same_whatever_the_number_of_processes(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    for word in ("bed", "cat", "dog", "tree"):  # without lists: 24 recordings, two blocks
        (tmp_path / "all" / word).symlink_to(folder / word)
    encode(tmp_path / "all", tmp_path / "one.h5", "all")
    encode(tmp_path / "all", tmp_path / "two.h5", "all", processes=2)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()


def test_other_seeds_and_names_give_other_spikes(folder: Path, tmp_path: Path) -> None:
    encode(folder, tmp_path / "a.h5", "test")
    encode(folder, tmp_path / "b.h5", "test", seed=1)
    encode(folder, tmp_path / "c.h5", "test", EarModel(n_channels=20, causal=True))
    contents = {(tmp_path / name).read_bytes() for name in ("a.h5", "b.h5", "c.h5")}
    assert len(contents) == 3


def test_an_interrupted_call_goes_on(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encode(folder, tmp_path / "whole.h5")
    monkeypatch.setattr(workers, "BLOCK", 4)
    names: list[str] = []

    def read(recording: Recording, seconds: float | None) -> tuple[np.ndarray, int]:
        names.append(recording.path.name)
        return read_sound(recording, seconds)

    monkeypatch.setattr(workers, "read_sound", read)

    def stop(what: str, done: int, total: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(folder, tmp_path / "again.h5", progress=stop)
    assert not (tmp_path / "again.h5").exists()
    assert len(names) == 8
    calls: list[tuple[str, int, int]] = []
    encode(folder, tmp_path / "again.h5", progress=lambda *call: calls.append(call))
    assert len(names) == 16
    assert calls == [("spikes of train", done, 16) for done in (8, 12, 16)]
    assert (tmp_path / "again.h5").read_bytes() == (tmp_path / "whole.h5").read_bytes()


def test_a_changed_recording_is_encoded_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "BLOCK", 1)
    for word, tone in (("low", 300), ("high", 2000)):
        chirps.write_chirp(tmp_path / "words" / word / "a_nohash_0.wav", tone, tone, 0.2)

    def stop(what: str, done: int, total: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(tmp_path / "words", tmp_path / "a.h5", "all", progress=stop)
    chirps.write_chirp(tmp_path / "words" / "high" / "a_nohash_0.wav", 100, 100, 0.25)
    encode(tmp_path / "words", tmp_path / "a.h5", "all")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["extra/duration"][()].tolist() == [0.25, np.float32(0.2)]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_recording_that_cannot_be_read_is_named(folder: Path, tmp_path: Path, processes: int) -> None:
    (tmp_path / "words").mkdir()
    for word in ("bed", "cat", "dog", "tree"):
        (tmp_path / "words" / word).symlink_to(folder / word)
    (tmp_path / "words" / "word").mkdir()
    (tmp_path / "words" / "word" / "broken_nohash_0.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match=r"broken_nohash_0\.wav: cannot be read"):
        encode(tmp_path / "words", tmp_path / "a.h5", "all", processes=processes)
    assert not (tmp_path / "a.h5").exists()


def test_a_rate_that_is_too_low_is_named(tmp_path: Path) -> None:
    for word in ("low", "high"):
        chirps.write_chirp(tmp_path / "words" / word / "a_nohash_0.wav", 300, 400, 0.2, rate=4000)
    with pytest.raises(DataError, match=r"a_nohash_0\.wav: a recording at 4000 Hz is below the 8000 Hz"):
        encode(tmp_path / "words", tmp_path / "a.h5", "all")


def test_data_ear_reads_recordings_as_spikes_and_keeps_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = DataSpec(str(folder), ear=True, n_units=20)
    splits = load(spec)
    encode(folder, tmp_path / "train.h5")
    kept = load_for_evaluation(DataSpec(str(tmp_path / "train.h5")))
    assert isinstance(splits.train, EventData)
    assert isinstance(kept, EventData)
    np.testing.assert_array_equal(splits.train.times, kept.times)
    np.testing.assert_array_equal(splits.train.units, kept.units)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (16, 4, 4)
    assert splits.train.class_names == ("bed", "cat", "dog", "tree")

    def read(*arguments: object) -> None:
        raise AssertionError("encoded again")

    monkeypatch.setattr(workers, "read_sound", read)
    again = load_for_evaluation(spec, "test")
    assert isinstance(again, EventData)
    assert isinstance(splits.test, EventData)
    np.testing.assert_array_equal(again.times, splits.test.times)
    with pytest.raises(AssertionError, match="encoded again"):
        load(DataSpec(str(folder), ear="causal", n_units=20))


def test_warnings_about_the_folder_stay_with_its_spikes(tmp_path: Path) -> None:
    for word in ("bed", "cat"):
        chirps.write_chirp(tmp_path / "words" / word / "a_nohash_0.wav", 300, 400, 0.05)
    (tmp_path / "words" / "maybe").mkdir()
    (data,) = load_every_part(DataSpec(str(tmp_path / "words"), ear=True, n_units=20))
    assert any("no class is made of maybe" in warning for warning in data.warnings)


def test_a_file_that_another_process_has_made_meanwhile_is_taken(folder: Path, tmp_path: Path) -> None:
    encode(folder, tmp_path / "first.h5")
    content = (tmp_path / "first.h5").read_bytes()

    def overtake(what: str, done: int, total: int) -> None:
        if done == total:
            (tmp_path / "train.h5").write_bytes(content)
            shutil.rmtree(tmp_path / "working")

    encode(folder, tmp_path / "train.h5", progress=overtake)
    assert (tmp_path / "train.h5").read_bytes() == content


def test_stretches_of_noise_are_no_speakers(tmp_path: Path) -> None:
    for word in (*KEYWORDS, "bed"):
        for speaker in range(3):
            chirps.write_chirp(tmp_path / "words" / word / f"{speaker}_nohash_0.wav", 300, 400, 0.05)
    chirps.write_chirp(tmp_path / "words" / "_background_noise_" / "hum.wav", 50, 60, 1.5)
    listing = list_recordings(tmp_path / "words", 12)
    assert listing is not None
    write_spike_file(tmp_path / "a.h5", listing, "all", MODEL, working=tmp_path / "working")
    assert "36 recordings, 12 classes, 3 speakers" in describe_spike_file(tmp_path / "a.h5")
    splits = load(DataSpec(str(tmp_path / "a.h5"), split_by="speaker", test_fraction=0.34, validation_fraction=0.5))
    assert str(NOBODY)[:6] not in splits.description


def test_without_lists_the_test_part_is_other_speakers(tmp_path: Path) -> None:
    for word, tone in (("low", 300), ("high", 2000)):
        for speaker in range(6):
            chirps.write_chirp(tmp_path / "words" / word / f"{speaker}_nohash_0.wav", tone, tone, 0.05)
    encode(tmp_path / "words", tmp_path / "a.h5", "all")
    for source, ear in ((tmp_path / "words", True), (tmp_path / "a.h5", False)):
        splits = load(DataSpec(str(source), ear=ear, n_units=20))
        speakers = [set(np.asarray(part.speakers)) for part in (splits.train, splits.validation, splits.test)]
        assert sum(len(some) for some in speakers) == len(set().union(*speakers)) == 6


def test_the_ear_is_for_recordings(tmp_path: Path, folder: Path) -> None:
    encode(folder, tmp_path / "a.h5", "test")
    with h5py.File(tmp_path / "a.h5") as file, h5py.File(tmp_path / "b.h5", "w") as other:
        for name in file:
            file.copy(name, other)
    for source in ("digits", str(tmp_path / "b.h5")):
        for read in (load, load_for_evaluation):
            with pytest.raises(DataError, match=r"data\.ear is for recordings and for spikes"):
                read(DataSpec(source, ear=True))
    data = load_for_evaluation(DataSpec(str(tmp_path / "a.h5"), ear=True))
    assert isinstance(data, EventData)
    assert data.ear is not None
    assert (data.ear.model, data.ear.sample_rate) == (MODEL, 16000)
    with pytest.raises(DataError, match=r"the whole ear.*encode the recordings again with --causal"):
        load_for_evaluation(DataSpec(str(tmp_path / "a.h5"), ear="causal"))
    resolved = resolve_encoding(InputEncoding(20), data)
    assert resolved.ear == data.ear
    with pytest.raises(DataError, match=r"those of the whole ear, the encoding is of the causal one.*with --causal"):
        frames_of(data, replace(resolved, ear=Ear(EarModel(n_channels=20, causal=True))))
    with pytest.raises(DataError, match=r"an ear with decay 3, the encoding is of one with 2\.5"):
        frames_of(data, replace(resolved, ear=Ear(EarModel(n_channels=20, decay=2.5))))
    with pytest.raises(DataError, match=r"it states 20 units, and 700 are to be read; leave out data.n_units"):
        load_for_evaluation(DataSpec(str(tmp_path / "a.h5"), n_units=700))
    with pytest.raises(DataError, match=r"data\.mel and data\.ear"):
        load(DataSpec(str(folder), ear=True, mel="hd"))
    with pytest.raises(DataError, match="'loud' is unknown"):
        DataSpec(str(folder), ear="loud")


def test_the_attribute_of_a_file_states_its_ear(tmp_path: Path, folder: Path) -> None:
    encode(folder, tmp_path / "a.h5", "test")

    def read_with(**changes: object) -> Ear | None:
        with h5py.File(tmp_path / "a.h5", "a") as file:
            stated = {**json.loads(file.attrs["ear"]), **changes}
            file.attrs["ear"] = json.dumps({name: value for name, value in stated.items() if value != "left out"})
        return read_file(tmp_path / "a.h5").ear

    assert read_with() == Ear(MODEL, 16000)
    assert read_with(sample_rate="left out") == Ear(MODEL, None)  # as earlier versions wrote it
    with pytest.raises(DataError, match=r"a\.h5: its attribute ear is none that.*version 2 is unknown"):
        read_with(version=2)
    with pytest.raises(DataError, match="'cochlea' is unknown"):
        read_with(version=1, cochlea=3)
    assert read_with(seed="left out") is None  # another program's


def test_recordings_of_several_rates_have_no_rate(tmp_path: Path) -> None:
    for word, rate in (("low", 8000), ("high", 16000)):
        chirps.write_chirp(tmp_path / "words" / word / "a_nohash_0.wav", 300, 400, 0.1, rate=rate)
    encode(tmp_path / "words", tmp_path / "a.h5", "all")
    assert read_file(tmp_path / "a.h5").ear == Ear(MODEL, None)


def test_ten_classes_are_the_ten_keywords(tmp_path: Path) -> None:
    for word in (*KEYWORDS, "bed"):
        path = tmp_path / word / "ab_nohash_0.wav"
        path.parent.mkdir()
        path.touch()
    listing = list_speech_commands(tmp_path, 10)
    assert listing.class_names == tuple(sorted(KEYWORDS))
    assert [recording.path.parent.name for recording in listing.parts["all"]] == sorted(KEYWORDS)
    with pytest.raises(DataError, match="9 classes"):
        list_speech_commands(tmp_path, 9)


def test_recordings_without_speakers_in_their_names_have_none(tmp_path: Path) -> None:
    for word in ("bed", "cat"):
        for name in ("one.wav", "two_nohash_0.wav"):
            path = tmp_path / word / name
            path.parent.mkdir(exist_ok=True)
            path.touch()
    assert {recording.speaker for recording in list_speech_commands(tmp_path).parts["all"]} == {None}


def test_spoken_digits_have_their_labels_and_speakers_in_their_names(tmp_path: Path) -> None:
    for speaker in ("theo", "jackson"):
        for digit in range(10):
            for number in (0, 4, 5, 49):
                (tmp_path / f"{digit}_{speaker}_{number}.wav").touch()
    listing = list_recordings(tmp_path)
    assert listing is not None
    assert {part: len(some) for part, some in listing.parts.items()} == {"train": 40, "test": 40}
    for part, numbers in (("train", {5, 49}), ("test", {0, 4})):
        for recording in listing.parts[part]:
            digit, speaker, number = recording.path.stem.split("_")
            assert (int(digit), ["jackson", "theo"].index(speaker)) == (recording.label, recording.speaker)
            assert int(number) in numbers
    assert list_spoken_digits(tmp_path).class_names == tuple("0123456789")
    assert list_recordings(tmp_path, 10) == listing
    with pytest.raises(DataError, match=r"12 classes were asked for, it has 10; set data\.classes=none"):
        list_recordings(tmp_path, 12)
