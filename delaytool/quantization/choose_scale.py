"""How many integer units 1.0 is worth, layer by layer, and how well the integers then follow the network.

Scales are chosen by measured agreement. A network that was trained through a chip's integers has its own; how well they
do is measured in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from delaytool.contract.frames import checked_frames, padded_input
from delaytool.contract.layer import IntegerLayer
from delaytool.contract.reach import state_bounds
from delaytool.errors import ExportError
from delaytool.hw_configs import Target
from delaytool.quantization.float_simulation import simulate_float
from delaytool.quantization.integer_training import TrainedNetwork
from delaytool.quantization.program import FloatLayer, Program
from delaytool.quantization.quantize import integer_layer
from delaytool.quantization.scales import Scale

# Weight resolution against range: 1 keeps the largest weight inside, 2 clips at half of it. Measured, not assumed.
STRETCHES = (1.0, 1.1, 1.25, 1.4, 1.6, 2.0, 2.5, 3.2)
# Below exponent 0 weights use less than their range, by up to this many halvings, so that sums stay inside 24 bits.
COARSER = 8
# Thresholds tried around the exact one, as shares of it.
THRESHOLD_SHIFTS = (0.0, -0.02, -0.01, -0.005, 0.005, 0.01, 0.02)


class SilentLayerError(ExportError):
    """A hidden layer, `layer`, that never fires on the calibration samples."""

    def __init__(self, layer: str) -> None:
        super().__init__(
            f"layer {layer}: it never fires on the calibration samples, so nothing reaches the readout; train longer, "
            "or check that the data is the one that it was trained on"
        )
        self.layer = layer


class SimulatedLayer(Protocol):
    """spikes bool, v int32, each (sample, step, neuron)."""

    @property
    def spikes(self) -> Tensor: ...

    @property
    def v(self) -> Tensor: ...


class LayerSimulation(Protocol):
    """The integer contract's arithmetic of one layer over a whole run; `runtime.backends.torch.run_layer` is one.

    sent       (sample, step, neuron) each: what the input and the layers before it sent, in their order
    payloads   as for `contract.reach`
    """

    def __call__(self, layer: IntegerLayer, sent: Sequence[Tensor], payloads: Sequence[int], /) -> SimulatedLayer: ...


def choose_scale(
    program: Program,
    target: Target,
    frames: np.ndarray,
    simulate_layer: LayerSimulation,
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
    Raises ExportError where not even the smallest scale fits the target, and where a layer never fires, DataError for
    frames that the encoding does not admit.
    """
    run = _IntegerRun(program, target, frames, simulate_layer)
    floats = simulate_float(program, frames)
    _refuse_silence(program, floats)
    chosen: list[FloatLayer] = []
    for index, (wanted, late) in enumerate(zip(floats, program.late, strict=True)):
        candidates = _candidates(program, index, target, headroom)
        chosen.append(_best(candidates, target, run, wanted, late, progress))
        run.go_on(run.trace(chosen[-1]))
    return replace(program, layers=tuple(chosen))


@torch.no_grad()
def keep_scale(program: Program, model: TrainedNetwork, frames: np.ndarray, simulate_layer: LayerSimulation) -> Program:
    """Measure how far the integers of a network that was trained through them are from it; its scales stay.

    frames (sample, time, channel). The trainer's exact arithmetic and the integers are two programs: 0 is expected.
    Raises DataError for frames that the encoding does not admit.
    """
    assert program.quantized_for is not None, "the network was trained in floats: choose_scale"
    run = _IntegerRun(program, program.quantized_for, frames, simulate_layer)
    spikes, membrane = model.traced(torch.from_numpy(frames))
    # Spikes of every step of the chip's run; the readout's membrane within its window.
    starts = (*(0 for _ in spikes), program.late[-1])
    kept: list[FloatLayer] = []
    for layer, wanted, start in zip(program.layers, (*spikes, membrane), starts, strict=True):
        trace = run.trace(layer)
        kept.append(_measured(layer, trace, wanted.transpose(0, 1), start))
        run.go_on(trace)
    return replace(program, layers=tuple(kept))


class _IntegerRun:
    """The integers of a program's layers on calibration frames, one layer after the other."""

    def __init__(self, program: Program, target: Target, frames: np.ndarray, simulate_layer: LayerSimulation) -> None:
        checked = padded_input(checked_frames(program.encoding, frames), program.chip_steps)
        self._sent = [torch.from_numpy(checked).float()]
        self._target, self._payloads, self._simulate_layer = target, program.payloads, simulate_layer

    def go_on(self, trace: SimulatedLayer) -> None:
        """To the layer that follows the one of this trace."""
        self._sent.append(trace.spikes.float())

    def trace(self, layer: FloatLayer) -> SimulatedLayer:
        """What the next layer's integers do at its scale."""
        built = integer_layer(layer, len(self._sent) - 1, self._target)
        return self._simulate_layer(built, self._sent, self._payloads)


