"""The one draw per step against fibers that are simulated one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.contract.ear import EarModel
from delaytool.datasets.ear.cells import Cells, bushy_cells, bushy_constants, nerve_fibers
from delaytool.datasets.ear.random_numbers import binomial, channel_key, seed_of, uniform

stats = pytest.importorskip("scipy.stats")
RATE = 8000
FIBERS = 40
DEAD = 8  # steps of 1 / 8000 s in 1 ms
MODEL = EarModel(n_channels=16)
SEEDS = 60


def one_by_one(probability: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(time, channel) counts: every fiber is drawn in every step, and does not fire for a dead time after it did."""
    counts = np.zeros(probability.shape, np.uint8)
    last = np.full((FIBERS, probability.shape[1]), -DEAD)
    for t, p in enumerate(probability):
        fires = (generator.random(last.shape) < p) & (t - last >= DEAD)
        last[fires] = t
        counts[t] = fires.sum(axis=0)
    return counts


def at_once(probability: np.ndarray, seed: int) -> np.ndarray:
    n = probability.shape[1]
    keys = np.array([channel_key(seed, channel) for channel in range(n)], np.uint64)
    return nerve_fibers(probability, 0, keys, np.full(n, FIBERS), np.zeros((DEAD, n), np.int64))


def bushy_spikes(counts: np.ndarray) -> np.ndarray:
    """(time, channel) bool."""
    n = counts.shape[1]
    marks = np.zeros(counts.shape, bool)
    marks[bushy_cells(counts, bushy_constants(MODEL, RATE), np.zeros((2, n)), np.zeros(n, np.int64))] = True
    return marks


@pytest.fixture(scope="module")
def both() -> tuple[np.ndarray, np.ndarray]:
    """(seed, time, channel) counts of either kind: probabilities that are steady, high, and that rise and fall."""
    t = np.arange(400)
    shapes = [np.full(400, p) for p in (0.002, 0.02, 0.1, 0.4, 0.8, 1.0)]
    shapes += [peak * (0.5 - 0.5 * np.cos(2 * np.pi * t / period)) for peak in (0.05, 0.5) for period in (16, 80, 400)]
    probability = np.stack(shapes, axis=1)
    generator = np.random.default_rng(1)
    slow = np.stack([one_by_one(probability, generator) for _ in range(SEEDS)])
    return np.stack([at_once(probability, seed) for seed in range(SEEDS)]), slow


