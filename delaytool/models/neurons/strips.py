"""How the compiled loops cut a layer: strips of neurons whose state stays in the first-level cache."""

from __future__ import annotations

import numpy as np
from torch import Tensor

STRIP = 1024


def flat(tensor: Tensor) -> np.ndarray:
    """(time, batch, neuron) as (time, batch * neuron), sharing memory."""
    return tensor.detach().flatten(1).numpy()


def flat_mask(mask: Tensor | None, like: Tensor) -> np.ndarray:
    """(batch, neuron) as (batch * neuron,); empty where there is no mask."""
    chosen = like.new_empty(0) if mask is None else mask.detach().flatten()
    return chosen.contiguous().numpy()
