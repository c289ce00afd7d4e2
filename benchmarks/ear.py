"""How fast the ear is, on one thread: seconds of sound per second, stage by stage, compilation and tables excluded.

    python benchmarks/ear.py                     20 synthetic words of one second at 16 kHz
    python benchmarks/ear.py --data FOLDER       20 recordings of a folder, spread over it
    python benchmarks/ear.py --lengths           sounds of 20 different lengths

Times are those of the thread, so other work on the machine disturbs them less than those of the clock, which are
printed beside them. Run with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from delaytool.datasets.ear import EarModel, LiveEar, ear_spikes
from delaytool.datasets.ear.cells import Cells
from delaytool.datasets.ear.fast_membrane import fast_membrane
from delaytool.datasets.ear.level import leveled, windowed
from delaytool.datasets.ear.resonators import resonators
from delaytool.datasets.ear.transfer_table import BLOCK, transfer_table

RATE = 16000
Sound = tuple[np.ndarray, int]


def synthetic_words(count: int, lengths: bool) -> list[Sound]:
    """Harmonics of a voice under a few formants, loud for a third of a second, in a little noise."""
    generator = np.random.default_rng(0)
    words = []
    for index in range(count):
        seconds = 0.5 + index / count if lengths else 1.0
        t = np.arange(round(seconds * RATE)) / RATE
        pitch = generator.uniform(90, 220)
        formants = generator.uniform((300, 900, 2200), (900, 2200, 3500))
        sound = np.zeros(t.size)
        for harmonic in range(1, int(4000 / pitch)):
            strength = sum(np.exp(-(((harmonic * pitch - formant) / 200) ** 2)) for formant in formants)
            sound += strength * np.sin(2 * np.pi * harmonic * pitch * t + generator.uniform(0, 6))
        sound *= np.exp(-(((t - seconds / 2) / 0.17) ** 2))
        words.append((0.1 * sound + 0.002 * generator.standard_normal(t.size), RATE))
    return words


def recordings(folder: Path, count: int) -> list[Sound]:
    from delaytool.datasets.listings import list_recordings
    from delaytool.datasets.recordings import read_sound

    listing = list_recordings(folder)
    if listing is None:
        raise SystemExit(f"{folder}: no recordings")
    every = [recording for part in listing.parts.values() for recording in part]
    chosen = [every[index] for index in np.linspace(0, len(every) - 1, min(count, len(every))).astype(int)]
    return [read_sound(recording, None) for recording in chosen]


def measure(what: str, work: Callable[[Sound], object], sounds: list[Sound]) -> None:
    work(sounds[0])  # compiles and makes tables
    seconds = sum(sound.size / rate for sound, rate in sounds)
    clock, thread = time.perf_counter(), time.thread_time()
    for sound in sounds:
        work(sound)
    clock, thread = time.perf_counter() - clock, time.thread_time() - thread
    print(f"{what:36}{seconds / thread:8.2f} x real time{seconds / clock:10.2f} x by the clock")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="a folder of recordings")
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--lengths", action="store_true", help="synthetic words of different lengths")
    arguments = parser.parse_args()
    sounds = (
        synthetic_words(arguments.count, arguments.lengths)
        if arguments.data is None
        else recordings(arguments.data, arguments.count)
    )
    rate = sounds[0][1]
    whole, live = EarModel(), EarModel(causal=True)
    for what, make in (
        ("table of the membrane", lambda: transfer_table(whole, float(rate // 2))),
        ("resonators of the live ear", lambda: resonators(rate, live)),
    ):
        began = time.thread_time()
        make()
        print(f"{what:36}{time.thread_time() - began:8.2f} s once per process")

    def membrane(sound: Sound) -> list[np.ndarray]:
        fast = fast_membrane(sound[1], whole)
        spectrum = fast.spectrum(windowed(leveled(sound[0], whole)))
        return [fast.block(spectrum, number) for number in range(fast.n_blocks)]

    velocities = {id(sound[0]): membrane(sound) for sound in sounds[:4]}

    def cells(sound: Sound) -> None:
        for number, velocity in enumerate(velocities[id(sound[0])]):
            Cells(whole, sound[1] // 2, first=number * BLOCK, seed=0).spikes(velocity)

    measure("membrane", membrane, sounds)
    measure("hair cells, fibers and bushy cells", cells, sounds[:4])
    measure("the ear of SHD, all of it", lambda sound: ear_spikes(*sound, whole, 0), sounds)
    measure("the live ear, whole sounds", lambda sound: LiveEar(sound[1], live, 0).spikes(sound[0]), sounds)

    def stream(sound: Sound) -> None:
        ear = LiveEar(sound[1], live, 0)
        hop = sound[1] // 100
        for low in range(0, sound[0].size, hop):
            ear.spikes(sound[0][low : low + hop])

    measure("the live ear, pieces of 10 ms", stream, sounds)


if __name__ == "__main__":
    main()
