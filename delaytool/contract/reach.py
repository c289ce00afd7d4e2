"""How far a layer's sums, currents and membranes can go, for any input at all.

payloads   the largest value that a spike of each population carries, in the order in which synapse groups number their
           sources: the input (`InputEncoding.max_payload`), then every layer (1)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from delaytool.contract.bounds import ACCUMULATOR_LIMIT, DECAY_UNITY, STATE_LIMIT, STATE_SHIFT
from delaytool.contract.checks import require
from delaytool.contract.layer import IntegerLayer


def input_bounds(layer: IntegerLayer, payloads: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The least and the greatest sum that one step can bring to each neuron of a layer, before the shift.

    Exact bounds, (n_neurons,) int64 each: a synapse delivers at most once per step, with at most the largest payload of
    its source, and which synapses do is free.

    >>> from delaytool.contract.synapses import DenseSynapses
    >>> group = DenseSynapses(0, np.array([[3, -2]]), np.zeros((1, 2), int), 1)
    >>> low, high = input_bounds(IntegerLayer("hidden1", 1, (group,), dv=2048, threshold=9), payloads=(4, 1))
    >>> int(low[0]), int(high[0])
    (-16, 24)
    """
    low = np.zeros(layer.n_neurons, np.int64)
    high = np.zeros(layer.n_neurons, np.int64)
    for group in layer.synapses:
        target, _, weight, _ = group.listed()
        charge = (weight.astype(np.int64) << group.exponent) * payloads[group.source]
        np.add.at(low, target, np.minimum(charge, 0))
        np.add.at(high, target, np.maximum(charge, 0))
    return low, high


def largest_input(layer: IntegerLayer, payloads: Sequence[int]) -> int:
    """The largest magnitude that one step's sum can have at any neuron of a layer, before the shift."""
    low, high = input_bounds(layer, payloads)
    return int(max(high.max(), -low.min()))


def current_reach(layer: IntegerLayer, payloads: Sequence[int]) -> int:
    """No |u| of a layer can be larger, whatever the input.

    A sum of at most 2^24 wraps back into 24 bits. Beyond it what one wrap leaves over can pile up, but no further than
    the geometric series of the current's decay.
    """
    return _current_reach(layer, largest_input(layer, payloads))


def _current_reach(layer: IntegerLayer, largest: int) -> int:
    excess = max(0, (largest << STATE_SHIFT) - 2 * STATE_LIMIT)
    return max(STATE_LIMIT, excess * DECAY_UNITY // (layer.du + 1))


def check_accumulators(layer: IntegerLayer, payloads: Sequence[int]) -> None:
    """Raise NetworkError where one step's sum can leave the 32 bits in which backends hold it."""
    largest = largest_input(layer, payloads)
    require(
        _accumulator_reach(layer, largest) <= ACCUMULATOR_LIMIT,
        f"layer {layer.name}: one step's input can reach {largest}, beyond what 32-bit accumulators hold; "
        "export with smaller weight exponents or a smaller max_count",
    )


def _accumulator_reach(layer: IntegerLayer, largest: int) -> int:
    return (largest << STATE_SHIFT) + _current_reach(layer, largest) + 2 * STATE_LIMIT


@dataclass(frozen=True)
class StateBounds:
    """In units of u and v.

    accumulator   the largest value that a backend holds on the way to a step's u
    current       largest |u| before the wrap
    membrane      largest |v| before the clip, as if the layer never reset; without a leak (dv = 0), within a run
    highest       largest v, likewise
    threshold     what v must exceed to fire
    """

    accumulator: float
    current: float
    membrane: float
    highest: float
    threshold: int

    @property
    def fits_accumulators(self) -> bool:
        """No sum can leave 32 bits: `check_accumulators` admits the layer."""
        return self.accumulator <= ACCUMULATOR_LIMIT

    @property
    def no_wrap(self) -> bool:
        """No current can wrap."""
        return self.current < STATE_LIMIT

    @property
    def never_fires(self) -> bool:
        """The membrane can neither exceed the threshold nor be clipped."""
        return self.no_wrap and self.highest <= self.threshold and self.membrane < STATE_LIMIT

    def grown(self, factor: float) -> StateBounds:
        """What would be so of currents and membranes if every sum were that much larger."""
        return replace(
            self, current=self.current * factor, membrane=self.membrane * factor, highest=self.highest * factor
        )


def state_bounds(layer: IntegerLayer, payloads: Sequence[int], n_steps: int) -> StateBounds:
    """The exact bounds of one step's input, summed over time as geometric series of the two decays.

    Rounding is toward zero, so it only makes states smaller. n_steps: of a run. A membrane that leaks has a bound for
    any time, in a stream too; one that does not (dv = 0) only for so many steps.
    """
    low, high = input_bounds(layer, payloads)
    largest = int(max(high.max(), -low.min()))
    gain = (1 << STATE_SHIFT) * DECAY_UNITY / (layer.du + 1)
    kept = DECAY_UNITY / layer.dv if layer.dv else float(n_steps)  # steps whose input a membrane holds at most
    top = float(max((high * gain + layer.bias).max(), 0.0)) * kept
    bottom = float(max((-low * gain - layer.bias).max(), 0.0)) * kept
    return StateBounds(
        accumulator=float(_accumulator_reach(layer, largest)),
        current=float(largest) * gain,
        membrane=max(top, bottom),
        highest=top,
        threshold=layer.threshold << STATE_SHIFT,
    )
