from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from delaytool.datasets import DataSpec, EventData, load, load_for_evaluation
from delaytool.errors import DataError

Writer = Callable[..., Path]


def same(one: EventData, other: EventData) -> bool:
    return all(
        np.array_equal(getattr(one, key), getattr(other, key)) for key in ("times", "units", "offsets", "labels")
    )


def test_no_heavy_imports() -> None:
    code = "import sys, delaytool.datasets; print(sorted({'torch', 'sklearn', 'tonic'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_folder_with_all_three(write: Writer, tmp_path: Path) -> None:
    for split, count in (("train", 40), ("valid", 20), ("test", 24)):
        write(f"{split}.h5", n_samples=count)
    splits = load(tmp_path)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [40, 20, 24]
    assert splits.description == "validation: valid.h5 (20 samples); test: test.h5 (24 samples)"
    for name in ("train", "validation", "test"):
        assert same(load_for_evaluation(tmp_path, name), getattr(splits, name))


def test_folder_without_validation(write: Writer, tmp_path: Path) -> None:
    write("shd_train.h5")
    write("shd_test.h5", n_samples=24)
    splits = load(DataSpec(str(tmp_path), seed=1, validation_fraction=0.4))
    assert splits.validation.speakers is not None
    one, two = sorted(set(splits.validation.speakers.tolist()))
    assert splits.description == (
        f"validation: speakers {one} and {two} of shd_train.h5 (16 of 40 samples); test: shd_test.h5 (24 samples)"
    )
    for name in ("train", "validation", "test"):
        part = load_for_evaluation(DataSpec(tmp_path, seed=1, validation_fraction=0.4), name)
        assert same(part, getattr(splits, name))


def test_a_speaker_is_held_out_as_validation_and_the_test_part_stays(write: Writer, tmp_path: Path) -> None:
    write("shd_train.h5")
    write("shd_test.h5", n_samples=24)
    folds = [load(DataSpec(tmp_path, held_out_speaker=speaker)) for speaker in range(5)]
    for speaker, splits in enumerate(folds):
        assert splits.description == (
            f"validation: speaker {speaker} of shd_train.h5, held out (8 of 40 samples); test: shd_test.h5 (24 samples)"
        )
        assert set(splits.validation.speakers.tolist()) == {speaker}
        assert speaker not in splits.train.speakers
        assert same(splits.test, folds[0].test)
        for name in ("train", "validation", "test"):
            part = load_for_evaluation(DataSpec(tmp_path, held_out_speaker=speaker), name)
            assert same(part, getattr(splits, name))


def test_a_speaker_is_held_out_as_test_in_place_of_the_test_part(write: Writer, tmp_path: Path) -> None:
    write("shd_train.h5")
    write("shd_test.h5", n_samples=24)
    how = {"held_out_speaker": 3, "held_out_as": "test", "seed": 1}
    splits = load(DataSpec(tmp_path, **how))
    (voice,) = set(splits.validation.speakers.tolist())
    assert splits.description == (
        f"validation: speaker {voice} of the rest of shd_train.h5 (8 of 32 samples); "
        "test: speaker 3 of shd_train.h5, held out (8 of 40 samples)"
    )
    assert set(splits.test.speakers.tolist()) == {3}
    assert not {3, voice} & set(splits.train.speakers.tolist())
    for name in ("train", "validation", "test"):
        assert same(load_for_evaluation(DataSpec(tmp_path, **how), name), getattr(splits, name))


def test_a_held_out_speaker_needs_a_part_to_be(write: Writer, tmp_path: Path) -> None:
    write("train.h5")
    with pytest.raises(DataError, match=r"protocol 'paper' chooses on the test set, .* choose protocol 'honest'"):
        load(DataSpec(tmp_path, held_out_speaker=0, protocol="paper"))
    with pytest.raises(DataError, match="held_out_as 'train' is unknown; choose one of 'validation', 'test'"):
        load(DataSpec(tmp_path, held_out_speaker=0, held_out_as="train"))
    write("valid.h5", n_samples=20)
    with pytest.raises(DataError, match=r"validation part of their own, .* leave data.held_out_speaker 0 out"):
        load(DataSpec(tmp_path, held_out_speaker=0))
    with pytest.raises(DataError, match=r"validation part of their own, .* leave data.held_out_speaker 0 out"):
        load(DataSpec(tmp_path, held_out_speaker=0, protocol="paper"))


