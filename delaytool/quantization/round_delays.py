"""Delays become whole steps, at most the target's longest."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from delaytool.errors import ExportError
from delaytool.hw_configs import Target
from delaytool.quantization.program import FloatLayer, Program


def round_delays(program: Program, target: Target, clip: bool = False) -> Program:
    """Round as the trainer's evaluation does (half to even). Delays over the limit: an error, or clipped and counted.

    Raises ExportError naming the layer, the delay and the limit.
    """
    return replace(program, layers=tuple(_rounded(layer, target, clip) for layer in program.layers))


def _rounded(layer: FloatLayer, target: Target, clip: bool) -> FloatLayer:
    delay, clipped = _rounded_delays(layer.name, layer.weight, layer.delay, target, clip)
    recurrent = layer.recurrent
    if recurrent is not None:
        within, more = _rounded_delays(f"{layer.name} (recurrent)", recurrent.weight, recurrent.delay, target, clip)
        recurrent = replace(recurrent, delay=within)
        clipped += more
    return replace(layer, delay=delay, recurrent=recurrent, clipped_delays=clipped)


def _rounded_delays(
    name: str, weight: np.ndarray, delay: np.ndarray, target: Target, clip: bool
) -> tuple[np.ndarray, int]:
    """(whole delays, how many were clipped)."""
    limit = target.limits.delay_max
    # In float32, as trained: a delay must round here as it does in the trainer's evaluation.
    delay = np.round(delay.astype(np.float32)).astype(np.float64)
    over = (delay > limit) & (weight != 0)  # a tap that does not exist takes no room
    if over.any() and not clip:
        raise ExportError(
            f"layer {name}: delay {int(delay[over].max())} exceeds {target.name}'s {limit} "
            f"({int(over.sum())} of {delay.size} taps do); retrain with --max-delay {limit} "
            "or export with --clip-delays"
        )
    return np.minimum(delay, limit), int(over.sum())
