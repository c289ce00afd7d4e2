"""The names of `delaytool.contract` in their old place; import from there."""

from __future__ import annotations

from delaytool.contract.bounds import (
    ACCUMULATOR_LIMIT,
    DECAY_UNITY,
    MAX_BIAS_EXPONENT,
    MAX_BIAS_MANTISSA,
    MAX_DELAY,
    MAX_THRESHOLD,
    MAX_WEIGHT_EXPONENT,
    MIN_BIAS_MANTISSA,
    STATE_LIMIT,
    STATE_SHIFT,
)
from delaytool.contract.encoding import InputEncoding, MelSpectrogram
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses, Synapses

__all__ = [
    "ACCUMULATOR_LIMIT",
    "DECAY_UNITY",
    "MAX_BIAS_EXPONENT",
    "MAX_BIAS_MANTISSA",
    "MAX_DELAY",
    "MAX_THRESHOLD",
    "MAX_WEIGHT_EXPONENT",
    "MIN_BIAS_MANTISSA",
    "STATE_LIMIT",
    "STATE_SHIFT",
    "DenseSynapses",
    "InputEncoding",
    "IntegerLayer",
    "IntegerNetwork",
    "MelSpectrogram",
    "Readout",
    "SparseSynapses",
    "Synapses",
]