def test_folder_without_test(write: Writer, tmp_path: Path) -> None:
    write("train.h5", n_speakers=0)
    splits = load(DataSpec(tmp_path, seed=1))
    assert splits.description == (
        "validation: 8 of 32 samples of the rest of train.h5, drawn class by class; "
        "test: 8 of 40 samples of train.h5, drawn class by class"
    )
    assert same(load_for_evaluation(DataSpec(tmp_path, seed=99)), splits.test)


def test_folder_with_test_alone_can_be_evaluated(write: Writer, tmp_path: Path) -> None:
    write("test.h5")
    assert len(load_for_evaluation(tmp_path)) == 40
    with pytest.raises(DataError, match="no train file"):
        load_for_evaluation(tmp_path, "validation")


def test_one_file(write: Writer) -> None:
    path = write("mine.h5")
    splits = load(path)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [25, 7, 8]
    assert len(load_for_evaluation(path)) == 40
    with pytest.raises(DataError, match="evaluated whole, it has no split 'train'"):
        load_for_evaluation(path, "train")


def test_the_test_part_does_not_depend_on_the_seed(write: Writer) -> None:
    path = write("mine.h5", speaker=None)
    first, second, again = load(DataSpec(path, seed=1)), load(DataSpec(path, seed=2)), load(DataSpec(path, seed=1))
    assert same(first.test, second.test)
    assert not same(first.validation, second.validation)
    assert same(first.train, again.train)
    assert same(first.validation, again.validation)


def test_digits() -> None:
    splits = load("digits")
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [1151, 287, 359]
    assert splits.description == (
        "validation: 287 of 1438 samples of the rest of digits, drawn class by class; "
        "test: 359 of 1797 samples of digits, drawn class by class"
    )
    assert same(load_for_evaluation("digits"), splits.test)
    assert same(load_for_evaluation("digits", "validation"), splits.validation)
    with pytest.raises(DataError, match="n_units 700 is not its 64 pixels"):
        load(DataSpec("digits", n_units=700))
    with pytest.raises(DataError, match="its 10 classes are more than the network's 4"):
        load_for_evaluation("digits", n_classes=4)


def test_labels_beyond_the_networks_classes(write: Writer) -> None:
    path = write("mine.h5")
    assert load_for_evaluation(path, n_classes=6).n_classes == 6
    with pytest.raises(DataError, match=r"label 3 is outside 0\.\.2"):
        load_for_evaluation(path, n_classes=3)


def test_number_of_units_is_passed_on(write: Writer, tmp_path: Path) -> None:
    write("train.h5")
    write("test.h5")
    splits = load(DataSpec(tmp_path, n_units=32))
    assert {part.n_units for part in (splits.train, splits.validation, splits.test)} == {32}
    with pytest.raises(DataError, match=r"unit \d+ is outside 0\.\.9; set data.n_units"):
        load(DataSpec(tmp_path, n_units=10))


def test_no_such_source(tmp_path: Path) -> None:
    for call in (load, load_for_evaluation):
        with pytest.raises(DataError, match="gone: no such data; give 'digits', 'shd', 'ssc', 'tonic:NAME', a folder"):
            call(tmp_path / "gone")


def test_no_such_split(write: Writer) -> None:
    with pytest.raises(DataError, match="split 'dev' is unknown; choose one of train, validation, test"):
        load_for_evaluation(write(), "dev")


def test_real_recordings(spoken_digits: Path) -> None:
    splits = load(spoken_digits)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [1800, 450, 250]
    assert splits.train.speakers is not None
    assert splits.validation.speakers is not None
    assert not set(splits.train.speakers) & set(splits.validation.speakers)
    assert "of train.h5 (450 of 2250 samples); test: test.h5 (250 samples)" in splits.description
