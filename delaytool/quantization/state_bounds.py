"""What a layer's current and membrane can reach, for any input at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from delaytool.contract.bounds import DECAY_UNITY, STATE_LIMIT, STATE_SHIFT
from delaytool.contract.layer import IntegerLayer
from delaytool.contract.reach import input_bounds


@dataclass(frozen=True)
class StateBounds:
    """In units of u and v.

    current    largest |u| before the wrap
    membrane   largest |v| before the clip, as if the layer never reset
    highest    largest v, likewise
    threshold  what v must exceed to fire
    """

    current: float
    membrane: float
    highest: float
    threshold: int

    @property
    def no_wrap(self) -> bool:
        """No current can wrap."""
        return self.current < STATE_LIMIT

    @property
    def never_fires(self) -> bool:
        """The membrane can neither exceed the threshold nor be clipped."""
        return self.no_wrap and self.highest <= self.threshold and self.membrane < STATE_LIMIT

    def grown(self, factor: float) -> StateBounds:
        """What would be so if every sum were that much larger."""
        return replace(
            self, current=self.current * factor, membrane=self.membrane * factor, highest=self.highest * factor
        )


def state_bounds(layer: IntegerLayer, payloads: Sequence[int]) -> StateBounds:
    """The exact bounds of one step's input, summed over time as geometric series of the two decays.

    payloads: the largest value that a spike of each population carries, as for `contract.reach`. Rounding is toward
    zero, so it only makes states smaller.
    """
    low, high = input_bounds(layer, payloads)
    gain = (1 << STATE_SHIFT) * DECAY_UNITY / (layer.du + 1)
    leak = DECAY_UNITY / layer.dv if layer.dv else float("inf")
    top = float(max((high * gain + layer.bias).max(), 0.0)) * leak
    bottom = float(max((-low * gain - layer.bias).max(), 0.0)) * leak
    return StateBounds(
        current=float(max(high.max(), -low.min())) * gain,
        membrane=max(top, bottom),
        highest=top,
        threshold=layer.threshold << STATE_SHIFT,
    )
