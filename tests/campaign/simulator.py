"""An independent simulator of integer networks, written from `docs/integer-contract.md` alone.

Plain Python integers, which have no width, and dictionaries: nothing is shared with the package, neither code nor the
order in which things are summed. Wherever the contract promises that 32 bits are enough, that is checked on each value.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

UNITY_SHIFT = 12
HALF_TURN = 2**23
TURN = 2**24
INT32 = range(-(2**31), 2**31)


@dataclass(frozen=True)
class Group:
    """Synapses (target, source neuron, weight, delay); source 0 is the input, k the layer k - 1."""

    source: int
    exponent: int
    synapses: tuple[tuple[int, int, int, int], ...]
    dense: bool = False


@dataclass(frozen=True)
class Layer:
    n_neurons: int
    du: int
    dv: int
    threshold: int
    bias_mantissa: tuple[int, ...]
    bias_exponent: int
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Description:
    """A network in plain numbers. values: 'count', 'binary' or 'graded'; max_payload: what a frame may hold."""

    n_channels: int
    values: str
    max_payload: int
    n_steps: int
    layers: tuple[Layer, ...]


@dataclass
class Simulation:
    """What a run gave, [layer][step][neuron], what it cost, and which traits of the arithmetic it met."""

    u: list[list[list[int]]]
    v: list[list[list[int]]]
    spikes: list[list[list[int]]]
    input_spikes: int
    synaptic_events: list[int]
    traits: Counter[str] = field(default_factory=Counter)


def shifted_toward_zero(product: int) -> int:
    """product / 4096, the magnitude shifted right and the sign put back."""
    return product >> UNITY_SHIFT if product >= 0 else -(-product >> UNITY_SHIFT)


def current_after(u: int, du: int, arrived: int, traits: Counter[str]) -> int:
    """u of the next step."""
    product = u * (4096 - 1 - du)
    if product < 0 and product % 4096:
        traits["u rounded toward zero from below"] += 1
    u = shifted_toward_zero(product) + arrived * 64
    assert u in INT32, f"a current of {u} leaves 32 bits in a network that was accepted"
    if abs(u) == HALF_TURN:
        traits["u exactly at +-2^23"] += 1
    before = u
    if u > HALF_TURN:
        u -= TURN
    if u <= -HALF_TURN:
        u += TURN
    if u != before:
        traits["u wrapped"] += 1
    if not -HALF_TURN < u <= HALF_TURN:
        traits["u beyond one wrap"] += 1
    return u


def membrane_after(v: int, dv: int, u: int, bias: int, traits: Counter[str]) -> int:
    """v of the next step, before the threshold."""
    product = v * (4096 - dv)
    if product < 0 and product % 4096:
        traits["v rounded toward zero from below"] += 1
    v = shifted_toward_zero(product) + u + bias
    assert v in INT32, f"a membrane of {v} leaves 32 bits in a network that was accepted"
    low, high = -HALF_TURN + 1, HALF_TURN - 1
    if v < low or v > high:
        traits["v clipped"] += 1
    return max(low, min(high, v))


def simulate(network: Description, frames: list[list[int]]) -> Simulation:
    """Run one sample: frames [step][channel], silence after them, what is beyond n_steps cut."""
    layers = range(len(network.layers))
    run = Simulation([[] for _ in layers], [[] for _ in layers], [[] for _ in layers], 0, [0 for _ in layers])
    outgoing: list[dict[int, list[tuple[int, int, int, int]]]] = [{} for _ in range(len(network.layers) + 1)]
    for index, layer in enumerate(network.layers):
        for group in layer.groups:
            for target, pre, weight, delay in group.synapses:
                if weight:
                    sends = outgoing[group.source].setdefault(pre, [])
                    sends.append((index, target, weight * 2**group.exponent, delay))
    arriving: dict[tuple[int, int, int], int] = {}

    def send(population: int, neuron: int, value: int, step: int) -> None:
        for index, target, charge, delay in outgoing[population].get(neuron, ()):
            run.synaptic_events[index] += 1
            place = (step + 1 + delay, index, target)
            if place[0] < network.n_steps:
                arriving[place] = arriving.get(place, 0) + charge * value
            else:
                run.traits["arrived after the end"] += 1

    u = [[0] * layer.n_neurons for layer in network.layers]
    v = [[0] * layer.n_neurons for layer in network.layers]
    for step in range(network.n_steps):
        for index, layer in enumerate(network.layers):
            fired = [0] * layer.n_neurons
            for neuron in range(layer.n_neurons):
                arrived = arriving.pop((step, index, neuron), 0)
                bias = layer.bias_mantissa[neuron] * 2**layer.bias_exponent
                u[index][neuron] = current_after(u[index][neuron], layer.du, arrived, run.traits)
                membrane = membrane_after(v[index][neuron], layer.dv, u[index][neuron], bias, run.traits)
                if membrane == layer.threshold * 64:
                    run.traits["v exactly at the threshold"] += 1
                if membrane > layer.threshold * 64:
                    fired[neuron] = 1
                    membrane = 0
                v[index][neuron] = membrane
            run.u[index].append(list(u[index]))
            run.v[index].append(list(v[index]))
            run.spikes[index].append(fired)
        if step < len(frames):
            for channel, value in enumerate(frames[step]):
                if value:
                    run.input_spikes += 1
                    send(0, channel, value, step)
        for index in range(len(network.layers)):
            for neuron, spike in enumerate(run.spikes[index][step]):
                if spike:
                    run.traits["spikes"] += 1
                    send(index + 1, neuron, 1, step)
    return run
