from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.datasets import EventData, split_test, split_validation
from delaytool.datasets.splits import hold_out_speaker
from delaytool.errors import DataError


def labeled(labels: list[int], speakers: list[int] | None = None) -> EventData:
    """Sample i's only event is at i ms, which shows the samples that a part holds."""
    samples = [([index / 1000], [0]) for index in range(len(labels))]
    return EventData.from_samples(samples, labels, n_units=1, speakers=speakers, name="some")


def members(part: EventData) -> list[int]:
    return np.rint(part.times * 1000).astype(int).tolist()


def test_by_speaker_no_speaker_is_in_both_parts(data: EventData) -> None:
    seen = set()
    for seed in range(20):
        train, validation = split_validation(data, 0.2, seed)
        assert train.speakers is not None
        assert validation.speakers is not None
        held_out = set(validation.speakers)
        assert not held_out & set(train.speakers)
        assert len(validation) == 8
        assert len(train) + len(validation) == len(data)
        seen |= held_out
    assert seen == set(range(5))  # the seed chooses


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=2, max_size=60),
    st.floats(0.01, 0.99),
    st.integers(0, 9),
    st.sampled_from(["auto", "speaker", "stratified"]),
)
def test_every_split_is_whole_and_fair_or_refused(
    pairs: list[tuple[int, int]], fraction: float, seed: int, by: str
) -> None:
    labels, speakers = map(list, zip(*pairs, strict=True))
    data = labeled(labels, speakers)
    try:
        train, validation = split_validation(data, fraction, seed, by)
    except DataError:
        return
    assert sorted(members(train) + members(validation)) == list(range(len(labels)))
    assert members(train) == sorted(members(train))
    assert set(train.labels) == set(validation.labels) == set(labels)
    if by == "speaker" or (by == "auto" and len(set(speakers)) > 1):
        assert train.speakers is not None
        assert validation.speakers is not None
        assert not set(train.speakers) & set(validation.speakers)
    again = split_validation(data, fraction, seed, by)
    assert members(again[1]) == members(validation)


def test_stratified_takes_the_fraction_of_every_class() -> None:
    data = labeled([0] * 50 + [1] * 20 + [2] * 2)
    train, validation = split_validation(data, 0.2, 3)
    assert np.bincount(validation.labels).tolist() == [10, 4, 1]
    assert np.bincount(train.labels).tolist() == [40, 16, 1]
    assert members(split_validation(data, 0.2, 4)[1]) != members(validation)


def test_split_test_ignores_speakers(data: EventData) -> None:
    rest, test = split_test(data, 0.3, 0)
    assert np.bincount(test.labels).tolist() == [3] * 4
    assert len(rest) == 28


def test_unequal_speakers_come_near_the_fraction() -> None:
    speakers = np.repeat(np.arange(8), [10, 20, 30, 40, 50, 60, 70, 80])
    data = labeled((np.arange(360) % 2).tolist(), speakers.tolist())
    for seed in range(20):
        _, validation = split_validation(data, 0.25, seed)
        assert 45 <= len(validation) <= 135


@pytest.mark.parametrize("fraction", [0.01, 0.99])
def test_at_least_one_speaker_on_either_side(data: EventData, fraction: float) -> None:
    train, validation = split_validation(data, fraction, 0)
    assert len(train)
    assert len(validation)


def test_one_speaker_or_none() -> None:
    one = labeled([0, 0, 1, 1], [3] * 4)
    with pytest.raises(DataError, match=r"some: it has only one speaker, .* choose split_by 'stratified'"):
        split_validation(one, 0.5, 0, "speaker")
    with pytest.raises(DataError, match="names no speakers"):
        split_validation(labeled([0, 0, 1, 1]), 0.5, 0, "speaker")
    assert len(split_validation(one, 0.5, 0, "auto")[1]) == 2


def test_a_class_of_one_sample() -> None:
    with pytest.raises(DataError, match="class 1 has 1 sample"):
        split_validation(labeled([0, 0, 1]), 0.5, 0)


def test_a_class_of_one_speaker() -> None:
    with pytest.raises(DataError, match="none of 100 sets of its 2 speakers leaves every class in both parts"):
        split_validation(labeled([0, 1, 0, 2], [0, 0, 1, 1]), 0.5, 0)


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_fraction_out_of_range(data: EventData, fraction: float) -> None:
    with pytest.raises(DataError, match=r"validation_fraction .* is outside 0\.\.1"):
        split_validation(data, fraction, 0)
    with pytest.raises(DataError, match="test_fraction"):
        split_test(data, fraction, 0)


def test_unknown_method(data: EventData) -> None:
    with pytest.raises(DataError, match="split_by 'random' is unknown; choose one of auto, speaker, stratified"):
        split_validation(data, 0.2, 0, "random")


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 4)), min_size=2, max_size=40), st.integers(0, 5))
def test_one_speaker_is_held_out_whole_or_not_at_all(pairs: list[tuple[int, int]], speaker: int) -> None:
    labels, speakers = map(list, zip(*pairs, strict=True))
    data = labeled(labels, speakers)
    rest_of = [label for label, who in pairs if who != speaker]
    if speaker not in speakers or len(set(speakers)) == 1 or set(labels) - set(rest_of):
        with pytest.raises(DataError, match=r"some: .*; (choose one of them|leave .* out|hold another speaker out)"):
            hold_out_speaker(data, speaker)
        return
    rest, held_out = hold_out_speaker(data, speaker)
    assert rest.labels.tolist() == rest_of
    assert held_out.labels.tolist() == [label for label, who in pairs if who == speaker]
    assert set(held_out.speakers.tolist()) == {speaker}


def test_an_unknown_speaker_is_named_with_those_that_there_are() -> None:
    with pytest.raises(DataError, match=r"data.held_out_speaker 9 cannot be held out, its speakers are 0, 2 and 5; "):
        hold_out_speaker(labeled([0, 0, 0], [5, 0, 2]), 9)
    with pytest.raises(DataError, match=r"names no speakers .* leave data.held_out_speaker out"):
        hold_out_speaker(labeled([0, 0]), 0)


def test_a_class_of_only_one_speaker_keeps_that_speaker_in_training() -> None:
    with pytest.raises(DataError, match="without speaker 1 no sample of class 1 is left to learn from"):
        hold_out_speaker(labeled([0, 0, 1], [0, 1, 1]), 1)
