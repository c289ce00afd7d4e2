"""Recordings whose header states what no recording has: one line, and no more memory than the file explains."""

from __future__ import annotations

import io
import struct
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from delaytool.contract.ear import EarModel
from delaytool.datasets import mel as mel_module
from delaytool.datasets import recordings
from delaytool.datasets.ear.ear import ear_spikes
from delaytool.datasets.mel import MELS, mel_frames, resample
from delaytool.datasets.recordings import Recording, read_sound
from delaytool.errors import DataError
from delaytool.inference.byte_streams import Pcm

soundfile = pytest.importorskip("soundfile")

BAD_RATES = (1, 2, 3, 7, 999, 384_001, 2**31 - 1, 2**32 - 1)


def wav(path: Path, rate: int, samples: int = 4000) -> Path:
    soundfile.write(str(path), 0.3 * np.sin(np.arange(samples) / 5), 16000, subtype="PCM_16")
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 24, rate)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("rate", BAD_RATES)
def test_a_rate_that_no_recording_has_is_refused(tmp_path: Path, rate: int) -> None:
    """4,000 samples at 1 Hz became 64 million at 16 kHz, and 1.5 GiB of windows."""
    path = wav(tmp_path / "a.wav", rate)
    with pytest.raises(DataError, match=r"cannot be read|outside 1,000\.\.384,000 Hz, which recordings have; correct"):
        read_sound(Recording(path, 0, 0), None)
    sound = np.zeros(4000)
    for refused in (
        lambda: mel_frames(sound, rate, MELS["hd"], 10.0),
        lambda: mel_frames(sound, rate, replace(MELS["hd"], seconds=1.0), 10.0),
        lambda: resample(sound, rate, 16000),
        lambda: ear_spikes(sound, rate, EarModel(n_channels=10), 0),
        lambda: Pcm(io.BytesIO(bytes(100)), rate),
    ):
        with pytest.raises(DataError, match=f"{rate:,} Hz|{rate} Hz"):
            refused()


@pytest.mark.parametrize("rate", [1000, 1001, 191_999, 383_999, 384_000])
def test_memory_is_what_the_files_size_explains(tmp_path: Path, rate: int) -> None:
    """Also at rates that share no factor with 16 kHz, whose resampling kernels are long."""
    path = wav(tmp_path / "a.wav", rate, 20_000)
    tracemalloc.start()
    try:
        sound, stated = read_sound(Recording(path, 0, 0), None)
        frames = mel_frames(sound, stated, MELS["hd"], 10.0)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert stated == rate
    assert frames.shape == (1 + -(-20_000 * 16000 // rate) // 160, 40)
    assert peak < 256 << 20


def test_a_header_that_states_more_samples_than_there_are_takes_no_memory_for_them(tmp_path: Path) -> None:
    sound = 0.3 * np.sin(np.arange(4000) / 5)
    path = tmp_path / "a.flac"
    soundfile.write(str(path), sound, 16000)
    content = bytearray(path.read_bytes())
    before, _ = read_sound(Recording(path, 0, 0), None)
    content[21] |= 0x0F  # the 36 bits of the number of samples, in the block of stream information
    content[22:26] = b"\xff" * 4
    path.write_bytes(content)
    tracemalloc.start()
    found = before
    try:
        with suppress(DataError):  # other versions of libsndfile may refuse it
            found, _ = read_sound(Recording(path, 0, 0), None)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert np.array_equal(found, before)
    assert peak < 64 << 20


def test_a_recording_that_is_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = wav(tmp_path / "a.wav", 16000, 4000)
    monkeypatch.setattr(recordings, "MOST_SAMPLES", 3999)
    with pytest.raises(DataError, match="more than 3,999 samples are no recording of one class; cut it"):
        read_sound(Recording(path, 0, 0), None)


def test_pieces_of_a_recording_are_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(0)
    path = tmp_path / "a.wav"
    soundfile.write(str(path), draw.uniform(-0.5, 0.5, (5000, 3)), 16000, subtype="PCM_24")
    whole, _ = soundfile.read(str(path), dtype="float64", always_2d=True)
    monkeypatch.setattr(recordings, "SAMPLES_AT_ONCE", 3 * 700)
    sound, rate = read_sound(Recording(path, 0, 0), None)
    assert np.array_equal(sound, whole.mean(axis=1))
    frames = mel_frames(sound, rate, MELS["hd"], 10.0)
    monkeypatch.setattr(mel_module, "AT_ONCE", 7 * MELS["hd"].n_fft)
    assert np.array_equal(mel_frames(sound, rate, MELS["hd"], 10.0), frames)
