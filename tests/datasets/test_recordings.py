"""Folders of recordings: what is a sample of what, and frames that are made once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chirps import WORDS, write_chirp

from delaytool.datasets import DataSpec, FrameData, frame_cache, load, load_every_part, load_for_evaluation
from delaytool.datasets.heidelberg import CLASS_NAMES, list_heidelberg
from delaytool.datasets.mel import MELS, mel_frames
from delaytool.datasets.recordings import NOBODY, Recording, known_speakers, read_sound
from delaytool.datasets.speech_commands import KEYWORDS, TWELVE, list_speech_commands
from delaytool.errors import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DELAYTOOL_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The recordings that are read, by name."""
    names: list[str] = []

    def read(recording: Recording, seconds: float | None) -> tuple[np.ndarray, int]:
        names.append(recording.path.name)
        return read_sound(recording, seconds)

    monkeypatch.setattr(frame_cache, "read_sound", read)
    return names


def twelve_folder(folder: Path) -> Path:
    """20 recordings of each of the ten words, 40 of two others, in three parts by lists; empty files but for noise."""
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    for word in (*KEYWORDS, "bed", "cat"):
        for speaker in range(20):
            path = folder / word / f"{speaker:08x}_nohash_0.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            if speaker < 4:
                lists["validation_list.txt" if speaker < 2 else "testing_list.txt"].append(f"{word}/{path.name}")
    (folder / "_background_noise_").mkdir()
    (folder / "_background_noise_" / "hum.wav").touch()
    for file, names in lists.items():
        (folder / file).write_text("\n".join(names))
    return folder


def test_the_official_lists_make_the_parts(speech_folder: Path) -> None:
    listing = list_speech_commands(speech_folder)
    assert listing.class_names == tuple(sorted(WORDS))
    assert {part: len(some) for part, some in listing.parts.items()} == {"train": 16, "validation": 4, "test": 4}
    for part, speakers in (("train", {0, 1, 2, 3}), ("validation", {4}), ("test", {5})):
        assert {recording.speaker for recording in listing.parts[part]} == speakers
        for recording in listing.parts[part]:
            assert listing.class_names[recording.label] == recording.path.parent.name
    assert list_speech_commands(speech_folder, 4).parts == listing.parts


