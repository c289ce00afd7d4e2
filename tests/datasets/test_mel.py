"""Mel frames: equal to a plain loop, to librosa and, where it loads, to torchaudio."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from delaytool.contract.encoding import MelSpectrogram
from delaytool.datasets.mel import FLOOR_DB, MELS, filterbank, mel_frames, resample
from delaytool.errors import NetworkError

SMALL = MelSpectrogram(sample_rate=1000, window=12, n_fft=16, n_mels=4, f_min=20.0, f_max=500.0)
HALF_PRECISION = 0.04  # decibels: half the distance of two float16 beyond 64


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(samples) * np.hanning(samples)


def frames_by_loops(sound: np.ndarray, mel: MelSpectrogram, hop: int) -> np.ndarray:
    """The definition, line by line, with a Fourier transform by its sum."""
    low, high = 2595 * math.log10(1 + mel.f_min / 700), 2595 * math.log10(1 + mel.f_max / 700)
    points = [700 * (10 ** (place / 2595) - 1) for place in np.linspace(low, high, mel.n_mels + 2)]
    half, left = mel.n_fft // 2, (mel.n_fft - mel.window) // 2
    frames = []
    for center in range(0, len(sound) + 1, hop):
        powers = []
        for line in range(half + 1):
            total = 0j
            for place in range(mel.window):
                at = abs(center - half + left + place)  # reflected at the start
                at = 2 * (len(sound) - 1) - at if at >= len(sound) else at  # and at the end
                hann = 0.5 - 0.5 * math.cos(2 * math.pi * place / mel.window)
                total += hann * sound[at] * np.exp(-2j * math.pi * line * (left + place) / mel.n_fft)
            powers.append(abs(total) ** 2)
        row = []
        for low, middle, high in zip(points, points[1:], points[2:], strict=False):
            energy = 0.0
            for line, power in enumerate(powers):
                frequency = line * mel.sample_rate / mel.n_fft
                if low < frequency < high:
                    up, down = (frequency - low) / (middle - low), (high - frequency) / (high - middle)
                    energy += min(up, down) * power
            row.append(10 * math.log10(max(energy, 1e-10)))
        frames.append(row)
    return np.array(frames)


@pytest.mark.parametrize("samples", [40, 47, 60])
def test_frames_are_those_of_the_definition(samples: int) -> None:
    sound = noise(samples)
    made = mel_frames(sound, 1000, SMALL, 10.0)
    assert made.dtype == np.float16
    assert np.allclose(made, frames_by_loops(sound, SMALL, 10), atol=HALF_PRECISION)


def test_the_papers_filters_above_half_the_sampling_rate_are_empty() -> None:
    paper, corrected = MELS["gsc-paper"], MELS["gsc-corrected"]
    assert np.flatnonzero(~filterbank(paper).any(axis=0)).tolist() == list(range(87, 140))  # 53 of 140
    assert filterbank(corrected).any(axis=0).all()
    assert (~filterbank(replace(corrected, n_fft=256)).any(axis=0)).sum() == 7
    assert filterbank(MELS["hd"]).any(axis=0).all()
    frames = mel_frames(noise(8000), 8000, paper, 10.0)
    assert frames.shape == (101, 140)
    assert (frames[:, 87:] == FLOOR_DB).all()
    assert (frames[20:80, :87] > FLOOR_DB).all()


@pytest.mark.filterwarnings("ignore:Empty filters")
@pytest.mark.parametrize("name", MELS)
def test_filters_and_frames_are_librosas(name: str) -> None:
    librosa = pytest.importorskip("librosa")
    mel = MELS[name]
    bank = librosa.filters.mel(
        sr=mel.sample_rate, n_fft=mel.n_fft, n_mels=mel.n_mels, fmin=mel.f_min, fmax=mel.f_max, htk=True, norm=None,
        dtype=np.float64,
    )  # fmt: skip
    assert np.allclose(filterbank(mel), bank.T, atol=1e-10)
    sound = noise(mel.sample_rate)
    spectrum = librosa.stft(
        sound, n_fft=mel.n_fft, hop_length=mel.hop(10.0), win_length=mel.window, window="hann", pad_mode="reflect"
    )
    expected = librosa.power_to_db(bank @ np.abs(spectrum) ** 2, top_db=None).T
    assert np.allclose(mel_frames(sound, mel.sample_rate, mel, 10.0), expected, atol=HALF_PRECISION)


@pytest.mark.parametrize(("rate", "wanted"), [(16000, 8000), (48000, 16000), (44100, 16000), (8000, 16000)])
def test_resampling_and_frames_are_torchaudios(rate: int, wanted: int) -> None:
    pytest.importorskip("scipy")
    try:
        import torch
        import torchaudio
    except (ImportError, OSError):  # a build for another PyTorch does not load
        pytest.skip("no torchaudio that loads")
    sound = noise(rate)
    given = torch.from_numpy(sound)
    expected = torchaudio.functional.resample(given, rate, wanted)
    assert np.allclose(resample(sound, rate, wanted), expected.numpy(), atol=1e-12)
    mel = MELS["gsc-paper"]
    power = torchaudio.transforms.Spectrogram(n_fft=256, hop_length=80, power=2).double()(
        torchaudio.functional.resample(given, rate, 8000)
    )
    bank = torchaudio.transforms.MelScale(n_mels=140, sample_rate=8000, f_min=50, f_max=14000, n_stft=129).double()
    decibels = torchaudio.transforms.AmplitudeToDB()(bank(power)).numpy().T
    assert np.allclose(mel_frames(sound, rate, mel, 10.0), decibels, atol=HALF_PRECISION)


def test_resampling_keeps_what_fits_and_drops_what_does_not() -> None:
    pytest.importorskip("scipy")
    time, half = np.arange(16000) / 16000, np.arange(8000) / 8000
    inner = slice(200, -200)
    kept = resample(np.sin(2 * np.pi * 1000 * time), 16000, 8000)
    assert np.abs(kept - np.sin(2 * np.pi * 1000 * half))[inner].max() < 0.01
    assert np.abs(resample(np.sin(2 * np.pi * 6000 * time), 16000, 8000))[inner].max() < 0.02


def test_recordings_are_cut_and_padded_to_their_seconds() -> None:
    mel = replace(SMALL, seconds=0.1)
    assert mel_frames(noise(300), 1000, mel, 10.0).shape == (11, 4)
    short = mel_frames(noise(50), 1000, mel, 10.0)
    assert short.shape == (11, 4)
    assert (short[8:] == FLOOR_DB).all()
    assert mel_frames(noise(3), 1000, SMALL, 10.0).shape == (1, 4)


def test_a_step_must_be_a_whole_number_of_samples() -> None:
    with pytest.raises(NetworkError, match=r"a time step of 0\.3 ms is 2\.4 samples at 8000 Hz"):
        MELS["gsc-paper"].hop(0.3)
