"""The golden cases: small networks and inputs, each with the reason that it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from delaytool.contract.bounds import DECAY_UNITY, MAX_THRESHOLD
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses, Synapses

Case = tuple[IntegerNetwork, np.ndarray]
CASES: dict[str, Callable[[], Case]] = {}


def case(function: Callable[[], Case]) -> Callable[[], Case]:
    CASES[function.__name__.replace("_", "-")] = function
    return function


def dense(source: int, weight, delay, exponent: int = 0) -> DenseSynapses:
    weight = np.array(weight)
    return DenseSynapses(source, weight, np.broadcast_to(np.array(delay), weight.shape), exponent)


def layer(name: str, *synapses: Synapses, n: int, du=4095, dv=4096, threshold=MAX_THRESHOLD, bias=0, bias_exponent=0):
    mantissa = np.broadcast_to(np.array(bias), (n,))
    return IntegerLayer(name, n, synapses, dv, threshold, du, mantissa, bias_exponent)


def network(
    layers: list[IntegerLayer], *, n_in: int, n_steps: int, max_count: int = 1, target: str = "loihi2"
) -> IntegerNetwork:
    values = "count" if max_count > 1 else "binary"
    encoding = InputEncoding(n_in, values=values, max_count=max_count if max_count > 1 else None, n_steps=n_steps)
    # Loihi 2's dv has 12 bits; what stock Lava runs beyond them is for no chip.
    target = target if all(layer.dv < DECAY_UNITY for layer in layers) else "ideal"
    return IntegerNetwork(encoding, tuple(layers), Readout("sum", 1.0, 0, n_steps), n_steps, target=target)


def frames(n_steps: int, n_in: int, spikes: dict[tuple[int, int], int], n_samples: int = 1) -> np.ndarray:
    """(sample, step, channel) uint8 from {(step, channel): value}, in the first sample."""
    array = np.zeros((n_samples, n_steps, n_in), np.uint8)
    for (step, channel), value in spikes.items():
        array[0, step, channel] = value
    return array


def random_frames(seed: int, shape: tuple[int, int, int], rate: float, most: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.integers(1, most + 1, shape) * (rng.random(shape) < rate)).astype(np.uint8)


def even(rng: np.random.Generator, shape: tuple[int, ...], low: int = -256, high: int = 254) -> np.ndarray:
    return rng.integers(low // 2, high // 2 + 1, shape) * 2


@case
def delay_0() -> Case:
    """A spike sent at step t over a delay of 0 arrives at t + 1: one synapse, one spike, current and membrane decay."""
    return network([layer("out", dense(0, [[64]], 0), n=1, du=1023, dv=409)], n_in=1, n_steps=12), frames(
        12, 1, {(2, 0): 1}
    )


@case
def delay_62() -> Case:
    """The largest delay: arrives at t + 63; a spike of the last steps never does."""
    return network([layer("out", dense(0, [[64, -30]], [[62, 61]]), n=1, du=2047, dv=100)], n_in=2, n_steps=70), frames(
        70, 2, {(0, 0): 1, (3, 1): 1, (5, 0): 1, (69, 0): 1}
    )


@case
def lava_dense_delays() -> Case:
    """Values of lava-nc's own DelayDense tests: rows fan out with delays 0, 1, 2, a common delay 2, and fan in."""
    weight = np.zeros((7, 4), int)
    delay = np.zeros((7, 4), int)
    weight[:3, 2], delay[:3, 2] = [254, -256, 38], [0, 1, 2]
    weight[3:6, 2], delay[3:6, 2] = [254, -256, 38], 2
    weight[6], delay[6] = [254, -256, 38, 0], 2
    spikes = {(3, channel): 1 for channel in range(4)}
    return network([layer("out", dense(0, weight, delay), n=7)], n_in=4, n_steps=8), frames(8, 4, spikes)


@case
def lava_sparse_exponent() -> Case:
    """Values of lava-nc's own DelaySparse tests: weight exponent 1 doubles 254, -256, 38, with delays 0, 1, 2."""
    group = SparseSynapses(0, 3, 4, np.arange(3), np.full(3, 2), np.array([254, -256, 38]), np.arange(3), exponent=1)
    spikes = {(3, channel): 1 for channel in range(4)}
    return network([layer("out", group, n=3)], n_in=4, n_steps=8), frames(8, 4, spikes)


