"""The causal ear: pieces equal the whole, nothing depends on what comes later, and it is the membrane's own answer."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.membrane import membrane_velocity

from delaytool.datasets.ear import EarModel, LiveEar, ear_spikes
from delaytool.datasets.ear.live import follow_level, level_constants
from delaytool.datasets.ear.membrane import places, transfer_function
from delaytool.datasets.ear.resonators import LEAD, impulse_responses, resonate, resonators
from delaytool.errors import DataError

pytest.importorskip("scipy")
MODEL = EarModel(n_channels=40, causal=True)
RATE = 16000


def chirps(samples: int, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    t = np.arange(samples) / RATE
    sweep = np.sin(2 * np.pi * (200 * t + 3000 * t**2))
    return 0.2 * sweep * (np.sin(2 * np.pi * 6 * t) > 0) + 0.002 * generator.standard_normal(samples)


def answers(sound: np.ndarray, model: EarModel, rate: int) -> np.ndarray:
    """(samples // 2, channel): what the resonators make of a sound."""
    found = resonators(rate, model)
    blocks = [
        resonate(sound, poles, amplitudes, np.zeros_like(poles))
        for poles, amplitudes in zip(found.poles, found.amplitudes, strict=True)
    ]
    return np.concatenate(blocks, axis=1)[:, : model.n_channels]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 2500), min_size=1, max_size=12), st.integers(0, 3))
def test_pieces_equal_the_whole(lengths: list[int], seed: int) -> None:
    sound = chirps(5000, seed)
    steps, units = LiveEar(RATE, MODEL, seed).spikes(sound)
    assert steps.size > 100
    ear = LiveEar(RATE, MODEL, seed)
    cuts = [0, *np.minimum(np.cumsum(lengths), sound.size), sound.size]
    pieces = [ear.spikes(sound[low:high]) for low, high in pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate([piece[0] for piece in pieces]), steps)
    np.testing.assert_array_equal(np.concatenate([piece[1] for piece in pieces]), units)
    assert np.all(np.diff(steps) >= 0)


def test_the_batch_form_is_the_stream() -> None:
    sound = chirps(6001)
    times, units = ear_spikes(sound, RATE, MODEL, 5)
    ear = LiveEar(RATE, MODEL, 5)
    pieces = [ear.spikes(sound[low : low + 160]) for low in range(0, sound.size, 160)]
    steps = np.concatenate([piece[0] for piece in pieces])
    np.testing.assert_array_equal(times, (steps / 8000).astype(np.float32))
    np.testing.assert_array_equal(units, np.concatenate([piece[1] for piece in pieces]))


def test_what_comes_later_changes_nothing_earlier() -> None:
    sound, changed = chirps(6000), chirps(6000)
    changed[4000:] = 0.9
    ours, other = ear_spikes(sound, RATE, MODEL, 1), ear_spikes(changed, RATE, MODEL, 1)
    early = [times < 0.25 - 1 / 8000 for times, _ in (ours, other)]
    assert early[0].sum() > 100
    for some, others in zip(ours, other, strict=True):
        np.testing.assert_array_equal(some[early[0]], others[early[1]])
    assert ours[0].size != other[0].size or np.any(ours[0] != other[0])
    # The ear of SHD takes a recording as a whole.
    whole = EarModel(n_channels=40)
    ours, other = ear_spikes(sound, RATE, whole, 1), ear_spikes(changed, RATE, whole, 1)
    assert (ours[0] < 0.2).sum() != (other[0] < 0.2).sum()


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_resonators_answer_as_the_membrane(rate: int) -> None:
    impulse = np.zeros(1 << 13)
    impulse[1] = 1.0  # the second of the first pair, so answers are at even samples after it
    ours = answers(impulse, MODEL, rate)
    wanted = np.concatenate(impulse_responses(rate, MODEL), axis=1)[::2, : MODEL.n_channels]
    n = min(len(ours), len(wanted))
    difference = np.linalg.norm(ours[:n] - wanted[:n], axis=0) / np.linalg.norm(wanted[:n], axis=0)
    assert difference.max() < 0.01
    assert np.abs(resonators(rate, MODEL).poles).max() < 1


def test_a_tone_is_answered_as_strongly_as_by_the_transfer_function() -> None:
    n = 8000
    for hertz in (200.0, 1000.0, 3000.0, 5000.0):
        sound = np.sin(2 * np.pi * hertz * np.arange(n) / RATE)
        ours = answers(sound, MODEL, RATE)[n // 4 :]
        strength = np.sqrt(2 * (ours**2).mean(axis=0))
        wanted = np.abs(transfer_function(np.array([hertz]), places(MODEL), MODEL))[0]
        assert np.abs(strength - wanted).max() < 0.03 * wanted.max()


def test_a_click_is_answered_after_it_and_by_the_ear_of_shd_before_it() -> None:
    click = np.zeros(4000)
    click[2000] = 1.0
    apex = -1  # the place of the lowest tones, whose answer is the slowest
    live = answers(click, MODEL, RATE)[:, apex]
    batch = membrane_velocity(click, RATE, MODEL)[:, apex]

    def share_before(velocity: np.ndarray) -> float:
        return float((velocity[: 1000 - LEAD] ** 2).sum() / (velocity**2).sum())

    assert share_before(live) == 0.0
    assert share_before(batch) > 0.99


def test_a_rate_that_is_too_low_is_refused() -> None:
    with pytest.raises(DataError, match="4000 Hz is below the 8000 Hz"):
        LiveEar(4000, MODEL, 0)


def test_the_level_follows_the_loudest_of_late() -> None:
    model = EarModel(causal=True)
    constants = level_constants(RATE, model)
    t = np.arange(RATE) / RATE
    for loudness in (0.1, 0.7):
        tone = loudness * np.sin(2 * np.pi * 1000 * t)
        leveled = follow_level(tone, constants, np.array([0.0, model.live_floor**2]))
        rms = np.sqrt((leveled[RATE // 2 :] ** 2).mean())
        assert rms == pytest.approx(model.live_level, rel=0.03)
    quiet = 0.001 * np.sin(2 * np.pi * 1000 * t)
    leveled = follow_level(quiet, constants, np.array([0.0, model.live_floor**2]))
    np.testing.assert_allclose(leveled, quiet * model.live_level / model.live_floor)
