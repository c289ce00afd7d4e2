"""How many integer units 1.0 is worth, layer by layer, by measured agreement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from delaytool.contract.reach import check_accumulators
from delaytool.errors import ExportError, NetworkError
from delaytool.hw_configs import Target
from delaytool.quantization.float_simulation import simulate_float
from delaytool.quantization.program import FloatLayer, Program
from delaytool.quantization.quantize import integer_layer
from delaytool.quantization.scales import Scale
from delaytool.quantization.state_bounds import state_bounds
from delaytool.runtime.backends.torch import padded_frames, run_layer

# Weight resolution against range: 1 keeps the largest weight inside, 2 clips at half of it. Measured, not assumed.
STRETCHES = (1.0, 1.1, 1.25, 1.4, 1.6, 2.0, 2.5, 3.2)
# Below exponent 0 weights use less than their range, by up to this many halvings, so that sums stay inside 24 bits.
COARSER = 8
# Thresholds tried around the exact one, as shares of it.
THRESHOLD_SHIFTS = (0.0, -0.02, -0.01, -0.005, 0.005, 0.01, 0.02)


def choose_scale(
    program: Program,
    target: Target,
    frames: np.ndarray,
    progress: Callable[[str, int, int], None] | None = None,
    *,
    headroom: float = 1.0,
) -> Program:
    """Give every layer the scale whose integers follow the float network best on calibration frames.

    frames     (sample, time, channel): samples that were not trained on
    progress   called with (layer, scales tried, scales to try)
    headroom   the factor by which sums may grow, in training that follows, before a proof is lost

    From the input on, each layer is simulated in integers on the spikes of the integer layers before it, and compared
    with the rounded float network's spikes (of the readout: its membrane) in the same steps. Where there are scales at
    which, for any input, no current can wrap and the readout cannot reach its threshold, only those are tried.
    Raises ExportError where not even the smallest scale fits the target, and where a layer never fires.
    """
    wanted = simulate_float(program, frames)
    _refuse_silence(program, wanted)
    chosen: list[FloatLayer] = []
    sent = [padded_frames(torch.from_numpy(frames), program.chip_steps)]
    for index in range(len(program.layers)):
        best = _choose(program, index, target, sent, wanted[index], progress, headroom)
        chosen.append(best)
        sent.append(run_layer(integer_layer(best, index, target), sent, program.payloads).spikes.float())
    return replace(program, layers=tuple(chosen))


def _choose(
    program: Program,
    index: int,
    target: Target,
    sent: list[Tensor],
    wanted: Tensor,
    progress: Callable[[str, int, int], None] | None,
    headroom: float,
) -> FloatLayer:
    layer = program.layers[index]
    candidates = list(_candidates(program, index, target, headroom))
    if not candidates:
        raise ExportError(
            f"layer {layer.name}: no scale fits {target.name}: its largest weight is {np.abs(layer.weight).max():.4g}, "
            f"its largest bias {np.abs(layer.bias).max():.4g}; retrain with more trainer.weight_decay, "
            "or with model.bias and model.batch_norm set to false"
        )

    def measured(scale: Scale) -> FloatLayer:
        tried.append(_measured(program, index, target, sent, wanted, scale))
        if progress is not None:
            progress(layer.name, len(tried), total)
        return tried[-1]

    tried: list[FloatLayer] = []
    total = len(candidates) + (0 if layer.threshold is None else 2 + len(THRESHOLD_SHIFTS))
    best = min((measured(scale) for scale in candidates), key=_disagreement)
    assert best.scale is not None
    if layer.threshold is not None:
        for threshold in _thresholds(best.scale, target):
            measured(replace(best.scale, threshold=threshold))
    if progress is not None:
        progress(layer.name, total, total)
    return min(tried, key=_disagreement)


def _disagreement(layer: FloatLayer) -> float:
    return layer.disagreement


def _candidates(program: Program, index: int, target: Target, headroom: float) -> Iterator[Scale]:
    """One scale per stretch: the finest that is proven safe, or else the coarsest that fits the target."""
    layer, limits = program.layers[index], target.limits
    largest = float(np.abs(layer.weight).max())
    if largest == 0:
        raise ExportError(f"layer {layer.name}: every weight is 0, so it has no input; train longer")
    for stretch in STRETCHES:
        fitting = []
        for power in range(limits.weight_exponent_max, -COARSER, -1):
            per_unit = stretch * limits.weight_max / largest * 2.0**power
            exponent = max(power, 0)
            wish = limits.threshold_max if layer.threshold is None else round(per_unit * layer.threshold)
            if not 1 <= wish <= limits.threshold_max:
                continue
            scale = Scale(per_unit, exponent, wish)
            try:
                built = integer_layer(replace(layer, scale=scale), index, target)
                check_accumulators(built, program.payloads)
            except (ExportError, NetworkError):  # a bias beyond the target's, a sum beyond 32 bits
                continue
            bounds = state_bounds(built, program.payloads).grown(headroom)
            fitting.append(scale)
            if bounds.no_wrap and (layer.threshold is not None or bounds.never_fires):
                break
        if fitting:
            yield fitting[-1]


def _thresholds(scale: Scale, target: Target) -> list[int]:
    exact = scale.threshold
    tried = {exact - 1, exact + 1, *(round(exact * (1 + shift)) for shift in THRESHOLD_SHIFTS)}
    return sorted(value for value in tried - {exact} if 1 <= value <= target.limits.threshold_max)


def _measured(
    program: Program, index: int, target: Target, sent: list[Tensor], wanted: Tensor, scale: Scale
) -> FloatLayer:
    """The layer with this scale, and how far its integers are from the float layer."""
    layer = replace(program.layers[index], scale=scale)
    trace = run_layer(integer_layer(layer, index, target), sent, program.payloads)
    late = program.late[index]
    if layer.threshold is not None:
        spikes = trace.spikes[:, late : late + wanted.shape[1]].float()
        differing = float((spikes != wanted).sum()) / max(1.0, float(wanted.sum()))
        return replace(layer, disagreement=differing)
    membrane = trace.v[:, late : late + wanted.shape[1]].double() / scale.state_unit
    error = float((membrane - wanted).square().mean().sqrt() / wanted.double().square().mean().sqrt().clamp(min=1e-12))
    return replace(layer, disagreement=error)


def _refuse_silence(program: Program, wanted: list[Tensor]) -> None:
    for layer, spikes in zip(program.layers, wanted, strict=True):
        if layer.threshold is not None and not bool(spikes.any()):
            raise ExportError(
                f"layer {layer.name}: it never fires on the calibration samples, so nothing reaches the readout; "
                "train longer, or check that the data is the one that it was trained on"
            )
