"""A small file of random spikes in SHD's layout: 12 units, two classes in turn."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

N_SAMPLES = 50


def write_spikes(path: Path, seed: int = 0) -> Path:
    random = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (N_SAMPLES,), h5py.vlen_dtype(np.float32))
        units = file.create_dataset("spikes/units", (N_SAMPLES,), h5py.vlen_dtype(np.uint16))
        for sample in range(N_SAMPLES):
            times[sample] = np.sort(random.random(30, np.float32)) * 0.2
            units[sample] = random.integers(12, size=30)
        file["labels"] = np.arange(N_SAMPLES) % 2
    return path
