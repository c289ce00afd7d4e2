"""Random networks for the campaign: a seed in, a description in plain numbers and its frames out.

Python's own `random`, whose integers are the same in every version, so that a seed names a network for good. Each
network draws its regimes first (sizes, delays, weights, decays, thresholds), then its numbers within them: uniform
draws over everything would hardly ever wrap, clip or stand exactly at a threshold.
"""

from __future__ import annotations

import random

from campaign.simulator import Description, Group, Layer

Frames = list[list[list[int]]]

MAX_THRESHOLD = 131071
# What one step may bring to a neuron: just what turns u once, more than one wrap mends, and near what 32 bits hold.
INPUT_LIMITS = (2**18, 2**18, 2**20, 2**24)
HALF_TURN = 2**17  # brings u to 2^23 from 0


def random_case(seed: int, for_lava: bool = False) -> tuple[Description, Frames]:
    """The network of a seed and its frames [sample][step][channel].

    for_lava   within what Lava can hold: even weights of -256..254, delays to 62, one sample
    """
    draw = random.Random(seed)
    n_layers = draw.choice([1, 1, 2, 2, 3, 4])
    n_steps = draw.choice([1, 2, 3, draw.randint(4, 20), draw.randint(20, 70)])
    values, max_payload = _payload(draw)
    n_channels = draw.choice([1, 2, draw.randint(3, 9), draw.randint(8, 24)])
    sizes = [draw.choice([1, 2, draw.randint(2, 9), draw.randint(10, 20)]) for _ in range(n_layers)]
    if draw.random() < 0.15:  # whole vectors of 32 neurons, and what is left over
        sizes[draw.randrange(n_layers)] = draw.choice([32, 33, 40, 64])
    populations = [n_channels, *sizes]
    layers = tuple(_layer(draw, index, populations, max_payload, for_lava) for index in range(n_layers))
    n_samples = 1 if for_lava else draw.choice([1, 1, 2, 3, draw.choice([31, 32, 33, 34]) if n_steps < 8 else 4])
    network = Description(n_channels, values, max_payload, n_steps, layers)
    return network, _frames(draw, network, n_samples)


def _payload(draw: random.Random) -> tuple[str, int]:
    values = draw.choice(["count", "count", "binary", "graded"])
    if values == "binary":
        return values, 1
    if values == "graded":
        return values, 2 ** draw.randint(1, 8) - 1
    return values, draw.choice([1, 2, draw.randint(3, 254), 255])


def _frames(draw: random.Random, network: Description, n_samples: int) -> Frames:
    n_frames = draw.choice([network.n_steps, draw.randint(0, network.n_steps), network.n_steps + draw.randint(0, 3)])
    rate = draw.choice([0.02, 0.1, 0.3, 0.9])
    largest = draw.random() < 0.4

    def value() -> int:
        if draw.random() >= rate:
            return 0
        return network.max_payload if largest else draw.randint(1, network.max_payload)

    return [[[value() for _ in range(network.n_channels)] for _ in range(n_frames)] for _ in range(n_samples)]


def _layer(draw: random.Random, index: int, populations: list[int], max_payload: int, for_lava: bool) -> Layer:
    size = populations[index + 1]
    sources = [index] if draw.random() < 0.95 else []
    if draw.random() < 0.25:
        sources.append(index + 1)
    if draw.random() < 0.3:
        sources.append(draw.randrange(len(populations)))
    regime = draw.choice(["small", "small", "even", "even", "large", "limit", "half turn"])
    if for_lava:
        regime = "even"
    room = draw.choice(INPUT_LIMITS) // max(1, len(sources))
    groups = tuple(
        _group(draw, source, populations[source], size, 1 if source else max_payload, regime, room, for_lava)
        for source in sources
    )
    extremes = [-4096, -4095, -1, 0, 1, 4095]
    bias = draw.choice([lambda: 0, lambda: draw.randint(-60, 60), lambda: draw.randint(-4096, 4095)])
    if draw.random() < 0.1:
        bias = lambda: draw.choice(extremes)  # noqa: E731
    return Layer(
        n_neurons=size,
        du=draw.choice([4095, 4095, 0, 1, 4094, draw.randint(0, 4095), draw.randint(0, 400)]),
        dv=draw.choice([0, 1, 4095 if for_lava else 4096, 4095, draw.randint(0, 4095), draw.randint(0, 400)]),
        threshold=_threshold(draw, groups, max_payload),
        bias_mantissa=tuple(bias() for _ in range(size)),
        bias_exponent=draw.randint(0, 7),
        groups=groups,
    )


def _threshold(draw: random.Random, groups: tuple[Group, ...], max_payload: int) -> int:
    """Often the charge of a few synapses, exactly or nearly, so that the strict comparison meets equal numbers."""
    charges = [abs(weight) << group.exponent for group in groups for _, _, weight, _ in group.synapses if weight]
    kind = draw.random()
    if kind < 0.55 and charges:
        near = draw.choice(charges) * draw.choice([1, 1, 2, draw.randint(1, max_payload)])
        return min(MAX_THRESHOLD, max(0, near + draw.choice([0, 0, 0, -1, 1])))
    return draw.choice([0, 1, MAX_THRESHOLD, draw.randint(0, MAX_THRESHOLD), draw.randint(0, 2000)])


def _group(
    draw: random.Random,
    source: int,
    n_in: int,
    n_out: int,
    payload: int,
    regime: str,
    room: int,
    for_lava: bool,
) -> Group:
    exponent = draw.choice([0, 0, 1, 2, draw.randint(0, 7)])
    longest = draw.choice([0, 1, 5, 62])
    if not for_lava and n_in <= 10 and n_out <= 10 and draw.random() < 0.05:
        longest = draw.choice([300, 32767])
    delays = draw.choice(["any", "any", "ends"])

    def delay() -> int:
        return draw.randint(0, longest) if delays == "any" else draw.choice([0, longest])

    dense = draw.random() < 0.4
    if dense:
        pairs = [(target, pre) for target in range(n_out) for pre in range(n_in)]
    else:
        count = draw.choice([0, draw.randint(1, 8), draw.randint(1, 1 + n_in * n_out)])
        pairs = [(draw.randrange(n_out), draw.randrange(n_in)) for _ in range(count)]
    widest = _widest(regime, payload, exponent, max(1, len(pairs) // n_out + 4), room)
    sign = draw.choice([None, None, None, 1, -1])

    def weight() -> int:
        if regime == "even":
            value = 2 * draw.randint(-128, 127) if widest >= 256 else 2 * draw.randint(-(widest // 2), widest // 2)
        elif regime == "half turn":
            value = draw.choice([1, -1]) * ((HALF_TURN >> exponent) // draw.choice([1, 1, 1, 2]))
        elif regime == "limit":
            value = draw.choice([-widest, widest, widest - 1, draw.randint(-widest, widest)])
        else:
            value = draw.randint(-widest, widest)
        if draw.random() < 0.15:
            value = 0
        if sign is not None:
            value = min(abs(value), 254 if regime == "even" else 2**31 - 1) * sign
        return value

    return Group(source, exponent, tuple((target, pre, weight(), delay()) for target, pre in pairs), dense)


def _widest(regime: str, payload: int, exponent: int, per_neuron: int, room: int) -> int:
    """The largest weight of a regime: 'large' and 'limit' go as far as the sum of one step may."""
    if regime == "small":
        return min(20, max(2, room // (payload << exponent) // per_neuron))
    if regime == "even":
        return min(256, max(2, room // (payload << exponent) // per_neuron))
    return max(2, room // (payload << exponent) // per_neuron)