def _measured(layer: FloatLayer, trace: SimulatedLayer, wanted: Tensor, start: int) -> FloatLayer:
    """The layer, with how far its integers are from what the float layer did.

    wanted   (sample, step, neuron): spikes, or the readout's membrane, from the chip's step `start` on
    """
    during = slice(start, start + wanted.shape[1])
    if layer.threshold is not None:
        differing = float((trace.spikes[:, during] != (wanted > 0)).sum())
        return replace(layer, disagreement=differing / max(1.0, float(wanted.sum())))
    assert layer.scale is not None
    membrane = trace.v[:, during].double() / layer.scale.state_unit
    size = wanted.double().square().mean().sqrt().clamp(min=1e-12)
    return replace(layer, disagreement=float((membrane - wanted).square().mean().sqrt() / size))


def _best(
    candidates: Sequence[FloatLayer],
    target: Target,
    run: _IntegerRun,
    wanted: Tensor,
    start: int,
    progress: Callable[[str, int, int], None] | None,
) -> FloatLayer:
    """The candidate that disagrees least, with the threshold at which it does; wanted, start: as for `_measured`."""
    name, fires = candidates[0].name, candidates[0].threshold is not None
    total = len(candidates) + (2 + len(THRESHOLD_SHIFTS) if fires else 0)
    tried: list[FloatLayer] = []

    def best_after(candidates: Iterable[FloatLayer]) -> FloatLayer:
        for layer in candidates:
            tried.append(_measured(layer, run.trace(layer), wanted, start))
            if progress is not None:
                progress(name, len(tried), total)
        return min(tried, key=lambda layer: layer.disagreement)

    best = best_after(candidates)
    if fires:
        best = best_after(_other_thresholds(best, target))
    if progress is not None:
        progress(name, total, total)
    return best


def _candidates(program: Program, index: int, target: Target, headroom: float) -> list[FloatLayer]:
    """The layer with one scale per stretch: the finest that is proven safe, or else the coarsest that fits the target.

    Raises ExportError where no scale fits.
    """
    layer, limits = program.layers[index], target.limits
    largest = float(np.abs(layer.weight).max())
    if largest == 0:
        raise ExportError(f"layer {layer.name}: every weight is 0, so it has no input; train longer")
    candidates, wishes = [], []
    for stretch in STRETCHES:
        fitting = []
        for power in range(limits.weight_exponent_max, -COARSER, -1):
            per_unit = stretch * limits.weight_max / largest * 2.0**power
            exponent = max(power, 0)
            wish = limits.threshold_max if layer.threshold is None else round(per_unit * layer.threshold)
            wishes.append(wish)
            if not 1 <= wish <= limits.threshold_max:
                continue
            candidate = replace(layer, scale=Scale(per_unit, exponent, wish))
            try:
                built = integer_layer(candidate, index, target)
            except ExportError:  # a bias beyond the target's
                continue
            bounds = state_bounds(built, program.payloads, program.chip_steps)
            if not bounds.fits_accumulators:
                continue
            fitting.append(candidate)
            grown = bounds.grown(headroom)
            if grown.no_wrap and (layer.threshold is not None or grown.never_fires):
                break
        candidates += fitting[-1:]
    if not candidates:
        raise ExportError(f"layer {layer.name}: no scale fits {target.name}: {_why_none_fits(layer, wishes)}")
    return candidates


def _why_none_fits(layer: FloatLayer, thresholds: list[int]) -> str:
    """thresholds: the layer's at every scale that was tried."""
    largest, bias = float(np.abs(layer.weight).max()), float(np.abs(layer.bias).max(initial=0))
    weight = f"its largest weight is {largest:.4g}"
    if layer.threshold is not None and max(thresholds) < 1:
        return (
            f"{weight}, beside which its threshold {layer.threshold:.4g} rounds to 0; retrain with a larger "
            "model.threshold, or with more trainer.weight_decay"
        )
    of_bias = ", or with model.bias and model.batch_norm set to false" if bias else ""
    return f"{weight}, its largest bias {bias:.4g}; retrain with more trainer.weight_decay{of_bias}"


def _other_thresholds(layer: FloatLayer, target: Target) -> Iterator[FloatLayer]:
    assert layer.scale is not None
    exact = layer.scale.threshold
    tried = {exact - 1, exact + 1, *(round(exact * (1 + shift)) for shift in THRESHOLD_SHIFTS)}
    for value in sorted(tried - {exact}):
        if 1 <= value <= target.limits.threshold_max:
            yield replace(layer, scale=replace(layer.scale, threshold=value))


def _refuse_silence(program: Program, floats: list[Tensor]) -> None:
    for layer, spikes in zip(program.layers, floats, strict=True):
        if layer.threshold is not None and not bool(spikes.any()):
            raise SilentLayerError(layer.name)
