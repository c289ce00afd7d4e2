"""Sound through a network's ear: the stream's frames and decisions are those of the whole recording."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_networks import network_of

from delaytool.contract.ear import Ear, EarModel
from delaytool.contract.encoding import InputEncoding
from delaytool.datasets.binner import bin_events
from delaytool.datasets.ear.ear import ear_spikes
from delaytool.datasets.events import EventData
from delaytool.datasets.mel import resample
from delaytool.errors import DataError
from delaytool.inference import ear_encoder
from delaytool.inference.ear_encoder import EarEncoder, spikes_of_sound
from delaytool.inference.encoders import EventEncoder, encoder_for
from delaytool.inference.listen import Decision, Listener
from delaytool.inference.predict import predict
from delaytool.runtime import engine

pytest.importorskip("scipy")
RATE = 16000
# As few resonators as a test can do with: they take seconds to find.
LIVE = Ear(EarModel(n_channels=16, causal=True), RATE)
WHOLE = Ear(EarModel(n_channels=16), RATE)


def encoding_of(ear: Ear, start: str = "zero", n_steps: int = 30, time_step_ms: float = 10.0) -> InputEncoding:
    return InputEncoding(16, time_step_ms, channel_bins=2, start=start, n_steps=n_steps, max_count=20, ear=ear)


def sliding_tone(rate: int, seconds: float, seed: int) -> np.ndarray:
    """(samples,), after a silence of random length."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(rate * seconds)) / rate
    start, end = rng.uniform(100, 3000, 2)
    sound = 0.3 * np.sin(2 * np.pi * (start + (end - start) * time / seconds / 2) * time)
    sound[: int(rng.uniform(0, 0.1) * rate)] = 0
    return sound + 1e-4 * rng.standard_normal(time.size)


def binned(encoding: InputEncoding, sound: np.ndarray, rate: int) -> np.ndarray:
    """(time, channel): the whole recording's frames, as training has them."""
    assert encoding.ear is not None
    at = encoding.ear.sample_rate or rate
    events = ear_spikes(resample(sound, rate, at), at, encoding.ear.model, ear_encoder.SEED)
    assert events[0].size > 10
    return bin_events(EventData.from_samples([events], [0], n_units=16), encoding)[0]


def listened(listener: Listener, sound: np.ndarray, rng: np.random.Generator, most: int) -> list[Decision]:
    decisions, at = [], 0
    while at < sound.size:
        size = int(rng.integers(0, most + 1))
        decisions += listener.push(sound[at : at + size])
        at += size
    return decisions + listener.finish()


@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.sampled_from([RATE, 48000]),
    start=st.sampled_from(["zero", "first-spike"]),
    step_ms=st.sampled_from([10.0, 1.4]),
)
@settings(max_examples=25, deadline=None)
def test_frames_of_portions_of_sound_are_those_of_the_file(seed: int, rate: int, start: str, step_ms: float) -> None:
    rng = np.random.default_rng(seed)
    encoding = encoding_of(LIVE, start, 300, step_ms)
    sound = sliding_tone(rate, float(rng.uniform(0.15, 0.3)), seed)
    encoder = EarEncoder(encoding, rate)
    cuts = np.sort(rng.integers(0, sound.size + 1, 8))
    frames = [encoder.push(sound[low:high]) for low, high in itertools.pairwise([0, *cuts, sound.size])]
    found = np.concatenate([*frames, encoder.finish()])
    expected = binned(encoding, sound, rate)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected[: len(found)])
    assert not expected[len(found) :].any()
    if start == "zero":
        assert abs(len(found) - sound.size / rate * 1000 / step_ms) <= 1


