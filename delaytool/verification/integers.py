"""Two integer networks: whether they are the same, integer by integer and class name by class name, and where not."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from itertools import groupby, zip_longest

import numpy as np

from delaytool.contract.layer import IntegerLayer
from delaytool.contract.network import IntegerNetwork


@dataclass(frozen=True)
class ValueDifference:
    """One value that differs. None for left or right: that side has none.

    place   for example 'layer hidden1, synapse from input[3] to neuron 5'
    """

    place: str
    quantity: str
    left: object
    right: object

    def describe(self, left: str, right: str) -> str:
        """In a phrase that names both sides."""
        one, other = ("absent" if value is None else value for value in (self.left, self.right))
        return f"{self.place}: {self.quantity} is {one} in {left} and {other} in {right}"


@dataclass(frozen=True)
class IntegerComparison:
    """compared: how many values; differences: every one that differs, in the order of the layers."""

    compared: int
    differences: tuple[ValueDifference, ...]


def compare_integers(left: IntegerNetwork, right: IntegerNetwork) -> IntegerComparison:
    """Compare all that decides what two networks compute, value by value.

    Synapses count as the contract has them: those of weight 0 do nothing, a matrix and a list are the same, and so are
    two ways to write one `weight << exponent` or one bias.
    """
    found: list[ValueDifference] = []
    compared = 0

    def check(place: str, quantity: str, one: object, other: object) -> None:
        nonlocal compared
        compared += 1
        if one != other:
            found.append(ValueDifference(place, quantity, one, other))

    check("network", "n_steps", left.n_steps, right.n_steps)
    check("network", "the number of layers", len(left.layers), len(right.layers))
    for part in ("encoding", "readout"):
        ours, theirs = asdict(getattr(left, part)), asdict(getattr(right, part))
        for name in ours:
            check(part, name, ours[name], theirs[name])
    for layer, other in zip(left.layers, right.layers, strict=False):
        where = f"layer {layer.name}"
        for name in ("n_neurons", "du", "dv", "threshold"):
            check(where, name, getattr(layer, name), getattr(other, name))
        if layer.n_neurons == other.n_neurons:
            compared += layer.n_neurons
            for neuron in np.flatnonzero(layer.bias != other.bias):
                both = int(layer.bias[neuron]), int(other.bias[neuron])
                found.append(ValueDifference(f"{where}, neuron {neuron}", "bias", *both))
        ours_sorted, theirs_sorted = _synapses(layer), _synapses(other)
        compared += 2 * max(len(ours_sorted), len(theirs_sorted))  # a delay and a weight per synapse
        if not np.array_equal(ours_sorted, theirs_sorted):
            found += _synapse_differences(left, where, ours_sorted, theirs_sorted)
    return IntegerComparison(compared, tuple(found))


def compare_class_names(left: tuple[str, ...], right: tuple[str, ...]) -> tuple[ValueDifference, ...]:
    """The classes whose names differ, in the order of the classes."""
    pairs = enumerate(zip_longest(left, right))
    return tuple(ValueDifference(f"class {label}", "name", *both) for label, both in pairs if both[0] != both[1])


def _synapses(layer: IntegerLayer) -> np.ndarray:
    """(synapse, [source, target, pre, delay, weight << exponent]) int64, sorted."""
    parts = [np.zeros((0, 5), np.int64)]
    for group in layer.synapses:
        target, pre, weight, delay = (np.asarray(array, np.int64) for array in group.listed())
        source = np.full(target.shape, group.source, np.int64)
        parts.append(np.stack([source, target, pre, delay, weight << group.exponent], axis=1))
    rows = np.concatenate(parts)
    return rows[np.lexsort(rows.T[::-1])]


def _synapse_differences(
    network: IntegerNetwork, where: str, left: np.ndarray, right: np.ndarray
) -> list[ValueDifference]:
    """Synapses of one pair of neurons are set side by side in the order of their delays."""
    ours, theirs = Counter(map(tuple, left.tolist())), Counter(map(tuple, right.tolist()))
    lone = [(row[:3], 0, row[3:]) for row in (ours - theirs).elements()]
    lone += [(row[:3], 1, row[3:]) for row in (theirs - ours).elements()]
    found = []
    for (source, target, pre), rows in groupby(sorted(lone), key=lambda one: one[0]):
        sides: tuple[list[tuple[int, ...]], list[tuple[int, ...]]] = ([], [])
        for _, side, values in rows:
            sides[side].append(values)
        name = network.name_of(source) if source <= len(network.layers) else f"population {source}"
        place = f"{where}, synapse from {name}[{pre}] to neuron {target}"
        for one, other in zip_longest(*sides):
            if one is None or other is None:
                both = (None if values is None else f"delay {values[0]}, weight {values[1]}" for values in (one, other))
                found.append(ValueDifference(place, "the synapse", *both))
                continue
            for quantity, ours_value, theirs_value in zip(("delay", "weight"), one, other, strict=True):
                if ours_value != theirs_value:
                    found.append(ValueDifference(place, quantity, ours_value, theirs_value))
    return found
