"""From the membrane's velocity to spikes: hair cells, nerve fibers and bushy cells, step by step.

All of it is a recursion over steps whose state is kept between calls, so a sound may be handed over in pieces of any
length: batch and stream are one piece of code.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from delaytool.contract.ear import EarModel
from delaytool.datasets.ear.random_numbers import binomial, channel_key, uniform
from delaytool.datasets.ear.transfer_table import BLOCK


class Cells:
    """The cells of BLOCK channels, from `first` on, in the middle of a sound.

    rate   steps per second: half the sound's sampling rate
    seed   of the sound; a channel's random numbers depend on it, the channel and the step alone

    Example: `steps, channels = Cells(EarModel(), 8000, first=0, seed=1).spikes(velocity)`, with `velocity`
    (time, BLOCK) float64, gives the spikes of channels 0 to 15.
    """

    def __init__(self, model: EarModel, rate: float, *, first: int, seed: int) -> None:
        self.count = min(BLOCK, model.n_channels - first)
        self.first = first
        self.step = 0
        self._hair = hair_constants(model, rate)
        self._bushy = bushy_constants(model, rate)
        self._pools = np.repeat(resting_pools(model)[:, None], BLOCK, axis=1)  # (3, BLOCK)
        self._keys = np.array(
            [channel_key(np.uint64(seed), first + channel) for channel in range(self.count)], np.uint64
        )
        self._ready = np.full(self.count, model.fibers, np.int64)
        dead = max(1, math.ceil(model.fiber_dead_time_ms / 1000 * rate))
        # Fibers that fired so many steps ago, as a ring: they can fire again after `dead` steps.
        self._returning = np.zeros((dead, self.count), np.int64)
        self._bushy_state = np.zeros((2, self.count))  # potential, current
        self._waiting = np.zeros(self.count, np.int64)  # dead steps that are left

    def spikes(self, velocity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """((n,) int64 steps since the sound began, (n,) int64 channels), sorted by channel, then by step.

        A neuron's potential reaches the threshold in one step and the spike is known in the next, as in LAUSCHER: a
        spike of the last step is given with the next piece, or never.
        """
        probability = hair_cells(velocity, self._hair, self._pools)
        counts = nerve_fibers(probability, self.step, self._keys, self._ready, self._returning)
        steps, channels = bushy_cells(counts, self._bushy, self._bushy_state, self._waiting)
        steps += self.step - 1
        self.step += len(velocity)
        return steps, channels + self.first


def resting_pools(model: EarModel) -> np.ndarray:
    """(3,): transmitter in the free pool, the cleft and the store of a hair cell in silence (Meddis 1986)."""
    release = model.permeability * model.permeability_a / (model.permeability_a + model.permeability_b)
    cleft = (
        model.pool
        * model.replenishment
        * release
        / (model.loss * release + model.replenishment * (model.loss + model.reuptake))
    )
    return np.array(
        [cleft * (model.loss + model.reuptake) / release, cleft, cleft * model.reuptake / model.reprocessing]
    )


def hair_constants(model: EarModel, rate: float) -> np.ndarray:
    """What `hair_cells` needs: g, y, l + r, r, x and h per step, A, B and m."""
    per_second = np.array(
        [model.permeability, model.replenishment, model.loss + model.reuptake, model.reuptake, model.reprocessing]
    )
    last = [model.firing / rate, model.permeability_a, model.permeability_b, model.pool]
    return np.concatenate([per_second / rate, last])


def bushy_constants(model: EarModel, rate: float) -> np.ndarray:
    """What `bushy_cells` needs: decays of potential and current per step, a spike's charge, and dead steps."""
    step = 1.0 / rate
    return np.array(
        [
            math.exp(-step / (model.tau_membrane_ms / 1000)),
            math.exp(-step / (model.tau_synapse_ms / 1000)),
            model.drive / model.fibers * step,
            math.ceil(model.dead_time_ms / 1000 * rate),
        ]
    )


