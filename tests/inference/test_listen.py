"""Decisions about a stream: against the reference, and against the decision about the file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inference_networks import network_of, sound_encoding

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import DataError
from delaytool.inference.encoders import EventEncoder, encoder_for
from delaytool.inference.listen import Listener
from delaytool.inference.predict import predict
from delaytool.runtime import reference
from delaytool.runtime.decode import decode


def events(rng: np.random.Generator, seconds: float, n_units: int = 40) -> tuple[np.ndarray, np.ndarray]:
    n_events = int(rng.integers(1, 400))
    return np.sort(rng.uniform(0, seconds, n_events)).astype(np.float32), rng.integers(0, n_units, n_events)


@given(
    seed=st.integers(0, 2**32 - 1),
    start=st.sampled_from(["zero", "first-spike"]),
    method=st.sampled_from(["sum", "softmax-sum"]),
    n_frames=st.sampled_from([30, 100]),
    stop=st.sampled_from([4, 20, 30, 43]),
)
@settings(max_examples=60)
def test_the_final_decision_is_that_of_the_file(seed: int, start: str, method: str, n_frames: int, stop: int) -> None:
    """Also where the readout's window ends before the input does."""
    rng = np.random.default_rng(seed)
    network = network_of(InputEncoding(40, channel_bins=2, max_count=3, n_steps=30, start=start), seed, method)
    encoding, readout = replace(network.encoding, n_steps=n_frames), replace(network.readout, stop=stop)
    network = replace(network, encoding=encoding, readout=readout)
    times, units = events(rng, float(rng.uniform(0.01, 0.29)))
    (whole,) = predict(network, (times, units))
    listener = Listener(network, EventEncoder(network.encoding), every=7)
    for index in range(times.size):
        listener.push((times[index : index + 1], units[index : index + 1]))
    final = listener.finish()[-1]
    assert final.is_final
    assert final.n_steps == network.readout.stop
    np.testing.assert_array_equal(final.scores, whole.scores, strict=True)
    assert (final.label, final.class_name, final.margin) == (whole.label, whole.class_name, whole.margin)


@given(seed=st.integers(0, 2**32 - 1), method=st.sampled_from(["sum", "softmax-sum"]))
@settings(max_examples=20)
def test_every_decision_is_the_readout_over_its_last_steps(seed: int, method: str) -> None:
    rng = np.random.default_rng(seed)
    network = network_of(InputEncoding(40, channel_bins=2, max_count=3, n_steps=30, start="zero"), seed, method)
    times, units = events(rng, 0.9)
    every = int(rng.integers(1, 12))
    listener = Listener(network, EventEncoder(network.encoding), every)
    decisions = listener.push((times, units)) + listener.finish()
    n_frames = int(np.floor(times.max() / np.float64(0.01))) + 1
    n_steps = n_frames + (network.readout.stop - 30) if n_frames > 30 else network.readout.stop
    assert decisions[-1].n_steps == n_steps
    counted = [step for step in range(every, n_frames + 1, every) if step > network.readout.start]
    assert [one.n_steps for one in decisions[:-1]] == counted
    width = network.readout.stop - network.readout.start
    long = EventEncoder(network.encoding)
    frames = np.concatenate([long.push((times, units)), long.finish()])[None]
    for one in decisions:
        first = max(network.readout.start, one.n_steps - width)
        window = replace(network.readout, start=first, stop=one.n_steps)
        alike = replace(network, n_steps=n_steps, readout=window)
        expected = decode(alike, reference.run(alike, frames).readout)
        np.testing.assert_array_equal(one.scores, expected[1][0])
        assert one.label == expected[0][0]
        assert one.n_window_steps == one.n_steps - first
        assert one.margin >= 0


@pytest.mark.parametrize("more", [-1, 0, 1, 50])
def test_silence_at_the_end_counts_as_the_files_up_to_the_end_of_the_window(more: int) -> None:
    """Later the window has moved on: the final decision counts the stream's last steps."""
    network = network_of(InputEncoding(40, channel_bins=2, max_count=3, n_steps=30, start="zero"), 3)
    given = events(np.random.default_rng(3), 0.29)
    (whole,) = predict(network, given)
    n_frames, stop = network.readout.stop + more, network.readout.stop
    listener = Listener(network, EventEncoder(network.encoding))
    listener.push(given)
    listener.advance((n_frames - 0.5) / 100)
    final = listener.finish()[-1]
    if more <= 0:
        np.testing.assert_array_equal(final.scores, whole.scores)
        return
    n_steps = n_frames + stop - 30
    window = replace(network.readout, start=n_steps - (stop - network.readout.start), stop=n_steps)
    alike = replace(network, n_steps=n_steps, readout=window)
    encoder = EventEncoder(network.encoding)
    frames = np.concatenate([encoder.push(given), encoder.finish()])[None]
    np.testing.assert_array_equal(final.scores, decode(alike, reference.run(alike, frames).readout)[1][0])
    assert not np.array_equal(final.scores, whole.scores)


def test_sound_in_portions_is_the_file(chirp) -> None:
    pytest.importorskip("scipy")
    for rate, seconds in ((8000, 0.5), (16000, 0.31), (44100, 0.5)):
        network = network_of(sound_encoding(), seed=rate)
        sound = chirp(rate, seconds) / 32768
        (whole,) = predict(network, sound, rate=rate)
        listener = Listener(network, encoder_for(network.encoding, rate), every=10)
        decisions = [one for low in range(0, sound.size, 777) for one in listener.push(sound[low : low + 777])]
        decisions += listener.finish()
        np.testing.assert_array_equal(decisions[-1].scores, whole.scores)
        assert [one.n_steps for one in decisions] == [10, 20, 30, 40, 50, network.readout.stop]


def test_what_a_decision_took_is_measured(event_network) -> None:
    listener = Listener(event_network, EventEncoder(event_network.encoding), every=5)
    assert listener.seconds_per_step == 0
    decisions = listener.push((np.arange(30) / 100, np.arange(30))) + listener.finish()
    for one in decisions:
        assert one.seconds_per_step > 0
        assert one.latency_s > 0
        assert one.real_time_factor == one.seconds_per_step / 0.01
    assert listener.seconds_per_step * listener.n_steps >= decisions[-1].seconds_per_step
    with pytest.raises(DataError, match="every 0 steps"):
        Listener(event_network, EventEncoder(event_network.encoding), every=0)