@pytest.mark.parametrize(("start", "rate"), [("zero", RATE), ("first-spike", 44100)])
def test_every_decision_is_that_of_the_whole_recording(start: str, rate: int) -> None:
    """The final one in every bit `predict`'s, the earlier ones those of the whole recording's frames."""
    network = network_of(encoding_of(LIVE, start), seed=rate)
    sound = sliding_tone(rate, 0.29, 3)
    (whole,) = predict(network, sound, rate=rate)
    encoder = encoder_for(network.encoding, rate)
    decisions = listened(Listener(network, encoder, every=4), sound, np.random.default_rng(0), rate // 50)
    final = decisions[-1]
    assert final.is_final
    np.testing.assert_array_equal(final.scores, whole.scores, strict=True)
    assert (final.label, final.margin, final.n_steps) == (whole.label, whole.margin, network.readout.stop)

    class Ready:
        """Frames that were made of the whole recording."""

        delay_s = 0.0

        def push(self, portion: np.ndarray) -> np.ndarray:
            return portion

        def finish(self) -> np.ndarray:
            return np.zeros((0, network.encoding.n_channels), np.uint8)

    frames = binned(network.encoding, sound, rate)
    expected = [one for one in Listener(network, Ready(), every=4).push(frames) if one.n_steps < len(frames)]
    earlier = [one for one in decisions[:-1] if one.n_steps < len(frames)]
    assert len(earlier) >= 6
    for one, other in zip(earlier, expected, strict=False):
        assert one.n_steps == other.n_steps
        np.testing.assert_array_equal(one.scores, other.scores, strict=True)
    assert len({tuple(one.scores) for one in decisions}) == len(decisions)
    assert decisions[0].latency_s > encoder.delay_s > 0
    trace = engine.run(network, frames[None], record="readout")
    assert trace.readout.any()


def test_silence_after_the_last_spike_leaves_the_decision_of_the_recording() -> None:
    """A recording's frames end with its last spike, a stream's with its sound."""
    sound = np.concatenate([sliding_tone(RATE, 0.25, 1), np.zeros(round(0.15 * RATE))])
    n_steps = int(np.flatnonzero(binned(encoding_of(LIVE, n_steps=60), sound, RATE).any(axis=1)).max()) + 1
    assert 25 <= n_steps < 40  # of those of the sound
    network = network_of(encoding_of(LIVE, n_steps=n_steps), seed=5)
    (whole,) = predict(network, sound, rate=RATE)
    listener = Listener(network, encoder_for(network.encoding, RATE), every=10)
    final = listened(listener, sound, np.random.default_rng(0), 500)[-1]
    np.testing.assert_array_equal(final.scores, whole.scores, strict=True)
    assert final.n_steps == network.readout.stop


def test_a_frame_is_there_as_soon_as_the_delay_has_passed() -> None:
    encoding = encoding_of(LIVE)
    for rate, reach in ((RATE, 0), (48000, 2)):
        for frame in (1, 2, 7):
            encoder = EarEncoder(encoding, rate)
            needed = round((frame * 0.01 + encoder.delay_s) * rate) + reach
            assert len(encoder.push(np.zeros(needed))) == frame
            assert len(EarEncoder(encoding, rate).push(np.zeros(round(frame * 0.01 * rate)))) == frame - 1


def test_a_long_stream_counts_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past a recording's length no time is rounded to float32, which would be too coarse after hours."""
    sound = sliding_tone(RATE, 0.5, 2)
    encoding = encoding_of(LIVE, n_steps=50)
    usual = EarEncoder(encoding, RATE)
    expected = np.concatenate([usual.push(sound), usual.finish()])
    monkeypatch.setattr(ear_encoder, "FLOAT32_UNTIL_S", 0.25)
    encoder = EarEncoder(encoding, RATE)
    found = np.concatenate([*(encoder.push(sound[at : at + 99]) for at in range(0, sound.size, 99)), encoder.finish()])
    np.testing.assert_array_equal(found[:24], expected[:24])
    assert found.shape == expected.shape
    assert found.sum() == expected.sum()
    late = EarEncoder(encoding, RATE)._times(np.array([8000 * 86400, 8000 * 86400 + 1]))
    assert late[1] - late[0] == pytest.approx(1 / 8000)


def test_a_recording_goes_through_the_ear_of_its_network(tmp_path) -> None:
    """Both forms; the same file the same answer; another rate is resampled, unless the ear had several."""
    soundfile = pytest.importorskip("soundfile")
    sound = sliding_tone(48000, 0.25, 4)
    soundfile.write(str(tmp_path / "word.wav"), sound, 48000, subtype="DOUBLE")
    found = {}
    for ear in (LIVE, WHOLE, Ear(WHOLE.model, None)):
        network = network_of(encoding_of(ear), seed=1)
        (one,), (again,) = (predict(network, tmp_path / "word.wav") for _ in range(2))
        np.testing.assert_array_equal(one.scores, again.scores)
        (expected,) = predict(network, binned(network.encoding, sound, 48000))
        np.testing.assert_array_equal(one.scores, expected.scores)
        assert one.notes == ()
        found[ear] = tuple(one.scores)
        short = network_of(encoding_of(ear, n_steps=10), seed=1)
        (cut,) = predict(short, sound, rate=48000)
        assert "lasts 0.25 s, of which the network's sample takes the first 0.10 s" in cut.notes[0]
        # Spikes that are ready are read, too.
        (events,) = predict(network, spikes_of_sound(ear, sound, 48000))
        np.testing.assert_array_equal(events.scores, one.scores)
    assert len(set(found.values())) == 3


def test_what_the_ear_cannot_take_is_refused() -> None:
    whole = encoding_of(WHOLE)
    with pytest.raises(DataError, match=r"a recording as a whole.*--set data\.ear=causal.*encode --causal"):
        encoder_for(whole, RATE)
    assert isinstance(encoder_for(whole), EventEncoder)  # events of its ear
    with pytest.raises(DataError, match="4000 Hz is below the 8000 Hz"):
        encoder_for(encoding_of(Ear(LIVE.model, None)), 4000)
    with pytest.raises(DataError, match="not trained on spikes of the ear"):
        EarEncoder(InputEncoding(16), RATE)
    encoder = encoder_for(encoding_of(LIVE), RATE)
    for sound in (np.zeros((2, 3)), np.array([np.inf])):
        with pytest.raises(DataError, match="cannot be used"):
            encoder.push(sound)
    with pytest.raises(DataError, match=r"input 0: a sound of shape \(1,\)"):
        predict(network_of(whole), np.zeros(1), rate=RATE)
