"""Groups of synapses between two populations: as matrices, or one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delaytool.contract.checks import check_range, exact_integer, frozen_integers, require
from delaytool.errors import NetworkError


class _SynapseGroup:
    """What both forms have in common."""

    source: int
    weight: np.ndarray
    delay: np.ndarray
    exponent: int

    def __eq__(self, other: object) -> bool:
        """Whether two groups store the same numbers in the same form."""
        if type(self) is not type(other):
            return NotImplemented
        return all(np.array_equal(value, getattr(other, name)) for name, value in vars(self).items())

    def __hash__(self) -> int:
        return hash((self.source, self.exponent, self.shape, self.n_synapses))

    def __repr__(self) -> str:
        """Sizes, not arrays."""
        longest = int(self.delay.max()) if self.delay.size else 0
        return (
            f"{type(self).__name__}(source={self.source}, shape={self.shape}, {self.n_synapses} synapses, "
            f"delays to {longest}, exponent={self.exponent})"
        )

    @property
    def shape(self) -> tuple[int, int]:
        """(n_out, n_in)."""
        raise NotImplementedError

    @property
    def n_synapses(self) -> int:
        """Synapses that do something: those whose weight is not zero."""
        return int(np.count_nonzero(self.weight))

    def _check_numbers(self, where: str, names: tuple[str, ...]) -> None:
        for name in names:
            value = exact_integer(where, name, getattr(self, name))
            object.__setattr__(self, name, value)
            check_range(where, name, value, 0, np.iinfo(np.int32).max)


@dataclass(frozen=True, eq=False, repr=False)
class DenseSynapses(_SynapseGroup):
    """A synapse from every neuron of `source` to every neuron of the layer.

    source     0: the network's input; k >= 1: layer k - 1 of `IntegerNetwork.layers`
    weight     (n_out, n_in) int32, before the exponent
    delay      (n_out, n_in) int32, steps
    exponent   a synapse carries weight << exponent
    """

    source: int
    weight: np.ndarray
    delay: np.ndarray
    exponent: int = 0

    def __post_init__(self) -> None:
        self._check_numbers("dense synapses", ("source", "exponent"))
        object.__setattr__(self, "weight", frozen_integers(self.weight, np.int32, "weight"))
        object.__setattr__(self, "delay", frozen_integers(self.delay, np.int32, "delay"))
        require(self.weight.ndim == 2, f"dense synapses: weight has shape {self.weight.shape}, not (n_out, n_in)")
        require(
            self.delay.shape == self.weight.shape,
            f"dense synapses: delay has shape {self.delay.shape}, weight has {self.weight.shape}; they must agree",
        )

    @property
    def shape(self) -> tuple[int, int]:
        return self.weight.shape[0], self.weight.shape[1]

    def listed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(target, source neuron, weight, delay), one entry per synapse of nonzero weight."""
        target, pre = np.nonzero(self.weight)
        return target, pre, self.weight[target, pre], self.delay[target, pre]

    def as_sparse(self) -> SparseSynapses:
        """The same synapses one by one; those of weight 0 are left out."""
        return SparseSynapses(self.source, *self.shape, *self.listed(), self.exponent)


@dataclass(frozen=True, eq=False, repr=False)
class SparseSynapses(_SynapseGroup):
    """Synapses given one by one; a pair of neurons may have several, with different delays.

    source     as for DenseSynapses
    n_out, n_in   sizes of the two populations
    target, pre   (n_synapses,) int32: the neuron that receives, the neuron that sends
    weight, delay (n_synapses,) int32
    exponent   a synapse carries weight << exponent
    """

    source: int
    n_out: int
    n_in: int
    target: np.ndarray
    pre: np.ndarray
    weight: np.ndarray
    delay: np.ndarray
    exponent: int = 0

    def __post_init__(self) -> None:
        self._check_numbers("sparse synapses", ("source", "exponent", "n_out", "n_in"))
        for name in ("target", "pre", "weight", "delay"):
            array = frozen_integers(getattr(self, name), np.int32, name)
            object.__setattr__(self, name, array)
            require(array.ndim == 1, f"sparse synapses: {name} has shape {array.shape}, not (n_synapses,)")
            require(
                array.shape == self.target.shape,
                f"sparse synapses: {name} has {array.size} entries, target has {self.target.size}; they must agree",
            )
        for name, limit in (("target", self.n_out), ("pre", self.n_in)):
            array = getattr(self, name)
            if array.size and (array.min() < 0 or array.max() >= limit):
                worst = array.min() if array.min() < 0 else array.max()
                raise NetworkError(f"sparse synapses: {name} {worst} is outside 0..{limit - 1}")

    @property
    def shape(self) -> tuple[int, int]:
        return self.n_out, self.n_in

    def listed(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(target, source neuron, weight, delay), one entry per synapse of nonzero weight."""
        kept = self.weight != 0
        return self.target[kept], self.pre[kept], self.weight[kept], self.delay[kept]

    def as_dense(self) -> DenseSynapses | None:
        """The same synapses as matrices; None where a pair of neurons has several, which one matrix cannot hold."""
        target, pre, weight, delay = self.listed()
        weights, delays = np.zeros(self.shape, np.int32), np.zeros(self.shape, np.int32)
        weights[target, pre], delays[target, pre] = weight, delay
        if np.count_nonzero(weights) < weight.size:
            return None
        return DenseSynapses(self.source, weights, delays, self.exponent)


Synapses = DenseSynapses | SparseSynapses
