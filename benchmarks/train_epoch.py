"""A whole epoch as `delaytool train` runs it, and the loading before: shuffling, steps, validation, checkpoints.

    python benchmarks/train_epoch.py                     SHD's size on synthetic spikes, all cores
    python benchmarks/train_epoch.py --size SSC --samples 2048
    python benchmarks/train_epoch.py --data FOLDER       on a folder of HDF5 files in SHD's layout

Synthetic spikes have the density of speech: 10 % of the values of a frame are not zero. Prints seconds for loading and
for each epoch, the share of training steps, and what all epochs of the preset over all samples would take at that rate.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from delaytool.trainer.loop import train
from delaytool.trainer.recipe import load_recipe
from delaytool.trainer.reporter import Reporter

# name: (preset, classes, training samples of the real data set)
SIZES = {"SHD": ("shd-2l-1kc", 20, 8156), "SSC": ("ssc-3l-1kc", 35, 75466)}
UNITS, SECONDS, SPIKES = 700, 1.0, 1900


def write_events(path: Path, samples: int, classes: int, seed: int) -> None:
    """Random events over a second and 700 units: about 10 % of the frames' values are not zero."""
    rng = np.random.default_rng(seed)
    labels = np.arange(samples, dtype=np.int64) % classes
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (samples,), h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (samples,), h5py.vlen_dtype(np.int64))
        for index, label in enumerate(labels):
            count = int(rng.normal(SPIKES, SPIKES / 10))
            times[index] = np.sort(rng.uniform(0, SECONDS - 0.01, count)).astype(np.float16)
            units[index] = (rng.normal(UNITS * label / classes, UNITS / 3, count) % UNITS).astype(np.int64)
        file["labels"] = labels


def write_data(folder: Path, size: str, samples: int) -> None:
    """A folder of synthetic data, of which so many samples are left to train on when a fifth validates."""
    _, classes, _ = SIZES[size]
    write_events(folder / "shd_train.h5", samples * 5 // 4, classes, 0)
    write_events(folder / "shd_test.h5", 256, classes, 1)


class Clock(Reporter):
    """When training begins, when each epoch's last batch is done, when each epoch ends."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.loaded = 0.0
        self.last_batch = 0.0
        self.epochs: list[tuple[float, float]] = []  # (steps, whole)
        self.epoch_began = 0.0

    def begin(self, *arguments: Any) -> None:
        self.loaded = self.epoch_began = time.perf_counter()

    def batch(self, epoch: int, index: int, count: int, loss: float | None) -> None:
        self.last_batch = time.perf_counter()

    def epoch(self, metrics: dict[str, Any], is_best: bool) -> None:
        now = time.perf_counter()
        self.epochs.append((self.last_batch - self.epoch_began, now - self.epoch_began))
        self.epoch_began = now


@dataclass(frozen=True)
class Epochs:
    """Seconds of a run: loading, then (training steps, everything) of each epoch; and how the samples were split."""

    loading_s: float
    epochs: list[tuple[float, float]]
    samples: int
    split: str

    @property
    def fastest_s(self) -> float:
        return min(whole for _, whole in self.epochs)


def run_epochs(size: str, samples: int, epochs: int, settings: Sequence[str] = (), data: str | None = None) -> Epochs:
    """Train a few epochs of a preset on so many synthetic training samples, or on the data of a folder."""
    preset = SIZES[size][0]
    with tempfile.TemporaryDirectory() as folder:
        source = data
        if source is None:
            source = str(Path(folder) / "data")
            Path(source).mkdir()
            write_data(Path(source), size, samples)
        own = [f"data.source='{source}'", "data.split_by=stratified", f"trainer.epochs={epochs}"]
        clock = Clock()
        summary = train(load_recipe(preset, [*own, *settings]), Path(folder) / "run", reporter=clock)
    return Epochs(clock.loaded - clock.began, clock.epochs, samples, summary["split"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="SHD", choices=list(SIZES))
    parser.add_argument("--samples", type=int, default=2048, help="synthetic training samples")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--data", help="real data instead")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    preset, _, all_samples = SIZES[options.size]
    measured = run_epochs(options.size, options.samples, options.epochs, options.settings, options.data)
    print(f"{preset}, PyTorch {torch.__version__}, {torch.get_num_threads()} thread(s); {measured.split}")
    print(f"loading and binning   {measured.loading_s:8.2f} s")
    for number, (steps, whole) in enumerate(measured.epochs, start=1):
        print(f"epoch {number:<3} {whole:8.2f} s, of which training steps {100 * steps / whole:.1f} %")
    epochs = load_recipe(preset).trainer.epochs
    if options.data is None:
        hours = measured.fastest_s / options.samples * all_samples * epochs / 3600
        print(f"at this rate {epochs} epochs of {all_samples:,} samples take {hours:.2f} h")


if __name__ == "__main__":
    main()
