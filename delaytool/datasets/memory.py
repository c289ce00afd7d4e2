"""Memory for frames, allocated at once; more than the machine has is refused before."""

from __future__ import annotations

import os

import numpy as np

from delaytool.errors import DataError

# (time, channel) cells of one sample: a sample's counts are made at once, 8 bytes per cell.
MAX_CELLS = 1 << 27


def new_frames(name: str, n_samples: int, n_steps: int, n_channels: int) -> np.ndarray:
    """(sample, time, channel) uint8 zeros. Raises DataError where the machine has no room for them."""
    smaller = "choose a longer data.time_step_ms, more data.channel_bins or fewer data.n_steps"
    if n_steps * n_channels > MAX_CELLS:
        raise DataError(
            f"{name}: a sample of {n_steps:,} steps and {n_channels:,} channels is over the limit of {MAX_CELLS:,} "
            f"values; {smaller}"
        )
    shape = (n_samples, n_steps, n_channels)
    size = n_samples * n_steps * n_channels
    memory = _physical_memory()
    try:
        if memory is not None and size > memory:
            raise MemoryError
        return np.zeros(shape, np.uint8)
    except MemoryError:
        raise DataError(
            f"{name}: its frames {shape} need {size / 1e9:.1f} GB, more than this machine has; {smaller}, "
            f"or give fewer samples"
        ) from None


def _physical_memory() -> int | None:
    """Bytes, or None where the system does not report it."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None
