"""Synapses as one matrix per delay, in 8-bit pieces that integer matrix products take."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delaytool.contract.network import IntegerNetwork

# MatMulInteger and ConvInteger multiply uint8 by int8. On x86 processors with AVX2 or AVX-512 but without VNNI,
# runtimes use vpmaddubsw, which adds two such products in 16 bits and saturates: 2 * 255 * 127 is too much,
# 2 * 127 * 128 is not. So payloads go in as pieces of 7 bits.
PAYLOAD_BITS = 7


@dataclass(frozen=True)
class DelayedWeights:
    """All synapses from one population to a layer.

    delays   (n_delays,) ascending; those that occur
    pieces   (weight (n_delays, n_in, n_out) int8, factor): the charge is the sum of weight * factor * payload
    """

    source: int
    delays: np.ndarray
    pieces: tuple[tuple[np.ndarray, int], ...]

    @property
    def n_in(self) -> int:
        return self.pieces[0][0].shape[1]

    @property
    def n_out(self) -> int:
        return self.pieces[0][0].shape[2]


def delayed_weights(
    network: IntegerNetwork, layer: int, source: int, longest: int | None = None
) -> DelayedWeights | None:
    """Every group from `source` to layer `layer` together, exponents applied, synapses of one delay added up.

    longest   leave out delays beyond it (they end after the run); None: keep all
    None where nothing remains.
    """
    parts = [
        (target, pre, weight.astype(np.int64) << group.exponent, delay)
        for group in network.layers[layer].synapses
        if group.source == source
        for target, pre, weight, delay in (group.listed(),)
    ]
    if not parts:
        return None
    target, pre, weight, delay = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if longest is not None:
        kept = delay <= longest
        target, pre, weight, delay = target[kept], pre[kept], weight[kept], delay[kept]
    delays, position = np.unique(delay, return_inverse=True)
    total = np.zeros((len(delays), network.n_neurons_of(source), network.layers[layer].n_neurons), np.int64)
    np.add.at(total, (position.reshape(-1), pre, target), weight)
    pieces = in_pieces(total)
    return DelayedWeights(source, delays.astype(np.int64), pieces) if pieces else None


def in_pieces(weight: np.ndarray) -> tuple[tuple[np.ndarray, int], ...]:
    """int64 weights as (int8 digits, factor) whose products add up to them: digits of base 256 in -128..127.

    A power of two that all weights share goes into the factor, so even weights of -256..254 are one piece. No partial
    sum of a piece is beyond twice what the weights' own sum can reach, which the network keeps below 2^25.
    """
    bits = int(np.bitwise_or.reduce(weight, axis=None)) if weight.size else 0
    if bits == 0:
        return ()
    shift = (bits & -bits).bit_length() - 1
    rest, factor = weight >> shift, 1 << shift
    pieces = []
    while rest.any():
        digit = ((rest + 128) & 255) - 128
        pieces.append((digit.astype(np.int8), factor))
        rest, factor = (rest - digit) >> 8, factor << 8
    return tuple(pieces)
