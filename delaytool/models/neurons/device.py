"""Which implementation of the loops over time a tensor gets."""

from __future__ import annotations

import importlib.util
from functools import cache

from torch import Tensor

from delaytool.models.convolution import COMPILED_TYPES
from delaytool.models.neurons import stepwise
from delaytool.models.neurons.loops import Loops


def loops_for(tensor: Tensor) -> Loops:
    """The fastest implementation that the tensor's device and type have: numba on CPUs, Triton on NVIDIA GPUs.

    Types other than float32 and float64, and every other device, take PyTorch's own operations, step by step.
    """
    return _implementation(tensor.device.type if tensor.dtype in COMPILED_TYPES else "any")


@cache
def _implementation(device: str) -> Loops:
    # Imported when first used: numba takes a second, and Triton is only there beside CUDA.
    if device == "cpu":
        from delaytool.models.neurons import compiled

        return compiled
    if device == "cuda" and importlib.util.find_spec("triton") is not None:
        from delaytool.models.neurons import triton_loops

        return triton_loops
    return stepwise
