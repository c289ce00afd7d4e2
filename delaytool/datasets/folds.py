"""Folds of cross-validation: every training sample is held out in one of them."""

from __future__ import annotations

import numpy as np

from delaytool.datasets.frames import FrameData
from delaytool.datasets.recordings import known_speakers
from delaytool.datasets.splits import SPEAKER_TRIES, Data, resolve_method
from delaytool.errors import DataError


def fold_numbers(data: Data, count: int, seed: int, by: str = "auto") -> np.ndarray:
    """(n_samples,) whole numbers 0..count - 1: the fold in which each sample is held out.

    by 'speaker': a speaker's samples are all in one fold; 'stratified': every class is spread evenly over the folds;
    'auto': by speaker where the data name more than one, else stratified. Folds are drawn with `seed` and about equally
    large: speakers, in random order, go to the smallest fold so far. Without any fold every class is still there.

    Raises DataError for fewer speakers than folds, a class of fewer samples than folds, and where no draw of speakers
    leaves every class in all trainings.
    """
    if resolve_method(data, by) == "speaker":
        return _by_speaker(data, count, seed)
    return _stratified(data, count, seed)


def describe_folds(data: Data, count: int, by: str) -> tuple[str, tuple[str, ...]]:
    """What folds of these data hold, as the end of a sentence, and warnings about speakers that several folds share."""
    if resolve_method(data, by) == "speaker":
        return f"{count} folds of whole speakers", ()
    how = f"{count} folds, drawn class by class"
    n_speakers = 0 if data.speakers is None else known_speakers(data.speakers).size
    if by == "stratified" or (n_speakers == 0 and not _is_speech(data)):
        return how, ()
    has = "names only one speaker" if n_speakers else "names no speakers"
    return how, (
        f"{data.name}: it {has}, so that the folds are drawn class by class: a speaker that is held out may be in the "
        "training samples too, and the folds' accuracies are not those on new speakers",
    )


def _is_speech(data: Data) -> bool:
    """Whether the samples are recordings, or the ear's spikes of some."""
    return data.mel is not None if isinstance(data, FrameData) else data.ear is not None


def _stratified(data: Data, count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    folds = np.zeros(len(data), np.int64)
    dealt = 0  # the next class goes on where the last one ended, so that folds stay equally large
    for label in np.unique(data.labels):
        members = np.flatnonzero(data.labels == label)
        if members.size < count:
            raise DataError(
                f"{data.name}: class {label} has {members.size} samples, data.folds {count} needs as many as folds; "
                f"set data.folds to {max(2, members.size)}, or add samples of the class"
            )
        folds[generator.permutation(members)] = (dealt + np.arange(members.size)) % count
        dealt += members.size
    return folds


def _by_speaker(data: Data, count: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    speakers, who, sizes = np.unique(np.asarray(data.speakers), return_inverse=True, return_counts=True)
    known = known_speakers(speakers).size
    if known < count:
        raise DataError(
            f"{data.name}: its {known} speakers are fewer than data.folds {count}; set data.folds to at most "
            f"{known}, or data.split_by to 'stratified'"
        )
    n_classes = np.unique(data.labels).size
    for _ in range(SPEAKER_TRIES):
        fold_of = np.zeros(speakers.size, np.int64)
        totals = np.zeros(count, np.int64)
        for speaker in generator.permutation(speakers.size):
            fold_of[speaker] = np.argmin(totals)
            totals[fold_of[speaker]] += sizes[speaker]
        folds = fold_of[who]
        if all(np.unique(data.labels[folds != fold]).size == n_classes for fold in range(count)):
            return np.asarray(folds)
    raise DataError(
        f"{data.name}: none of {SPEAKER_TRIES} draws of {count} folds of its {known} speakers leaves every "
        "class in all trainings; set data.folds to another number, or data.split_by to 'stratified'"
    )