@njit(cache=True, nogil=True)
def hair_cells(velocity: np.ndarray, constants: np.ndarray, pools: np.ndarray) -> np.ndarray:
    """(time, n): probabilities per step that a fiber fires, of velocities (time, n); `pools` (3, n) go on.

    Meddis 1986, by Euler's rule:

        k = g (s + A) / (s + A + B)  where s + A > 0, else 0
        dq/dt = y (m - q)  where q < m  + x w - k q      free pool
        dc/dt = k q - (l + r) c                           cleft
        dw/dt = r c - x w                                 store
        probability = h c dt
    """
    g, y, lr, r, x = constants[0], constants[1], constants[2], constants[3], constants[4]
    h, a, b, m = constants[5], constants[6], constants[7], constants[8]
    probability = np.empty_like(velocity)
    free, cleft, store = pools[0].copy(), pools[1].copy(), pools[2].copy()
    for t in range(velocity.shape[0]):
        for i in range(velocity.shape[1]):
            q, c, w = free[i], cleft[i], store[i]
            s = max(velocity[t, i] + a, 0.0)
            ejected = g * s / (s + b) * q
            taken = r * c
            reprocessed = x * w
            free[i] = max(q + max(y * (m - q), 0.0) - ejected + reprocessed, 0.0)
            c = max(c + ejected - lr * c, 0.0)
            cleft[i] = c
            store[i] = max(w + taken - reprocessed, 0.0)
            probability[t, i] = c * h
    pools[0], pools[1], pools[2] = free, cleft, store
    return probability


@njit(cache=True, nogil=True)
def nerve_fibers(
    probability: np.ndarray, begin: int, keys: np.ndarray, ready: np.ndarray, returning: np.ndarray
) -> np.ndarray:
    """(time, n) uint8: how many fibers of each channel fire, with probabilities (time, n) from step `begin` on.

    The fibers of a channel are alike, so it is enough to count those that are `ready` (n,): the number that fires is
    drawn from one binomial distribution. Those that fired d steps ago, d the length of the ring `returning` (d, n),
    are ready again: at d steps per dead time a fiber's spikes are at least d steps apart.
    """
    n = keys.size
    counts = np.empty((len(probability), n), np.uint8)
    slot = begin % len(returning)
    numbers = np.empty(n)
    for t in range(len(probability)):
        for channel in range(n):  # a loop of its own, which the compiler turns into one over vectors
            numbers[channel] = uniform(keys[channel], begin + t)
            ready[channel] += returning[slot, channel]
        for channel in range(n):
            fired = binomial(numbers[channel], ready[channel], probability[t, channel])
            counts[t, channel] = fired
            returning[slot, channel] = fired
            ready[channel] -= fired
        slot += 1
        if slot == len(returning):
            slot = 0
    return counts


@njit(cache=True, nogil=True)
def bushy_cells(
    counts: np.ndarray, constants: np.ndarray, state: np.ndarray, waiting: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Steps and cells, (spikes,) int64 each, of spikes in the step before, with spikes (time, n) of each cell's fibers.

    A leaky integrate-and-fire neuron, threshold 1, whose potential and current decay per step: the current takes the
    new spikes and is added to the potential, except in the dead time, in which the potential is 0. `state` (2, n),
    potential and current, and `waiting` (n,), dead steps that are left, go on.
    """
    keep_v, keep_i, charge, dead = constants[0], constants[1], constants[2], int(constants[3])
    most = counts.shape[1] * (counts.shape[0] // max(dead, 1) + 1)
    steps, cells = np.empty(most, np.int64), np.empty(most, np.int64)
    found = 0
    for channel in range(counts.shape[1]):
        v, current, left = state[0, channel], state[1, channel], waiting[channel]
        for t in range(counts.shape[0]):
            if left <= 0 and v >= 1.0:
                steps[found], cells[found] = t, channel
                found += 1
                left = dead
            current = current * keep_i + counts[t, channel]
            v = min(v * keep_v + current * charge, 1.0) if left <= 0 else 0.0
            left -= 1
        state[0, channel], state[1, channel], waiting[channel] = v, current, left
    return steps[:found], cells[:found]
