"""The integer contract's neurons on a CPU, compiled by numba; laid out as the loops of `compiled`."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit, prange
from torch import Tensor

from delaytool.contract.bounds import STATE_LIMIT
from delaytool.models.neurons.loops import IntegerLifConstants
from delaytool.models.neurons.strips import STRIP, flat, flat_mask
from delaytool.models.threads import use_as_many_threads_as_torch

_LIMIT = float(STATE_LIMIT)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _loop(sums, bias, mask, leak, unit, highest_silent, v, spikes):  # type: ignore[no-untyped-def]
    time, neurons = sums.shape
    zero, one = sums.dtype.type(0), sums.dtype.type(1)
    for strip in prange((neurons + STRIP - 1) // STRIP):
        first = strip * STRIP
        last = min(neurons, first + STRIP)
        after = np.zeros(STRIP, dtype=np.float64)
        for t in range(time):
            for n in range(first, last):
                u = np.rint(np.float64(sums[t, n])) * unit
                if u > _LIMIT:
                    u -= 2 * _LIMIT
                if u <= -_LIMIT:
                    u += 2 * _LIMIT
                before = np.trunc(after[n - first] * leak) + u + bias[n]
                before = min(max(before, 1 - _LIMIT), _LIMIT - 1)
                fires = before > highest_silent
                v[t, n] = before
                after[n - first] = 0.0 if fires else before
                if mask.size:
                    spikes[t, n] = mask[n] if fires else zero
                else:
                    spikes[t, n] = one if fires else zero


def integer_lif_forward(
    sums: Tensor, bias: Tensor, mask: Tensor | None, constants: IntegerLifConstants
) -> tuple[Tensor, Tensor]:
    """(spikes times mask, the membrane before its reset)"""
    sums = sums.contiguous()
    use_as_many_threads_as_torch()
    v, spikes = torch.empty_like(sums), torch.empty_like(sums)
    _loop(
        flat(sums),
        bias.detach().double().repeat(sums.shape[1]).numpy(),
        flat_mask(mask, sums),
        constants.leak,
        float(constants.unit),
        float(constants.highest_silent),
        flat(v),
        flat(spikes),
    )
    return spikes, v
