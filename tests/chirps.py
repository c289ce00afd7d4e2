"""Folders of recordings in small, of chirps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

# (from, to) in Hz: what these words sound like here.
WORDS = {"bed": (300, 3000), "cat": (3000, 300), "dog": (800, 900), "tree": (2500, 2400)}


def write_chirp(path: Path, start: float, end: float, seconds: float = 1.0, rate: int = 16000, seed: int = 0) -> None:
    """A tone that slides from `start` to `end` Hz, with a little noise, as a file of 16 bits."""
    soundfile = pytest.importorskip("soundfile")
    time = np.arange(round(seconds * rate)) / rate
    sound = 0.3 * np.sin(2 * np.pi * (start + (end - start) * time / seconds / 2) * time)
    sound += 0.01 * np.random.default_rng(seed).standard_normal(time.size)
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(str(path), sound, rate)


def speech_folder(folder: Path) -> Path:
    """Speech Commands: 4 words of 6 speakers, its lists (speaker 4 is validation, 5 test), background noise."""
    for seed, (word, (start, end)) in enumerate(WORDS.items()):
        for speaker in range(6):
            name = f"{speaker:08x}_nohash_{seed % 2}.wav"
            write_chirp(folder / word / name, start + 10 * speaker, end, 1.0 - 0.1 * (speaker % 2), seed=seed)
    for number in range(2):
        write_chirp(folder / "_background_noise_" / f"noise{number}.wav", 50, 60, 2.0, seed=number)
    for file, speaker in (("validation_list.txt", 4), ("testing_list.txt", 5)):
        names = [f"{word}/{speaker:08x}_nohash_{seed % 2}.wav" for seed, word in enumerate(WORDS)]
        (folder / file).write_text("\n".join([*names, "gone/00000000_nohash_0.wav", ""]))
    return folder


def heidelberg_folder(folder: Path) -> Path:
    """The Heidelberg Digits: 0 and 1 in two languages by 4 speakers at 48 kHz, without lists."""
    for number, language in enumerate(("english", "german")):
        for speaker in range(4):
            for digit in range(2):
                name = f"lang-{language}_speaker-{speaker:02d}_trial-{digit}_digit-{digit}.flac"
                start, end = (500, 3000)[digit], (500, 3000)[number]
                write_chirp(folder / "audio" / name, start + speaker, end, 0.3 + 0.05 * speaker, 48000, seed=speaker)
    return folder
