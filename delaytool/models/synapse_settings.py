"""What one layer of delayed synapses is, without its numbers of neurons."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Literal, SupportsIndex, get_args

from delaytool.errors import ModelError

# What a recipe's keys and the layer's arguments of these names admit.
Delays = Literal["learned", "fixed-random", "none", "dense"]
DelaysPer = Literal["synapse", "presynaptic", "postsynaptic"]
Interpolation = Literal["gauss", "triangle", "max", "laplace"]
Rewiring = Literal["none", "deep-r", "rigl", "rigl-signed"]
Convolution = Literal["auto", "direct", "fft", "staged", "windowed", "events"]
_CHOICES = {
    "delays": get_args(Delays),
    "delays_per": get_args(DelaysPer),
    "interpolation": get_args(Interpolation),
    "rewiring": get_args(Rewiring),
    "convolution": get_args(Convolution),
}
INTERPOLATIONS = get_args(Interpolation)
# The final width of arXiv 2306.17670's reference code leaves 21 % of the mass of a gauss on a whole delay beside it,
# which is what rounding changes. The others' leave as much; a triangle on a whole delay has nothing beside it.
FINAL_SIGMA = {"gauss": 0.23, "triangle": 0.0, "max": 0.16, "laplace": 0.20}


def whole_number(name: str, value: SupportsIndex) -> int:
    """The value as Python's int, so that one of NumPy is none. Raises ModelError, with this name, for any other."""
    try:
        return operator.index(value)
    except TypeError:
        raise ModelError(f"{name} {value!r} is no whole number; give an int") from None


@dataclass(frozen=True)
class SynapseSettings:
    """The settings of a DelayedLinear, under the names of a recipe's model part; see both for their meaning."""

    max_delay: int
    kernel_count: int = 1
    bias: bool = False
    delays: str = "learned"
    delays_per: str = "synapse"
    interpolation: str = "gauss"
    sparsity: float = 0.0
    rewiring: str = "none"
    dale: bool = False
    current_tau: float = 1.0
    convolution: str = "auto"
    discarded_mass: float = 1e-6

    def check(self) -> None:
        """Raise ModelError for values that no layer can have."""
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ModelError(f"{name} {value!r} is unknown; choose one of {', '.join(choices)}")
        for name, value, fits, limit in (
            ("max_delay", self.max_delay, self.max_delay >= 0, "a number of steps, 0 or more"),
            ("taps", self.kernel_count, self.kernel_count >= 1, "1 or more"),
            ("sparsity", self.sparsity, 0 <= self.sparsity < 1, "0 or more and below 1"),
            ("current_tau", self.current_tau, self.current_tau >= 1, "a number of steps, 1 or more"),
            ("discarded_mass", self.discarded_mass, 0 < self.discarded_mass < 0.1, "above 0 and below 0.1"),
        ):
            if not fits:
                raise ModelError(f"{name} {value} is impossible; give {limit}")
        if self.dale and self.rewiring == "none":
            raise ModelError("dale True needs taps of fixed sign; choose rewiring 'deep-r', 'rigl' or 'rigl-signed'")
        if self.distinct_delays and self.kernel_count > self.kernel_size:
            raise ModelError(
                f"taps {self.kernel_count}: as many different fixed delays per synapse are more than the "
                f"{self.kernel_size} that max_delay {self.max_delay} has; choose at most that many"
            )

    @property
    def kernel_size(self) -> int:
        """Taps of a kernel (Td)."""
        return 1 if self.delays == "none" else self.max_delay + 1

    @property
    def whole_kernels(self) -> bool:
        """Whether a synapse's weights are its kernel, so that there is no delay to place them."""
        return self.delays in ("none", "dense")

    @property
    def taps_per_synapse(self) -> int:
        return self.kernel_size if self.whole_kernels else self.kernel_count

    @property
    def learns_delays(self) -> bool:
        return self.delays == "learned" and self.max_delay > 0

    @property
    def distinct_delays(self) -> bool:
        """Whether a synapse's fixed delays are all different: candidates among which structure chooses."""
        return self.rewiring != "none" and self.delays == "fixed-random"

    @property
    def grows_by_gradient(self) -> bool:
        """Whether taps that do not exist need a gradient."""
        return self.rewiring in ("rigl", "rigl-signed")