@case
def several_taps() -> Case:
    """Pairs of neurons joined by up to three synapses of different delays, and two of the same delay."""
    taps = np.array(
        [  # target, pre, weight, delay
            (0, 0, 40, 0),
            (0, 0, -20, 5),
            (0, 0, 60, 62),
            (1, 0, 30, 7),
            (1, 1, 254, 3),
            (1, 1, 254, 3),
            (0, 1, -256, 1),
        ]
    )
    group = SparseSynapses(0, 2, 2, *taps.T)
    spikes = {(0, 0): 1, (1, 0): 1, (4, 1): 1, (9, 0): 1, (9, 1): 1}
    return network([layer("out", group, n=2, du=3000, dv=300, threshold=200)], n_in=2, n_steps=80), frames(
        80, 2, spikes
    )


@case
def biases() -> Case:
    """No input at all: biases act from step 0 in every layer, with the extremes of mantissa and exponent."""
    first = layer("hidden", n=5, dv=409, threshold=3000, bias=[4095, -4096, 1, -1, 1000], bias_exponent=7)
    second = layer(
        "out", dense(1, [[100, -100, 2, 2, -50]] * 2, 3), n=2, du=2000, dv=7, threshold=900, bias=[4095, -4096]
    )
    return network([first, second], n_in=1, n_steps=60), frames(60, 1, {}, n_samples=2)


@case
def rounding() -> Case:
    """Products of both signs that do not divide: decays round toward zero, so that no residue stays behind."""
    weight = [[2, 0], [-2, 0], [64, -66], [-254, 254], [0, 38]]
    decaying = layer("out", dense(0, weight, [[0, 1]] * 5), n=5, du=1, dv=1)
    return network([decaying], n_in=2, n_steps=100), random_frames(1, (1, 100, 2), 0.2)


@case
def current_wraps() -> Case:
    """Sums beyond 24 bits: u wraps once, on both sides; +2^23 itself stays, -2^23 becomes +2^23."""
    weight = [[128, 0, 0], [-128, 0, 0], [254, 254, 254], [-256, -256, -256], [254, -256, 0]]
    wrapping = layer("out", dense(0, weight, [[0, 1, 2]] * 5, exponent=7), n=5, du=200, dv=409, threshold=100000)
    pulses = {(0, 0): 8, (10, 0): 9, (20, 0): 16, (20, 1): 16, (30, 2): 4, (31, 2): 5, (32, 2): 6}
    return network([wrapping], n_in=3, n_steps=50, max_count=16), frames(50, 3, pulses)


@case
def beyond_one_wrap() -> Case:
    """A sum further out than one turn: Lava wraps once only, and what is left stays beyond 24 bits."""
    group = dense(0, [[254, 254], [-256, -256]], 0, exponent=7)
    pulses = {(1, 0): 9, (1, 1): 9, (6, 0): 12, (12, 1): 8, (13, 1): 8, (14, 1): 8}
    return network([layer("out", group, n=2, du=3500, dv=1000)], n_in=2, n_steps=30, max_count=12), frames(
        30, 2, pulses
    )


@case
def membrane_clips() -> Case:
    """v saturates at +-(2^23 - 1) before the threshold is compared, and the saturated neuron recovers."""
    group = dense(0, [[254, -256], [-256, 254], [254, 0]], [[0, 2], [0, 2], [4, 0]], exponent=6)
    clipping = layer("out", group, n=3, du=300, dv=2, bias=[4095, -4096, 4095], bias_exponent=7)
    return network([clipping], n_in=2, n_steps=80), random_frames(2, (1, 80, 2), 0.5)


@case
def strict_threshold() -> Case:
    """A neuron whose v equals threshold << 6 exactly keeps silent; one unit more fires, and v restarts at 0."""
    neurons = layer("out", dense(0, [[10], [10], [10]], 0), n=3, dv=0, threshold=30, bias=[0, 1, -1])
    return network([neurons], n_in=1, n_steps=16), frames(16, 1, {(step, 0): 1 for step in range(0, 16, 2)})