def assert_alike(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Means of (seed, channel) numbers that differ by no more than chance: 4.5 standard errors."""
    error = np.sqrt((ours.var(axis=0, ddof=1) + theirs.var(axis=0, ddof=1)) / len(ours))
    assert np.all(np.abs(ours.mean(axis=0) - theirs.mean(axis=0)) <= 4.5 * error + 1e-12)


def test_rates(both: tuple[np.ndarray, np.ndarray]) -> None:
    ours, theirs = both
    assert_alike(ours.sum(axis=1).astype(float), theirs.sum(axis=1).astype(float))
    for start in range(0, 400, 50):  # and as they change with time
        window = slice(start, start + 50)
        assert_alike(ours[:, window].sum(axis=1).astype(float), theirs[:, window].sum(axis=1).astype(float))


@pytest.mark.parametrize("window", [4, 8, 20, 100])
def test_fano_factors(both: tuple[np.ndarray, np.ndarray], window: int) -> None:
    def fano(counts: np.ndarray) -> np.ndarray:
        """(seed, channel): variance of the counts in windows, per mean of all seeds."""
        sums = counts.reshape(SEEDS, -1, window, counts.shape[2]).sum(axis=2)[:, 1:].astype(float)
        return ((sums - sums.mean(axis=(0, 1))) ** 2).mean(axis=1) / np.maximum(sums.mean(axis=(0, 1)), 1e-9)

    ours, theirs = both
    assert_alike(fano(ours), fano(theirs))
    assert (fano(ours).mean(axis=0) < 1).any()  # the dead time makes fibers more regular than chance


@pytest.mark.parametrize("lag", [1, 4, 7, 8, 9, 16])
def test_what_the_dead_time_leaves_in_later_steps(both: tuple[np.ndarray, np.ndarray], lag: int) -> None:
    def together(counts: np.ndarray) -> np.ndarray:
        counts = counts.astype(float)
        return (counts[:, :-lag] * counts[:, lag:]).mean(axis=1)

    ours, theirs = both
    assert_alike(together(ours), together(theirs))


def test_intervals_of_bushy_cells(both: tuple[np.ndarray, np.ndarray]) -> None:
    ours, theirs = ([bushy_spikes(counts) for counts in some] for some in both)
    assert_alike(np.array([m.sum(axis=0) for m in ours], float), np.array([m.sum(axis=0) for m in theirs], float))
    compared = 0
    for channel in range(both[0].shape[2]):
        gaps = [
            np.concatenate([np.diff(np.flatnonzero(marks[:, channel])) for marks in some]) for some in (ours, theirs)
        ]
        if min(gap.size for gap in gaps) > 100:
            compared += 1
            assert min(gap.min() for gap in gaps) > DEAD
            assert stats.ks_2samp(*gaps).pvalue > 1e-3
    assert compared >= 5


@settings(max_examples=300, deadline=None)
@given(
    u=st.floats(0, 1, exclude_max=True),
    n=st.integers(0, 40),
    p=st.one_of(st.floats(0, 1), st.floats(0, 1e-6), st.floats(1 - 1e-6, 1), st.floats(1, 5)),
)
def test_binomial_is_a_quantile(u: float, n: int, p: float) -> None:
    count = binomial(u, n, p)
    assert 0 <= count <= n
    if p <= 0.5 or p >= 1:
        cumulative = stats.binom.cdf(np.arange(-1, n + 1), n, min(p, 1.0))
    else:  # counted from the other end
        cumulative = stats.binom.cdf(np.arange(-1, n + 1), n, 1.0 - p)
        count, u = n - count, 1.0 - u
    assert cumulative[count] <= u + 1e-9
    assert u <= cumulative[count + 1] + 1e-9


def test_uniform_numbers_are_those_of_splitmix64() -> None:
    # The sequence of SplitMix64 from 1234567, as in the reference implementation of S. Vigna.
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    ours = [uniform(np.uint64(1234567), step) for step in range(4)]
    assert ours == [(number >> 11) * 2.0**-53 for number in published]


def test_uniform_numbers_are_even() -> None:
    key = channel_key(3, 5)
    numbers = np.array([uniform(key, step) for step in range(20000)])
    assert stats.kstest(numbers, "uniform").pvalue > 0.01
    assert stats.kstest(np.abs(np.diff(numbers)), stats.triang(0).cdf).pvalue > 0.001


def test_a_channel_draws_the_same_in_whatever_block_and_pieces() -> None:
    model = EarModel(n_channels=40)
    velocity = 400 * np.random.default_rng(0).standard_normal((300, 16))
    whole = Cells(model, RATE, first=16, seed=9).spikes(velocity)
    assert len(whole[0]) > 20
    cells = Cells(model, RATE, first=16, seed=9)
    pieces = [cells.spikes(velocity[a:b]) for a, b in ((0, 1), (1, 7), (7, 7), (7, 150), (150, 300))]
    steps, channels = (np.concatenate(part) for part in zip(*pieces, strict=True))
    order = np.argsort(channels, kind="stable")
    np.testing.assert_array_equal(steps[order], whole[0])
    np.testing.assert_array_equal(channels[order], whole[1])
    other = Cells(model, RATE, first=16, seed=10).spikes(velocity)
    assert len(other[0]) != len(whole[0]) or np.any(other[0] != whole[0])


def test_seeds_depend_on_every_part() -> None:
    assert len({seed_of(0, "a"), seed_of(1, "a"), seed_of(0, "b"), seed_of("0", "a", "")}) == 4
    assert seed_of(0, "yes/one.wav") == 3598108371995558811
