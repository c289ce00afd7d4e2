"""Synaptic memory, as far as public sources describe it.

How Loihi 2 packs synapses is not public. Two formulas bound what it may take:

- the exporter's (`contract.limits.synapse_bytes`): weight, delay and, in a list, target index of every synapse, packed
  without gaps, in units of 64 bits. It is what `delaytool export` counts, and what a limit is compared with;
- Loihi 1's (nengo-loihi, `block.py`, `Synapse.bits_per_axon`, 64 synapses per block): for each axon its synapses in
  blocks, each with a header of 10 bits (4 for the format, 6 for the count) and rounded up to 64 bits. The delay field
  has its whole width, whatever delays occur.
"""

from __future__ import annotations

from delaytool.contract.limits import bits_for
from delaytool.contract.neuron_memory import packed_bytes
from delaytool.hw_configs import Target

BLOCK_SYNAPSES = 64
BLOCK_HEADER_BITS = 10


def loihi1_axon_bytes(synapses: int, n_out: int, is_matrix: bool, target: Target) -> int:
    """Bytes of one axon's synapses in Loihi 1's blocks, with the delay field's whole width.

    >>> from delaytool.hw_configs import load_target
    >>> loihi1_axon_bytes(65, 256, True, load_target("loihi2"))       # 64 x 14 + 10 bits, then 14 + 10
    128
    """
    each = target.limits.weight_bits + target.limits.delay_bits + (0 if is_matrix else bits_for(n_out - 1))
    blocks, rest = divmod(synapses, BLOCK_SYNAPSES)
    whole = packed_bytes(BLOCK_SYNAPSES * each + BLOCK_HEADER_BITS)
    return blocks * whole + (packed_bytes(rest * each + BLOCK_HEADER_BITS) if rest else 0)
