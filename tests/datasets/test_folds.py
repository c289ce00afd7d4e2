"""Folds: every sample in one, whole speakers, every class left to learn from."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delaytool.datasets import DataSpec, EventData, load
from delaytool.datasets.folds import describe_folds, fold_numbers
from delaytool.errors import DataError

Writer = Callable[..., Path]


def labeled(labels: list[int], speakers: list[int] | None = None, ear: str | None = None) -> EventData:
    samples = [([index / 1000], [0]) for index in range(len(labels))]
    data = EventData.from_samples(samples, labels, n_units=1, speakers=speakers, name="some")
    return data if ear is None else EventData(**{**vars(data), "ear": ear})


@given(
    n_speakers=st.integers(2, 12), per_speaker=st.integers(3, 8), count=st.integers(2, 12), seed=st.integers(0, 1000)
)
def test_a_speaker_is_in_one_fold_and_no_fold_is_empty(
    n_speakers: int, per_speaker: int, count: int, seed: int
) -> None:
    speakers = np.repeat(np.arange(n_speakers), per_speaker)
    data = labeled((np.arange(len(speakers)) % 3).tolist(), speakers.tolist())
    if count > n_speakers:
        with pytest.raises(
            DataError, match=rf"{n_speakers} speakers are fewer than data\.folds {count}; set data\.folds"
        ):
            fold_numbers(data, count, seed)
        return
    folds = fold_numbers(data, count, seed)
    assert set(folds.tolist()) == set(range(count))
    for speaker in range(n_speakers):
        assert len(set(folds[speakers == speaker].tolist())) == 1
    # Speakers of one size are dealt out evenly.
    sizes = np.bincount(folds) // per_speaker
    assert sizes.max() - sizes.min() <= 1
    np.testing.assert_array_equal(folds, fold_numbers(data, count, seed))


def test_folds_of_large_and_small_speakers_are_about_equal() -> None:
    speakers = np.repeat(np.arange(10), [300, 20, 40, 250, 90, 60, 100, 30, 210, 80])
    data = labeled((np.arange(len(speakers)) % 2).tolist(), speakers.tolist())
    draws = [fold_numbers(data, 3, seed) for seed in range(20)]
    assert len({folds.tobytes() for folds in draws}) > 10, "each seed has its own"
    assert all(np.bincount(folds).max() < 0.6 * len(speakers) for folds in draws)


@given(counts=st.lists(st.integers(4, 13), min_size=2, max_size=5), count=st.integers(2, 4), seed=st.integers(0, 99))
def test_stratified_folds_have_even_shares_of_every_class(counts: list[int], count: int, seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    folds = fold_numbers(labeled(labels.tolist()), count, seed)
    for label, total in enumerate(counts):
        shares = np.bincount(folds[labels == label], minlength=count)
        assert shares.sum() == total
        assert shares.max() - shares.min() <= 1
    sizes = np.bincount(folds, minlength=count)
    assert sizes.max() - sizes.min() <= 1


def test_a_class_of_one_speaker_alone_cannot_be_folded_by_speaker() -> None:
    data = labeled([0, 1, 0, 1, 2, 2], [0, 0, 1, 1, 2, 2])
    with pytest.raises(DataError, match=r"none of 100 draws of 3 folds .* every class in all trainings; set"):
        fold_numbers(data, 3, 0)
    with pytest.raises(DataError, match=r"class 0 has 2 samples, data\.folds 3 needs as many .* data\.folds to 2"):
        fold_numbers(data, 3, 0, "stratified")
    assert set(fold_numbers(data, 2, 0, "stratified").tolist()) == {0, 1}


def test_recordings_whose_speakers_are_not_known_get_a_warning() -> None:
    words = r"names no speakers, so that the folds are drawn class by class: .* not those on new speakers"
    assert describe_folds(labeled([0, 1] * 4), 2, "auto") == ("2 folds, drawn class by class", ())
    _, (warning,) = describe_folds(labeled([0, 1] * 4, ear="whole"), 2, "auto")
    assert re.search(words, warning)
    _, (warning,) = describe_folds(labeled([0, 1] * 4, speakers=[3] * 8), 2, "auto")
    assert "names only one speaker" in warning
    # Asked for, it is no surprise.
    assert describe_folds(labeled([0, 1] * 4, ear="whole"), 2, "stratified")[1] == ()
    with pytest.raises(DataError, match="a split by speaker needs two"):
        fold_numbers(labeled([0, 1] * 4), 2, 0, "speaker")


def test_each_fold_is_held_out_of_all_training_samples_and_test_stays(write: Writer, tmp_path: Path) -> None:
    write("shd_train.h5")
    write("shd_test.h5", n_samples=24)
    parts = [load(DataSpec(tmp_path, protocol="cross-validated", folds=2, fold=fold)) for fold in range(2)]
    whole = load(DataSpec(tmp_path, protocol="cross-validated", folds=2))
    assert whole.validation is None
    assert len(whole.train) == 40
    held_out = [set(np.asarray(part.validation.speakers).tolist()) for part in parts]
    assert held_out[0] | held_out[1] == set(range(5))
    assert not held_out[0] & held_out[1]
    for part, own in zip(parts, held_out, strict=True):
        assert not own & set(np.asarray(part.train.speakers).tolist())
        assert len(part.train) + len(part.validation) == 40
        np.testing.assert_array_equal(part.test.labels, whole.test.labels)
    assert "validation: fold 0 of 2: speakers " in parts[0].description
    assert "of 40 samples of shd_train.h5; test: shd_test.h5 (24 samples)" in parts[0].description


def test_a_speaker_may_be_held_out_as_test_of_cross_validation(write: Writer, tmp_path: Path) -> None:
    write("train.h5")
    spec = DataSpec(tmp_path, protocol="cross-validated", folds=4, fold=1, held_out_speaker=3, held_out_as="test")
    splits = load(spec)
    assert set(np.asarray(splits.test.speakers).tolist()) == {3}
    assert 3 not in {*np.asarray(splits.train.speakers).tolist(), *np.asarray(splits.validation.speakers).tolist()}
    with pytest.raises(DataError, match="makes folds of all speakers of the training part; leave it out"):
        load(DataSpec(tmp_path, protocol="cross-validated", held_out_speaker=3))


def test_data_with_a_validation_part_need_no_folds(write: Writer, tmp_path: Path) -> None:
    for name in ("train.h5", "valid.h5", "test.h5"):
        write(name)
    with pytest.raises(DataError, match=r"have a validation part of their own, .* choose protocol 'honest'"):
        load(DataSpec(tmp_path, protocol="cross-validated"))