@case
def graded_input() -> Case:
    """Counts of 0..255 multiply the weight, for dense and sparse synapses alike."""
    rng = np.random.default_rng(3)
    group = SparseSynapses(
        0, 4, 6, rng.integers(0, 4, 15), rng.integers(0, 6, 15), even(rng, (15,)), rng.integers(0, 9, 15)
    )
    neurons = layer(
        "out", dense(0, even(rng, (4, 6)), rng.integers(0, 20, (4, 6))), group, n=4, dv=409, threshold=20000
    )
    return network([neurons], n_in=6, n_steps=40, max_count=255), random_frames(4, (2, 40, 6), 0.2, most=255)


@case
def weight_exponents() -> Case:
    """Eight groups on one layer, exponents 0 to 7."""
    groups = [dense(0, [[2, -4], [254, -256]], [[number, 7 - number]] * 2, exponent=number) for number in range(8)]
    neurons = layer("out", *groups, n=2, du=1500, dv=200, threshold=5000)
    return network([neurons], n_in=2, n_steps=40), random_frames(5, (1, 40, 2), 0.3)


@case
def three_layers() -> Case:
    """A whole small network: three dense layers, delays 0..62, biases, a silent readout; two samples."""
    rng = np.random.default_rng(6)
    sizes = [12, 16, 16, 5]
    layers = [
        layer(
            name,
            dense(index, even(rng, (n, sizes[index]), -100, 120), rng.integers(0, 63, (n, sizes[index]))),
            n=n,
            dv=409,
            threshold=threshold,
            bias=rng.integers(-20, 60, n),
            bias_exponent=4,
        )
        for index, (name, n, threshold) in enumerate(
            zip(("hidden1", "hidden2", "readout"), sizes[1:], (150, 200, MAX_THRESHOLD), strict=True)
        )
    ]
    return network(layers, n_in=12, n_steps=120), random_frames(7, (2, 120, 12), 0.1)


@case
def sparse_layers() -> Case:
    """Two layers of sparse groups, with a repeated pair here and there, as pruning and rewiring leave them."""
    rng = np.random.default_rng(8)
    sizes = [20, 15, 4]
    layers = []
    for index, (n, count, threshold) in enumerate(((15, 80, 120), (4, 30, MAX_THRESHOLD))):
        n_in = sizes[index]
        arrays = (
            rng.integers(0, n, count),
            rng.integers(0, n_in, count),
            even(rng, (count,)),
            rng.integers(0, 63, count),
        )
        group = SparseSynapses(index, n, n_in, *arrays, exponent=1)
        layers.append(layer(f"layer{index}", group, n=n, du=2000, dv=409, threshold=threshold))
    return network(layers, n_in=20, n_steps=110), random_frames(9, (1, 110, 20), 0.15)


@case
def recurrent_and_skip() -> Case:
    """A layer that drives itself, one that drives an earlier layer, and the input skipping a layer."""
    rng = np.random.default_rng(10)
    first = layer(
        "hidden1",
        dense(0, even(rng, (6, 4), -60, 254), 1),
        dense(1, even(rng, (6, 6), -120, 60), rng.integers(0, 15, (6, 6))),
        dense(2, even(rng, (6, 3), -256, 0), rng.integers(0, 5, (6, 3))),
        n=6,
        dv=800,
        threshold=120,
    )
    second = layer(
        "readout",
        dense(1, even(rng, (3, 6)), rng.integers(0, 30, (3, 6))),
        dense(0, even(rng, (3, 4)), 40),
        n=3,
        dv=409,
        threshold=300,
    )
    return network([first, second], n_in=4, n_steps=90), random_frames(11, (1, 90, 4), 0.15)


@case
def recurrent_layer() -> Case:
    """A recurrent layer with delays 0 to 62, with a current filter; no biases and no payloads."""
    rng = np.random.default_rng(12)
    own = SparseSynapses(
        1, 8, 8, rng.integers(0, 8, 40), rng.integers(0, 8, 40), even(rng, (40,), -120, 100), rng.integers(0, 63, 40)
    )
    hidden = layer(
        "hidden", dense(0, even(rng, (8, 5), -40, 200), rng.integers(0, 63, (8, 5))), own, n=8, du=3000, dv=600,
        threshold=250,
    )  # fmt: skip
    readout = layer("readout", dense(1, even(rng, (3, 8)), rng.integers(0, 63, (3, 8)), 1), n=3, du=2500, dv=409)
    return network([hidden, readout], n_in=5, n_steps=150), random_frames(13, (1, 150, 5), 0.12)


