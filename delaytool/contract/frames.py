"""Input frames: the check that every backend makes, and their length."""

from __future__ import annotations

from typing import Any

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import DataError


def checked_frames(encoding: InputEncoding, frames: Any) -> np.ndarray:
    """Frames (sample, time, channel) as contiguous, writable uint8, if the network's encoding admits every value.

    Raises DataError for another shape, for anything but integers and truth values, and for a value below 0 or above
    the encoding's largest payload. Any number of steps is admitted: missing ones are silence, others are cut.
    """
    frames = np.asarray(frames)
    if frames.ndim != 3 or frames.shape[2] != encoding.n_channels:
        raise DataError(
            f"frames have shape {frames.shape}, the network reads (samples, steps, {encoding.n_channels} channels)"
        )
    _check_values("frames hold", encoding, frames)
    frames = np.ascontiguousarray(frames, dtype=np.uint8)
    # To numba a read-only array is another type, which would be compiled for anew.
    return frames if frames.flags.writeable else frames.copy()


def padded_input(frames: np.ndarray, n_steps: int) -> np.ndarray:
    """Frames (sample, time, channel) lengthened with silence, or cut, to (sample, n_steps, channel)."""
    given = frames.shape[1]
    if given >= n_steps:
        return frames[:, :n_steps]
    return np.pad(frames, ((0, 0), (0, n_steps - given), (0, 0)))


def checked_frame(encoding: InputEncoding, frame: Any) -> np.ndarray:
    """One step's frame (channel,) as uint8, checked as `checked_frames` does."""
    frame = np.asarray(frame)
    if frame.shape != (encoding.n_channels,):
        raise DataError(f"a frame has shape {frame.shape}, the network reads ({encoding.n_channels} channels,)")
    _check_values("a frame holds", encoding, frame)
    return frame.astype(np.uint8)


def _check_values(subject: str, encoding: InputEncoding, values: np.ndarray) -> None:
    if values.dtype.kind not in "bui":  # to numpy's issubdtype a span of time is an integer, too
        raise DataError(f"{subject} {values.dtype} values, the network reads integers; bin the events first")
    if values.size:
        low = 0 if values.dtype.kind in "bu" else int(values.min())
        high = int(values.max())
        if low < 0 or high > encoding.max_payload:
            worst = low if low < 0 else high
            raise DataError(f"{subject} the value {worst}, the network's encoding admits 0..{encoding.max_payload}")
