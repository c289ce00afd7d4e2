"""Hypothesis at the contract's edges: where one rule turns into another, every backend against the simulator."""

from __future__ import annotations

import os

from campaign import agreement, backends, package
from campaign.simulator import Description, Group, Layer, simulate
from hypothesis import example, given, settings
from hypothesis import strategies as st

from delaytool.errors import NetworkError

EXAMPLES = settings(max_examples=int(os.environ.get("CAMPAIGN_EXAMPLES", "25")), deadline=None, database=None)


# Where the contract turns from one rule to another.
TURN = st.sampled_from([2**17 - 1, 2**17, 2**17 + 1, 2**18 - 1, 2**18, 2**18 + 1, 3 * 2**17])
SUMS = st.sampled_from(
    [
        sign * (base + off)
        for sign in (1, -1)
        for base in [2**15, *(2**k for k in range(0, 24, 3))]
        for off in (-1, 0, 1)
    ]
)


def assert_all_agree(description: Description, frames: list[list[list[int]]], seed: int = 0) -> None:
    network = package.network_of(description)
    array = package.frames_of(description, frames)
    want = backends.expected(network, array, [simulate(description, sample) for sample in frames])
    for name, run in backends.IN_PROCESS.items():
        compared, found = backends.differences(want, run(network, array, seed))
        assert compared
        assert not found, f"{name}: {found[:3]}"


def one_neuron(
    weights: list[int], *, du: int, dv: int, threshold: int = 131071, bias: int = 0, exponent: int = 0, n_steps: int = 8
) -> Description:
    """A channel for each weight, all onto one neuron without delay."""
    group = Group(0, exponent, tuple((0, channel, weight, 0) for channel, weight in enumerate(weights)))
    return Description(len(weights), "binary", 1, n_steps, (Layer(1, du, dv, threshold, (bias,), 0, (group,)),))


def assert_all_agree_or_refused(description: Description, frames: list[list[list[int]]]) -> None:
    try:
        package.network_of(description)
    except NetworkError as error:
        if agreement.BEYOND_32_BITS in str(error):
            return
        raise
    assert_all_agree(description, frames)


@EXAMPLES
@given(
    st.lists(TURN, min_size=1, max_size=4),
    st.lists(st.booleans(), min_size=4, max_size=4),
    st.sampled_from([0, 1, 4095]),
)
@example([2**17], [True] * 4, 4095)
@example([2**17, 2**17], [False] * 4, 4095)
def test_currents_at_half_a_turn(weights: list[int], negative: list[bool], du: int) -> None:
    """u = +2^23 stays, u = -2^23 wraps to +2^23, and a sum beyond a turn keeps what one wrap leaves."""
    signed = [-weight if flip else weight for weight, flip in zip(weights, negative, strict=False)]
    frames = [[1] * len(signed), [0] * len(signed)] * 3
    assert_all_agree_or_refused(one_neuron(signed, du=du, dv=4096), [frames])


@EXAMPLES
@given(st.lists(SUMS, min_size=1, max_size=12), st.sampled_from([4095, 0, 2048]), st.sampled_from([0, 4096, 5]))
@example([2**15 - 1, 1], 4095, 0)  # the first sum that 16 bits do not hold
@example([-(2**15), -1], 4095, 0)
def test_sums_at_the_width_of_words(weights: list[int], du: int, dv: int) -> None:
    """Sums at +-2^15 (16-bit windows) and at each +-2^k (the batched method's words), arriving in every combination."""
    rows = [[int(step >> bit & 1) for bit in range(len(weights))] for step in (1, 2, 3, 2 ** len(weights) - 1, 5, 6)]
    assert_all_agree_or_refused(one_neuron(weights, du=du, dv=dv), [rows])


@EXAMPLES
@given(
    st.integers(-(2**17), 2**17),
    st.sampled_from([0, 1, 2048, 4095, 4096]),
    st.sampled_from([-1, 0, 1]),
    st.integers(0, 4095),
)
def test_membranes_at_the_threshold(weight: int, dv: int, off: int, bias: int) -> None:
    """v exactly at the threshold, one unit below and above."""
    threshold = min(131071, max(0, abs(weight) + off))
    assert_all_agree(one_neuron([weight], du=4095, dv=dv, threshold=threshold, bias=0), [[[1], [1], [0], [1]]])
    assert_all_agree(one_neuron([weight], du=4095, dv=dv, threshold=threshold, bias=off * bias % 64), [[[1], [0], [1]]])


@EXAMPLES
@given(st.sampled_from([0, 1, 5, 1023, 4095]), st.integers(-3, 3), st.booleans())
@example(4095, 0, True)
def test_the_refusal_limit(du: int, off: int, negative: bool) -> None:
    """The largest network that is accepted stays within 32 bits at its worst input, which the simulator checks."""

    def accepted(size: int) -> bool:
        try:
            package.network_of(one_neuron([-size if negative else size], du=du, dv=0))
        except NetworkError:
            return False
        return True

    low, high = 1, 2**27
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if accepted(middle) else (low, middle)
    assert accepted(low)
    assert not accepted(low + 1)
    size = low + min(0, off)
    worst = one_neuron([-size if negative else size], du=du, dv=0, bias=-4096 if negative else 4095, n_steps=60)
    assert_all_agree(worst, [[[1]] * 60])
