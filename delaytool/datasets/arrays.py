"""What a user has in memory, a tensor, an array or nested lists, as an array; no PyTorch is imported."""

from __future__ import annotations

from typing import Any

import numpy as np

from delaytool.errors import DataError, first_line


def array_of(values: Any) -> np.ndarray:
    """A tensor on any device, an array or nested lists as an array; without copying where that can be.

    Raises DataError for lists of unequal lengths, and for what is no numbers at all.
    """
    if hasattr(values, "detach") and hasattr(values, "cpu"):  # a PyTorch tensor
        values = values.detach().cpu()
        values = (values.float() if str(values.dtype) == "torch.bfloat16" else values).numpy()  # NumPy has no bfloat16
    try:
        return np.asarray(values)
    except ValueError:
        raise DataError("a list holds lists of unequal lengths; give samples of one length, or events") from None
    except (TypeError, RuntimeError) as error:  # a list of tensors that need gradients, for one
        raise DataError(f"a list cannot be made an array ({first_line(error)}); give an array or a tensor") from None


def are_whole(values: np.ndarray) -> bool:
    """Whether numbers of any type are all integers."""
    return values.dtype.kind in "biu" or (values.dtype.kind == "f" and bool((values == np.floor(values)).all()))


def count_frames(values: Any) -> np.ndarray:
    """Frames (sample, time, channel) of spike counts, as integers whatever their type.

    Raises DataError for another shape and for numbers that are no counts.
    """
    frames = array_of(values)
    if frames.ndim != 3:
        raise DataError(f"frames have shape {frames.shape}; (samples, steps, channels) are needed")
    if frames.dtype.kind in "biu":
        return frames
    if not are_whole(frames):
        raise DataError(
            f"frames hold {frames.dtype} values that are not whole numbers; give spike counts, or quantize real "
            "numbers as the network's encoding sets"
        )
    low, high = float(frames.min(initial=0)), float(frames.max(initial=0))
    if low < 0 or high > 255:
        raise DataError(f"frames hold the value {low if low < 0 else high:g}; spike counts are 0..255")
    return frames.astype(np.uint8)
