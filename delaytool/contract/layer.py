"""A population of integer LIF neurons, and how the last one's membrane becomes a class."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from delaytool.contract.bounds import (
    DECAY_UNITY,
    MAX_BIAS_EXPONENT,
    MAX_BIAS_MANTISSA,
    MAX_NEURONS,
    MAX_THRESHOLD,
    MIN_BIAS_MANTISSA,
)
from delaytool.contract.checks import (
    check_array_range,
    check_range,
    exact_integer,
    finite_number,
    frozen_integers,
    require,
    storable_text,
)
from delaytool.contract.synapses import Synapses

# The readout's softmax takes v / scale in float64, with v up to 2^23: far inside what stays finite and exact.
MIN_SCALE, MAX_SCALE = 1e-9, 1e18


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """A population of integer LIF neurons and the synapses that reach it.

    name            how errors and tables call it
    n_neurons       size
    synapses        the groups that reach it; their sources may be the input or any layer
    du, dv          decays: du = 4095 is no current filter, dv = round(4096 / tau)
    threshold       mantissa: a neuron fires where v > threshold << 6, strictly
    bias_mantissa   (n_neurons,) int32, added to v every step as mantissa << bias_exponent
    bias_exponent   0..7
    """

    name: str
    n_neurons: int
    synapses: tuple[Synapses, ...]
    dv: int
    threshold: int
    du: int = 4095
    bias_mantissa: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    bias_exponent: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", storable_text("layer", "name", self.name))
        where = f"layer {self.name}"
        for name in ("n_neurons", "du", "dv", "threshold", "bias_exponent"):
            object.__setattr__(self, name, exact_integer(where, name, getattr(self, name)))
        require(self.n_neurons >= 1, f"{where}: n_neurons {self.n_neurons} is below 1")
        check_range(where, "n_neurons", self.n_neurons, 1, MAX_NEURONS)
        bias = self.bias_mantissa
        if np.size(bias) == 0:
            bias = np.zeros(self.n_neurons, np.int32)
        object.__setattr__(self, "bias_mantissa", frozen_integers(bias, np.int32, f"layer {self.name}: bias_mantissa"))
        object.__setattr__(self, "synapses", tuple(self.synapses))
        require(
            self.bias_mantissa.shape == (self.n_neurons,),
            f"{where}: bias_mantissa has shape {self.bias_mantissa.shape}, not ({self.n_neurons},)",
        )
        check_range(where, "du", self.du, 0, DECAY_UNITY - 1)
        check_range(where, "dv", self.dv, 0, DECAY_UNITY)
        check_range(where, "threshold", self.threshold, 0, MAX_THRESHOLD)
        check_range(where, "bias_exponent", self.bias_exponent, 0, MAX_BIAS_EXPONENT)
        check_array_range(where, "bias_mantissa", self.bias_mantissa, MIN_BIAS_MANTISSA, MAX_BIAS_MANTISSA)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, IntegerLayer):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, field.name), getattr(other, field.name))
            if field.name == "bias_mantissa"
            else getattr(self, field.name) == getattr(other, field.name)
            for field in fields(self)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.n_neurons, self.synapses, self.du, self.dv, self.threshold, self.bias_exponent))

    def __repr__(self) -> str:
        """Sizes, not arrays."""
        return (
            f"IntegerLayer({self.name!r}, n_neurons={self.n_neurons}, synapses={self.synapses}, du={self.du}, "
            f"dv={self.dv}, threshold={self.threshold})"
        )

    @property
    def bias(self) -> np.ndarray:
        """(n_neurons,) int64: what is added to v every step."""
        return self.bias_mantissa.astype(np.int64) << self.bias_exponent

    @property
    def max_delay(self) -> int:
        return max((int(group.delay.max()) for group in self.synapses if group.delay.size), default=0)

    @property
    def n_synapses(self) -> int:
        return sum(group.n_synapses for group in self.synapses)


@dataclass(frozen=True)
class Readout:
    """How the last layer's membrane, which never fires, becomes a class.

    method   'softmax-sum': sum over the window of softmax(v / scale), the largest wins;
             'sum': sum of v over the window, the largest wins
    scale    integer units of v for 1.0 of the trained membrane
    start, stop   the window in chip steps, stop exclusive
    """

    method: str
    scale: float
    start: int
    stop: int

    def __post_init__(self) -> None:
        for name in ("start", "stop"):
            object.__setattr__(self, name, exact_integer("readout", name, getattr(self, name)))
        object.__setattr__(self, "scale", finite_number("readout", "scale", self.scale))
        require(
            self.method in ("softmax-sum", "sum"),
            f"readout: method {self.method!r} is unknown; choose 'softmax-sum' or 'sum'",
        )
        require(self.scale > 0, f"readout: scale {self.scale} is not a positive number")
        require(
            MIN_SCALE <= self.scale <= MAX_SCALE,
            f"readout: scale {self.scale} is outside {MIN_SCALE:g}..{MAX_SCALE:g}, where v / scale keeps its meaning",
        )
        require(0 <= self.start < self.stop, f"readout: the window {self.start}..{self.stop} holds no step")
