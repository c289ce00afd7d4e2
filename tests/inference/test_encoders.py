"""Whatever the portions, the frames of a stream are those of the whole input."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.contract.encoding import InputEncoding, MelSpectrogram
from delaytool.datasets.binner import bin_events
from delaytool.datasets.events import EventData
from delaytool.datasets.graded import quantize_rows
from delaytool.datasets.mel import MELS, mel_frames, resample
from delaytool.errors import DataError
from delaytool.inference.encoders import EventEncoder, MelEncoder, encoder_for
from delaytool.inference.resampler import Resampler

RATES = (8000, 16000, 11025, 44100, 48000, 6000)


def cut(rng: np.random.Generator, size: int, most: int) -> list[slice]:
    """0..size in portions of 0 to `most`."""
    ends = [0]
    while ends[-1] < size:
        ends.append(min(size, ends[-1] + int(rng.integers(0, most + 1))))
    return [slice(a, b) for a, b in itertools.pairwise(ends)]


@given(seed=st.integers(0, 2**32 - 1), rate=st.sampled_from(RATES))
@settings(max_examples=40)
def test_resampled_portions_are_the_resampled_whole(seed: int, rate: int) -> None:
    pytest.importorskip("scipy")
    rng = np.random.default_rng(seed)
    sound = rng.standard_normal(int(rng.integers(1, 3000)))
    resampler = Resampler(rate, 8000)
    parts = [resampler.push(sound[portion]) for portion in cut(rng, sound.size, 500)]
    parts.append(resampler.finish())
    np.testing.assert_array_equal(np.concatenate(parts), resample(sound, rate, 8000))


@given(seed=st.integers(0, 2**32 - 1), rate=st.sampled_from(RATES), which=st.integers(0, 3))
@settings(max_examples=60)
def test_frames_of_portions_of_sound_are_those_of_the_file(seed: int, rate: int, which: int) -> None:
    pytest.importorskip("scipy")
    rng = np.random.default_rng(seed)
    mel = (
        MELS["gsc-paper"],
        replace(MELS["gsc-corrected"], seconds=0.3),
        MELS["hd"],
        MelSpectrogram(8000, window=33, n_fft=41, n_mels=3, f_min=10.0, f_max=3000.0),  # odd, shorter than a hop
    )[which]
    encoding = InputEncoding(mel.n_mels, values="graded", input_bits=8, offset=-60.0, scale=0.3, mel=mel)
    longest = round((0.3 if mel.seconds is None else min(mel.seconds, 0.3)) * rate)
    sound = 0.1 * rng.standard_normal(int(rng.integers(1, longest + 1)))
    expected = quantize_rows(mel_frames(sound, rate, mel, 10.0), encoding)
    encoder = MelEncoder(encoding, rate)
    frames = [encoder.push(sound[portion]) for portion in cut(rng, sound.size, rate // 20)]
    frames.append(encoder.finish())
    found = np.concatenate(frames)
    assert found.dtype == np.uint8
    assert expected.max() > 0
    np.testing.assert_array_equal(found, expected)


def test_a_frame_is_there_as_soon_as_the_delay_has_passed() -> None:
    """Not a sample later than `delay_s` says, and the last sample before it is needed indeed."""
    mel = replace(MELS["gsc-paper"], seconds=None)
    encoding = InputEncoding(140, values="graded", input_bits=4, offset=-50.0, scale=4.0, mel=mel)
    for frame in (1, 2, 7):
        needed = frame * 80 + round(MelEncoder(encoding, 8000).delay_s * 8000)
        for given_samples, n_frames in ((needed, frame + 1), (needed - 1, frame)):
            encoder = MelEncoder(encoding, 8000)
            assert len(encoder.push(np.ones(given_samples))) == n_frames
    late = MelEncoder(encoding, 16000)
    assert len(late.push(np.ones(160 + round(late.delay_s * 16000) + 2))) == 2


@given(seed=st.integers(0, 2**32 - 1), start=st.sampled_from(["zero", "first-spike"]))
def test_frames_of_portions_of_events_are_those_of_the_file(seed: int, start: str) -> None:
    rng = np.random.default_rng(seed)
    values = str(rng.choice(["count", "binary"]))
    n_steps = int(rng.integers(1, 40))
    encoding = InputEncoding(
        12, channel_bins=3, values=values, start=start, n_steps=n_steps, max_count=2 if values == "count" else None
    )
    n_events = int(rng.integers(0, 200))
    # Times on the steps' edges too, where float32 decides.
    times = np.sort(rng.choice([rng.uniform(0, 0.3), *np.arange(30) / 100], n_events)).astype(np.float32)
    units = rng.integers(0, 12, n_events)
    expected = bin_events(EventData.from_samples([(times, units)], [0], n_units=12), encoding)[0]
    encoder = EventEncoder(encoding)
    frames = []
    for portion in cut(rng, n_events, 20):
        frames.append(encoder.push((times[portion], units[portion])))
        if portion.stop > portion.start and rng.random() < 0.3:
            frames.append(encoder.advance(float(times[portion.stop - 1])))  # brings no time to pass
    frames.append(encoder.finish())
    found = np.concatenate(frames)[:n_steps]
    np.testing.assert_array_equal(found, expected[: len(found)])
    assert not expected[len(found) :].any()


def test_time_passes_without_events() -> None:
    encoder = EventEncoder(InputEncoding(4))
    assert len(encoder.advance(5.0)) == 0  # no step before the first spike
    assert len(encoder.push(([7.0], [1]))) == 0
    assert encoder.advance(7.035).tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert encoder.push(([7.036, 7.051], [2, 3])).tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]
    assert encoder.finish().tolist() == [[0, 0, 0, 1]]


def test_no_event_comes_before_a_time_that_has_passed() -> None:
    """With start 'first-spike' too, whose steps have not begun."""
    for start in ("zero", "first-spike"):
        encoder = EventEncoder(InputEncoding(4, start=start))
        encoder.advance(0.5)
        with pytest.raises(DataError, match=r"time 0\.3 s comes after 0\.5 s"):
            encoder.push(([0.3], [1]))
        with pytest.raises(DataError, match=r"time 0\.4 s comes after 0\.5 s"):
            encoder.advance(0.4)
    # No step passes before the first spike, however late that is.
    late = EventEncoder(InputEncoding(4, start="first-spike"))
    late.advance(0.5)
    late.push(([5000.0], [1]))
    assert late.finish().tolist() == [[0, 1, 0, 0]]


@pytest.mark.parametrize(
    ("portion", "words"),
    [
        (([1.0, 0.9], [0, 0]), "time 0.9 s comes after 1 s; give events in order"),
        (([0.0, 1e6], [0, 0]), "1e\\+06 s pass before time 1e\\+06 s, over the limit of 3600 s"),
        (([np.nan], [0]), "time nan is not a finite"),
        (([0.0], [4]), "unit 4 is outside 0..3"),
        (([0.0], [0.5]), "1 times and 1 units"),
        (([0.0, 1.0], [0]), "2 times and 1 units"),
    ],
)
def test_events_that_are_none_are_refused(portion: tuple[list[float], list[float]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        EventEncoder(InputEncoding(4)).push(portion)


def test_what_cannot_stream_is_refused() -> None:
    with pytest.raises(DataError, match="reads frames of 4 real numbers"):
        encoder_for(InputEncoding(4, values="graded", input_bits=4, offset=0.0, scale=1.0))
    mel = MELS["hd"]
    encoder = encoder_for(InputEncoding(40, values="graded", input_bits=4, offset=0.0, scale=1.0, mel=mel))
    for sound in (np.zeros((2, 3)), np.array([np.inf])):
        with pytest.raises(DataError, match="cannot be used"):
            encoder.push(sound)