@case
def wraps_at_2_23() -> Case:
    """Sums of exactly +-2^23 and of one weight more and less: +2^23 stays, -2^23 becomes +2^23."""
    quarter = [254, 254, 254, 254, 8]  # times 2^7 they add up to 2^17, and 2^17 << 6 is 2^23
    weight = [[*quarter, 0], [*quarter, 2], [*quarter, -2]]
    weight += [[-value for value in row] for row in weight]
    edge = layer("out", dense(0, weight, 0, exponent=7), n=6, dv=2048)
    return network([edge], n_in=6, n_steps=8), frames(8, 6, {(1, channel): 1 for channel in range(6)} | {(5, 5): 1})


@case
def refusal_limit() -> Case:
    """The largest sums that a network may have: one weight more and its sums could leave 32 bits."""
    edge = layer("out", dense(0, [[254, 254, 6], [-254, -254, -6]], 0, exponent=7), n=2, dv=1000)
    pulses = {(1, channel): 255 for channel in range(3)} | {(4, 0): 255, (4, 2): 1, (7, 1): 128}
    return network([edge], n_in=3, n_steps=14, max_count=255), frames(14, 3, pulses)


@case
def one_neuron() -> Case:
    """One channel and one recurrent neuron: the smallest network that does anything."""
    own = dense(1, [[-90]], 2, exponent=1)
    return network([layer("out", dense(0, [[100]], 0), own, n=1, dv=500, threshold=80)], n_in=1, n_steps=30), frames(
        30, 1, {(step, 0): 1 for step in range(0, 28, 3)}
    )


@case
def graded_values() -> Case:
    """Real numbers of 4 bits as payloads, into a layer with a current filter and from there into a readout."""
    rng = np.random.default_rng(14)
    hidden = layer(
        "hidden", dense(0, even(rng, (6, 4)), rng.integers(0, 12, (6, 4))), n=6, du=2000, dv=500, threshold=4000
    )
    readout = layer("readout", dense(1, even(rng, (3, 6)), rng.integers(0, 12, (3, 6)), 2), n=3, dv=409)
    made = network([hidden, readout], n_in=4, n_steps=40)
    encoding = InputEncoding(4, values="graded", input_bits=4, offset=-40.0, scale=2.5, start="zero", n_steps=40)
    return replace(made, encoding=encoding), random_frames(15, (2, 40, 4), 0.4, most=15)


@case
def long_delays() -> Case:
    """Delays beyond a chip's 62: 63, 64, 200, 299, and 32767, which ends after the run."""
    taps = np.array(
        [  # target, pre, weight, delay
            (0, 0, 80, 63),
            (0, 1, -60, 64),
            (1, 0, 100, 200),
            (1, 1, 120, 299),
            (0, 0, 40, 62),
            (1, 1, 254, 32767),
        ]
    )
    hidden = layer("hidden", SparseSynapses(0, 2, 2, *taps.T), n=2, du=3500, dv=300, threshold=70)
    readout = layer("readout", dense(1, [[64, -30]], [[120, 0]]), n=1, dv=409)
    made = network([hidden, readout], n_in=2, n_steps=400, target="ideal")
    return made, random_frames(16, (1, 400, 2), 0.05)


@case
def charge_in_flight() -> Case:
    """The first sample ends with charge still under way and full membranes; nothing of it reaches the second."""
    chain = [
        layer("hidden", dense(0, [[254]], 20, exponent=2), n=1, dv=1, threshold=400, bias=30),
        layer("out", dense(1, [[254]], 30, exponent=2), n=1, du=10, dv=1),
    ]
    given = frames(40, 1, {(step, 0): 1 for step in range(10, 40)}, n_samples=2)
    return network(chain, n_in=1, n_steps=40), given
