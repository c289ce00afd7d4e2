"""Random numbers by their place: the same for a channel and a step whatever else is drawn, and in whatever order."""

from __future__ import annotations

import hashlib

import numpy as np
from numba import njit, uint64

GOLDEN = uint64(0x9E3779B97F4A7C15)


def seed_of(*parts: object) -> int:
    """A 64 bit seed from anything that has a text, such as a user's seed and a recording's name."""
    text = "\n".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


@njit(inline="always")
def scrambled(value: np.uint64) -> np.uint64:
    """The finalizer of SplitMix64 (G. L. Steele, D. Lea, C. H. Flood 2014, OOPSLA), a permutation of 64 bits."""
    value = (value ^ (value >> uint64(30))) * uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> uint64(27))) * uint64(0x94D049BB133111EB)
    return value ^ (value >> uint64(31))


@njit(cache=True)
def channel_key(seed: np.uint64, channel: int) -> np.uint64:
    """The start of a channel's own sequence."""
    return scrambled(scrambled(uint64(seed)) ^ (uint64(channel + 1) * GOLDEN))


@njit(inline="always")
def uniform(key: np.uint64, step: int) -> float:
    """In 0..1, 1 excluded: number `step` of the sequence SplitMix64 that starts at `key`."""
    return (scrambled(uint64(key) + uint64(step + 1) * GOLDEN) >> uint64(11)) * 2.0**-53


@njit(cache=True)
def binomial(u: float, n: int, p: float) -> int:
    """How many of n events of probability p happen: the binomial distribution's quantile at u, 0 <= u < 1."""
    if u < 1.0 - n * p or n == 0:  # at most (1 - p)^n, the probability of none: most draws end here
        return 0
    if p >= 1.0:
        return n
    if p > 0.5:  # or (1 - p)^n could be too small for a float
        return n - binomial_below_half(1.0 - u, n, 1.0 - p)
    return binomial_below_half(u, n, p)


@njit(cache=True)
def binomial_below_half(u: float, n: int, p: float) -> int:
    probability = (1.0 - p) ** n
    below = probability
    count = 0
    odds = p / (1.0 - p)
    while u >= below and count < n:
        probability *= odds * (n - count) / (count + 1)
        count += 1
        below += probability
    return count
