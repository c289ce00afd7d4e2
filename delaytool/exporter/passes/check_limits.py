"""The target's limits, one by one, on the finished integers. The limits themselves are in `contract.limits`."""

from __future__ import annotations

from delaytool.contract.limits import Placement, first_violation, placement, placements, synapse_bytes
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import ExportError
from delaytool.hw_configs import Target

__all__ = ["Placement", "check_limits", "placement", "synapse_bytes"]


def check_limits(network: IntegerNetwork, target: Target) -> list[Placement]:
    """Raise ExportError naming layer, value, limit and remedy; else what each layer takes of the chip."""
    broken = first_violation(network, target)
    if broken is not None:
        raise ExportError(broken)
    return placements(network, target)