def test_twelve_classes_are_ten_words_others_and_silence(tmp_path: Path) -> None:
    listing = list_speech_commands(twelve_folder(tmp_path), 12)
    assert listing.class_names == TWELVE
    for part, count in (("train", 160), ("validation", 20), ("test", 20)):
        recordings = listing.parts[part]
        labels = np.bincount([recording.label for recording in recordings], minlength=12)
        assert labels.tolist() == [-(-count // 10)] * 2 + [count // 10] * 10
        for recording in recordings:
            word, name = recording.path.parent.name, TWELVE[recording.label]
            assert word == {"_silence_": "_background_noise_"}.get(name, word)
            assert (name == "_unknown_") == (word in ("bed", "cat"))
            assert (recording.excerpt is not None) == (name == "_silence_")
    assert list_speech_commands(tmp_path, 12).parts == listing.parts


def test_silence_is_a_stretch_of_the_noise_at_its_volume(tmp_path: Path) -> None:
    write_chirp(tmp_path / "noise.wav", 100, 200, 3.0, 8000)
    whole, rate = read_sound(Recording(tmp_path / "noise.wav", 0, 0), 1.0)
    assert (whole.size, rate) == (24000, 8000)
    part, _ = read_sound(Recording(tmp_path / "noise.wav", 0, 0, (0.5, 0.25)), 1.0)
    assert np.array_equal(part, 0.25 * whole[8000:16000])
    with pytest.raises(DataError, match=r"3\.00 s of background noise are shorter than a sample, 4 s"):
        read_sound(Recording(tmp_path / "noise.wav", 0, 0, (0.5, 0.25)), 4.0)


def test_silence_is_a_second_where_samples_have_no_length(tmp_path: Path) -> None:
    for word in (*KEYWORDS, "bed"):
        for speaker in range(2):
            write_chirp(tmp_path / word / f"{speaker}_nohash_0.wav", 300, 400, 0.1)
    write_chirp(tmp_path / "_background_noise_" / "hum.wav", 50, 3000, 3.0)
    (data,) = load_every_part(DataSpec(tmp_path, classes=12, mel="hd"))
    silence = np.flatnonzero(data.labels == 0)
    assert data.steps[silence].tolist() == [101, 101]
    assert data.steps[data.labels > 0].tolist() == [11] * 22
    assert not np.array_equal(data.sample(silence[0]), data.sample(silence[1]))


def test_folders_that_are_no_classes_are_named(tmp_path: Path) -> None:
    for word in ("yes", "no", "_silence_", "_background_noise_"):
        (tmp_path / word).mkdir()
        (tmp_path / word / "a_nohash_0.wav").touch()
    (tmp_path / "maybe").mkdir()
    listing = list_speech_commands(tmp_path)
    assert listing.class_names == ("no", "yes")
    empty, special = listing.warnings
    assert "no class is made of maybe: no .wav" in empty
    assert "no class is made of _silence_: folders whose names begin with _" in special


@pytest.mark.parametrize("classes", [10, 12])
def test_a_part_without_any_of_the_ten_words_is_refused(tmp_path: Path, classes: int) -> None:
    twelve_folder(tmp_path)
    (tmp_path / "testing_list.txt").write_text("bed/00000002_nohash_0.wav\ncat/00000002_nohash_0.wav\n")
    with pytest.raises(DataError, match="the test part has no recording of the words"):
        list_speech_commands(tmp_path, classes)


def test_frames_are_the_recordings_in_the_listed_order(speech_folder: Path) -> None:
    splits = load(speech_folder)
    listing = list_speech_commands(speech_folder)
    mel = MELS["gsc-paper"]
    for part in ("train", "validation", "test"):
        data = getattr(splits, part)
        assert isinstance(data, FrameData)
        assert (data.n_units, data.n_classes, data.class_names, data.mel) == (140, 4, tuple(sorted(WORDS)), mel)
        assert data.steps.tolist() == [101] * len(data)
        for index, recording in enumerate(listing.parts[part]):
            sound, rate = read_sound(recording, None)
            assert np.array_equal(data.sample(index), mel_frames(sound, rate, mel, 10.0))
            assert data.labels[index] == recording.label
    assert splits.description == "validation: validation (4 samples); test: test (4 samples)"


def test_one_part_is_read_alone_and_is_the_same(speech_folder: Path, counted: list[str]) -> None:
    alone = load_for_evaluation(speech_folder, "test", n_classes=4)
    assert len(counted) == 4
    whole = load(speech_folder).test
    assert np.array_equal(alone.values, whole.values)
    assert np.array_equal(alone.labels, whole.labels)
    with pytest.raises(DataError, match="its 4 classes are more than the network's 3"):
        load_for_evaluation(speech_folder, "test", n_classes=3)


def test_without_lists_test_and_validation_are_other_speakers(heidelberg_folder: Path) -> None:
    splits = load(DataSpec(heidelberg_folder, validation_fraction=0.3, test_fraction=0.25))
    parts = (splits.train, splits.validation, splits.test)
    assert sum(map(len, parts)) == 16
    speakers = [set(part.speakers.tolist()) for part in parts]
    assert sorted(speaker for part in speakers for speaker in part) == [0, 1, 2, 3]
    assert "test: speaker" in splits.description
    alone = load_for_evaluation(DataSpec(heidelberg_folder, test_fraction=0.25, validation_fraction=0.3))
    assert np.array_equal(alone.labels, splits.test.labels)
    drawn = load(DataSpec(heidelberg_folder, split_by="stratified", test_fraction=0.25))
    assert "drawn class by class" in drawn.description


def test_heidelberg_names_and_lists(heidelberg_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hd"
    shutil.copytree(heidelberg_folder, folder)
    names = [path.name for path in sorted((folder / "audio").iterdir())]
    (folder / "test_filenames.txt").write_text("\n".join(name for name in names if "speaker-03" in name))
    (folder / "train_filenames.txt").write_text("\n".join(name for name in names if "speaker-03" not in name))
    listing = list_heidelberg(folder)
    assert listing.class_names == CLASS_NAMES
    assert {part: len(some) for part, some in listing.parts.items()} == {"train": 12, "test": 4}
    for recording in listing.parts["test"]:
        german = "german" in recording.path.name
        assert recording.speaker == 3
        assert (
            listing.class_names[recording.label]
            == (("zero", "one"), ("null", "eins"))[german][int(recording.path.stem[-1])]
        )
    data = load(folder).test
    assert (data.n_units, data.n_classes) == (40, 20)
    assert set(data.steps.tolist()) == {46}  # 0.45 s
    with open(folder / "train_filenames.txt", "a") as file:
        file.write(f"\n{names[-1]}")
    with pytest.raises(DataError, match=rf"{names[-1]} is in both train_filenames.txt and test_filenames.txt"):
        load(folder)
    (folder / "train_filenames.txt").unlink()
    with pytest.raises(DataError, match=r"no train_filenames.txt, though the other list is there"):
        load(folder)


def test_frames_are_made_once(speech_folder: Path, counted: list[str], cache: Path) -> None:
    first = load(speech_folder).train
    calls: list[tuple[str, int, int]] = []
    again = load(speech_folder, progress=lambda *news: calls.append(news)).train
    assert len(counted) == 24
    assert not calls
    assert np.array_equal(first.values, again.values)
    assert {path.name for path in cache.rglob("*") if path.is_file()} == {"values.npy", "steps.npy", "seconds.npy"}
    load(DataSpec(speech_folder, mel="gsc-corrected"), progress=lambda *news: calls.append(news))
    assert len(counted) == 48
    assert calls[-1] == ("frames of test", 4, 4)
    assert {what for what, _, _ in calls} == {"frames of train", "frames of validation", "frames of test"}


def test_a_changed_recording_is_made_anew(speech_folder: Path, tmp_path: Path, counted: list[str]) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(speech_folder, folder)
    load(folder)
    path = folder / "bed" / "00000000_nohash_0.wav"
    os.utime(path, (1, 1))
    load(folder)
    assert len(counted) == 24 + 16  # the training part alone


def test_an_interrupted_making_goes_on_to_the_same_frames(
    speech_folder: Path, counted: list[str], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_cache, "BLOCK", 3)
    reading = frame_cache.read_sound

    def interrupted(recording: Recording, seconds: float | None) -> Any:
        if len(counted) == 8:
            raise KeyboardInterrupt
        return reading(recording, seconds)

    with monkeypatch.context() as patched:
        patched.setattr(frame_cache, "read_sound", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(speech_folder)
    assert sorted(path.name for path in cache.rglob("*.np*")) == ["block-0000000.npz", "block-0000003.npz"]
    counted.clear()
    resumed = load(speech_folder).train
    assert len(counted) == 24 - 6
    monkeypatch.setenv("DELAYTOOL_DATA", str(cache / "other"))
    monkeypatch.setattr(frame_cache, "BLOCK", 100)
    whole = load(speech_folder).train
    assert np.array_equal(resumed.values, whole.values)
    assert np.array_equal(resumed.starts, whole.starts)


def test_n_units_and_the_time_step_are_the_frames_own(heidelberg_folder: Path) -> None:
    data = load(DataSpec(heidelberg_folder, n_units=16, time_step_ms=5.0)).train
    assert data.n_units == 16
    assert data.mel.n_mels == 16
    assert data.steps.max() > 60


def test_a_folder_named_like_a_preset_s_recordings_is_given_as_a_path(
    speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gsc").symlink_to(speech_folder, target_is_directory=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"gsc: .* for the folder of that name write \./gsc"):
        load(DataSpec("gsc"))
    assert load(DataSpec("./gsc")).train.class_names == load(DataSpec(speech_folder)).train.class_names


def test_errors_name_what_is_wrong(speech_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(expected: str, folder: Path | str, **reading: Any) -> None:
        with pytest.raises(DataError, match=expected):
            load(DataSpec(folder, **reading))

    refused("its recordings are not here; give the folder of Speech Commands", "gsc")
    refused("12 classes need the ten words yes, no, .* there is no yes", speech_folder, classes=12)
    refused("5 classes were asked for, there are 4 words; .* or data.classes=none", speech_folder, classes=5)
    refused("'mel' is unknown; choose one of gsc-paper, gsc-corrected, hd", speech_folder, mel="mel")
    ten = twelve_folder(tmp_path / "ten")
    for word in ("bed", "cat"):
        shutil.rmtree(ten / word)
    refused("the train part has no words besides the ten for _unknown_", ten, classes=12)
    (ten / "testing_list.txt").write_text("")
    refused(r"an empty test part, no recording of testing_list.txt is there", ten)
    (ten / "testing_list.txt").unlink()
    refused(r"no testing_list.txt, though the other list is there", ten)
    (ten / "validation_list.txt").unlink()
    refused(r"nohash_0.wav: cannot be read as a recording", ten)
    named = tmp_path / "named"
    write_chirp(named / "lang-french_speaker-01_trial-0_digit-1.wav", 100, 200, 0.1)
    refused("not a name of the Heidelberg Digits, such as lang-german", named)
    (tmp_path / "empty").mkdir()
    refused("no train file", tmp_path / "empty")
    (tmp_path / "file").touch()
    monkeypatch.setenv("DELAYTOOL_DATA", str(tmp_path / "file"))
    refused("cannot be kept there .* set DELAYTOOL_DATA to a folder with room", speech_folder)


def test_damaged_frames_are_refused(speech_folder: Path, cache: Path) -> None:
    load(speech_folder)

    def refused() -> None:
        with pytest.raises(DataError, match="the frames kept there are damaged; delete the folder"):
            load(speech_folder)

    for content in (b"nonsense", b""):
        for path in cache.rglob("values.npy"):
            path.write_bytes(content)
        refused()
    for path in cache.rglob("steps.npy"):
        path.unlink()
    refused()


def test_stretches_of_noise_are_no_speakers_and_large_numbers_are() -> None:
    given = np.array([1 << 41, 7, NOBODY, NOBODY + 5000, 7])
    assert known_speakers(given).tolist() == [7, 1 << 41]
