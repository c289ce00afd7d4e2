"""Cut data into training, validation and test parts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import get_args

import numpy as np

from delaytool.datasets.events import EventData
from delaytool.datasets.frames import FrameData
from delaytool.datasets.recordings import known_speakers
from delaytool.datasets.spec import SplitBy
from delaytool.errors import DataError

Data = EventData | FrameData

METHODS = get_args(SplitBy)
# Sets of speakers that are tried before giving up on one that leaves every class in both parts.
SPEAKER_TRIES = 100


def split_validation(train: Data, fraction: float, seed: int, by: str = "auto") -> tuple[Data, Data]:
    """(train, validation), about `fraction` of the samples in the second.

    by 'speaker': whole speakers are held out, a set drawn with `seed` and near the fraction, at least one and
    not all; 'stratified': the fraction of every class, drawn with `seed`; 'auto': by speaker where the data
    name more than one, else stratified. Both parts keep every class and the samples' order.

    Raises DataError for a fraction outside 0..1, an unknown method, data that do not name two speakers (for
    'speaker'), and where a class cannot be in both parts.
    """
    _check_fraction("validation_fraction", fraction)
    how = resolve_method(train, by)
    if how == "stratified":
        return _cut(train, _stratified(train, fraction, seed))
    return _cut(train, _by_speaker(train, fraction, seed))


def split_test(data: Data, fraction: float, seed: int, by: str = "stratified") -> tuple[Data, Data]:
    """(rest, test), about `fraction` in the second, chosen with `seed` as by `split_validation`; raises alike."""
    _check_fraction("test_fraction", fraction)
    how = _stratified if resolve_method(data, by) == "stratified" else _by_speaker
    return _cut(data, how(data, fraction, seed))


def hold_out_speaker(data: Data, speaker: int) -> tuple[Data, Data]:
    """(rest, all samples of one speaker), both in the samples' order: one fold of leave-one-speaker-out.

    Raises DataError where the data name no speakers or not this one, and where only this speaker has samples of a
    class, which could not be learned from the rest.
    """
    if data.speakers is None:
        raise DataError(
            f"{data.name}: it names no speakers (extra/speaker), so data.held_out_speaker {speaker} cannot be held "
            "out; leave data.held_out_speaker out"
        )
    speakers = known_speakers(data.speakers)
    if speaker not in speakers or speakers.size == 1:
        has = f"the only speaker is {speakers[0]}" if speakers.size == 1 else f"its speakers are {listed(speakers)}"
        way_out = "leave data.held_out_speaker out" if speakers.size == 1 else "choose one of them"
        raise DataError(f"{data.name}: data.held_out_speaker {speaker} cannot be held out, {has}; {way_out}")
    rest, held_out = _cut(data, np.asarray(data.speakers) == speaker)
    lost = np.setdiff1d(held_out.labels, rest.labels)
    if lost.size:
        raise DataError(
            f"{data.name}: without speaker {speaker} no sample of class {lost[0]} is left to learn from; "
            "hold another speaker out"
        )
    return rest, held_out


def listed(items: Iterable[object]) -> str:
    """In a sentence: `0, 1 and 2`."""
    names = [str(item) for item in items]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def resolve_method(data: Data, by: str) -> str:
    """'speaker' or 'stratified': what `by` means for these data. Raises DataError where it is impossible."""
    if by not in METHODS:
        raise DataError(f"{data.name}: split_by {by!r} is unknown; choose one of {', '.join(METHODS)}")
    n_speakers = 0 if data.speakers is None else known_speakers(data.speakers).size
    if by == "speaker" and n_speakers < 2:
        has = "names no speakers (extra/speaker)" if n_speakers == 0 else "has only one speaker"
        raise DataError(f"{data.name}: it {has}, a split by speaker needs two; choose split_by 'stratified'")
    if by == "auto":
        return "speaker" if n_speakers >= 2 else "stratified"
    return by


def _check_fraction(what: str, fraction: float) -> None:
    if not 0 < fraction < 1:
        raise DataError(f"{what} {fraction} is outside 0..1 (both excluded); choose for example 0.2")


def _cut(data: Data, held_out: np.ndarray) -> tuple[Data, Data]:
    return data.subset(np.flatnonzero(~held_out)), data.subset(np.flatnonzero(held_out))


def _stratified(data: EventData | FrameData, fraction: float, seed: int) -> np.ndarray:
    """(n_samples,) bool: the held out samples."""
    generator = np.random.default_rng(seed)
    held_out = np.zeros(len(data), bool)
    for label in np.unique(data.labels):
        members = np.flatnonzero(data.labels == label)
        if members.size < 2:
            raise DataError(
                f"{data.name}: class {label} has {members.size} sample, a split needs 2 to have it in both parts; "
                "add samples of the class or remove it"
            )
        count = min(max(round(fraction * members.size), 1), members.size - 1)
        held_out[generator.permutation(members)[:count]] = True
    return held_out


def _by_speaker(data: EventData | FrameData, fraction: float, seed: int) -> np.ndarray:
    """(n_samples,) bool: the held out samples."""
    generator = np.random.default_rng(seed)
    speakers, who, sizes = np.unique(np.asarray(data.speakers), return_inverse=True, return_counts=True)
    known = known_speakers(speakers).size
    _, label = np.unique(data.labels, return_inverse=True)
    has_class = np.zeros((speakers.size, int(label.max()) + 1), bool)  # (speaker, class)
    has_class[who, label] = True
    for _ in range(SPEAKER_TRIES):
        chosen = _near(sizes, generator.permutation(speakers.size), fraction * len(data))
        if has_class[chosen].any(axis=0).all() and has_class[~chosen].any(axis=0).all():
            return chosen[who]
    raise DataError(
        f"{data.name}: none of {SPEAKER_TRIES} sets of its {known} speakers leaves every class in both parts; "
        "choose another validation_fraction, or split_by 'stratified'"
    )


def _near(sizes: np.ndarray, order: np.ndarray, target: float) -> np.ndarray:
    """(n_speakers,) bool: go through the speakers in `order`, take each one that brings the sum nearer to target.

    Greedy along a random order rather than the very nearest set: that one would be the same for every seed.
    """
    chosen = np.zeros(sizes.size, bool)
    total = 0
    for speaker in order:
        if chosen.sum() < sizes.size - 1 and abs(total + sizes[speaker] - target) < abs(total - target):
            chosen[speaker] = True
            total += sizes[speaker]
    if not chosen.any():
        chosen[order[np.argmin(np.abs(sizes[order] - target))]] = True
    return chosen
