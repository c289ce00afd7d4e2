"""Networks at the widths of the engine's own numbers, which random ones hardly ever meet exactly.

Sums of one step at the ends of 16 bits, words of synapses that just fit 32 bits and just do not, many synapses of one
sign onto one neuron, whole and broken vectors of 32 neurons, more input than one byte's bit.
"""

from __future__ import annotations

import random

from campaign.generator import Frames
from campaign.simulator import Description, Group, Layer

NEVER = 131071


def _layer(n_neurons: int, groups: tuple[Group, ...], **changed: int) -> Layer:
    numbers = {"du": 4095, "dv": 2048, "threshold": NEVER, **changed}
    return Layer(n_neurons, numbers["du"], numbers["dv"], numbers["threshold"], (0,) * n_neurons, 0, groups)


def _onto_one(weights: list[int], delays: list[int] | None = None, n_steps: int = 12, **changed: int) -> Description:
    """One channel for each weight, all onto one neuron."""
    places = delays or [0] * len(weights)
    synapses = tuple(
        (0, channel, weight, delay) for channel, (weight, delay) in enumerate(zip(weights, places, strict=True))
    )
    return Description(len(weights), "binary", 1, n_steps, (_layer(1, (Group(0, 0, synapses),), **changed),))


def _all_ways(n_channels: int, n_steps: int, seed: int) -> Frames:
    """Two samples: every channel at once and alone, and at random."""
    draw = random.Random(seed)
    every = [[1] * n_channels, [0] * n_channels] + [
        [int(one == channel) for one in range(n_channels)] for channel in range(n_channels)
    ]
    some = [[draw.randint(0, 1) for _ in range(n_channels)] for _ in range(n_steps)]
    return [(every + some)[:n_steps], some]


def edge_cases() -> list[tuple[Description, Frames]]:
    """Descriptions and frames, the same every time."""
    made = []
    # The ends of int16, on one side alone, by sums that do occur.
    for weights in (
        [32767],
        [32766, 1],
        [32767, 1],
        [-32768],
        [-32767, -1],
        [-32768, -1],
        [20000, 20000],
        [-20000, -20000],
    ):
        made.append(_onto_one(weights))
        made.append(_onto_one([*weights, 3, -3], dv=0))
    # Words of a synapse: 8 bits of address and 24, or 25, of weight, by the largest and by the smallest weight.
    for weight in (2**23 - 1, 2**23, -(2**23 - 1), -(2**23), -(2**23 + 5), -(2**24 - 1), 2**24 - 2):
        made.append(_onto_one([weight, 1], [1, 255], n_steps=6))
        made.append(_onto_one([weight, 1], [255, 1], n_steps=262))
    # 1 to 33 synapses of each sign: the adders take eight words at a time, then two.
    for count in (1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 33):
        for signs in ((1,), (-1,), (1, -1)):
            made.append(_onto_one([signs[place % len(signs)] * 2 ** (place % 3) for place in range(count)]))
            made.append(_onto_one([signs[place % len(signs)] * 21 for place in range(count)]))
    cases = [
        (description, _all_ways(description.n_channels, description.n_steps, number))
        for number, description in enumerate(made)
    ]
    return (
        cases
        + [_vectors(size, seed) for seed, size in enumerate((31, 32, 33, 64, 65))]
        + [_large_states(size, seed) for seed, size in enumerate((32, 33, 65))]
        + [_large_states(3, seed, dv=4096 - kept) for seed, kept in enumerate((300, 500, 511, 512, 513))]
        + [_payloads(seed) for seed in range(4)]
        + [_chain(n_samples) for n_samples in (1, 33)]
    )


def _vectors(size: int, seed: int) -> tuple[Description, Frames]:
    """A layer of so many neurons that feeds back on itself and on a second one."""
    draw = random.Random(seed)
    into = tuple(
        (neuron, draw.randrange(9), draw.choice([-700, 300, 900]), draw.randint(0, 3))
        for neuron in range(size)
        for _ in range(3)
    )
    back = tuple((draw.randrange(size), neuron, draw.choice([-200, 250]), draw.randint(0, 4)) for neuron in range(size))
    out = tuple((draw.randrange(3), neuron, draw.choice([-5, 4, 9]), draw.randint(0, 6)) for neuron in range(size))
    hidden = Layer(
        size,
        3000,
        1024,
        800,
        tuple(draw.randint(-90, 90) for _ in range(size)),
        3,
        (Group(0, 0, into), Group(1, 1, back)),
    )
    network = Description(9, "binary", 1, 40, (hidden, _layer(3, (Group(1, 0, out),))))
    return network, [[[draw.choice([0, 0, 1]) for _ in range(9)] for _ in range(36)] for _ in range(3)]


def _large_states(size: int, seed: int, dv: int | None = None) -> tuple[Description, Frames]:
    """A second layer of so many neurons whose currents and membranes go to the ends of 24 bits; without dv they stay.

    The product of such a state with what is left of it needs more than 32 bits, or just 32, without a sign, where
    less than 512 of 4096 is left; and a layer behind another one has its state, but not its input, at an offset.
    """
    draw = random.Random(200 + seed)
    relay = Layer(5, 4095, 4096, 0, (0,) * 5, 0, (Group(0, 0, tuple((neuron, neuron, 1, 0) for neuron in range(5))),))
    into = tuple(
        (neuron, draw.randrange(5), draw.choice([1, -1]) * draw.randint(2**12, 2**16), draw.randint(0, 3))
        for neuron in range(size)
        for _ in range(4)
    )
    large = _layer(size, (Group(1, 0, into),), du=draw.randint(1, 90), dv=draw.randint(1, 90) if dv is None else dv)
    network = Description(5, "binary", 1, 40, (relay, large))
    return network, [[[draw.choice([0, 1]) for _ in range(5)] for _ in range(36)] for _ in range(3)]


def _chain(n_samples: int) -> tuple[Description, Frames]:
    """One neuron that passes spikes on to one neuron, and no sample but the first and the last has any."""
    relay = Layer(1, 4095, 4096, 0, (0,), 0, (Group(0, 0, ((0, 0, 1, 0),)),))
    network = Description(1, "binary", 1, 12, (relay, _layer(1, (Group(1, 0, ((0, 0, 5, 2),)),))))
    silent = [[0]] * 9
    spikes = [[step % 3 // 2] for step in range(9)]
    return network, [spikes if sample in (0, n_samples - 1) else silent for sample in range(n_samples)]


def _payloads(seed: int) -> tuple[Description, Frames]:
    """Counts to 255 on 19 channels: every binary digit of the input, also more of them than eight bytes hold."""
    draw = random.Random(100 + seed)
    synapses = tuple(
        (draw.randrange(4), channel, draw.randint(-90, 90), draw.randint(0, 9))
        for channel in range(19)
        for _ in range(4)
    )
    network = Description(
        19, "count", 255, 24, (_layer(4, (Group(0, seed % 3, synapses),), dv=700, threshold=NEVER - seed),)
    )
    return network, [
        [[draw.choice([0, 0, 1, 128, 255, draw.randint(0, 255)]) for _ in range(19)] for _ in range(20)]
        for _ in range(2)
    ]
