"""The exporter's last pass: the finished integers against the target's limits, which are in `contract.limits`."""

from __future__ import annotations

from delaytool.contract.limits import first_violation
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import ExportError
from delaytool.hw_configs import Target


def check_limits(network: IntegerNetwork, target: Target, quantized_for: str | None = None) -> IntegerNetwork:
    """The network, unchanged. Raises ExportError naming layer, value, limit and remedy where the target's are exceeded.

    quantized_for: the target through whose integers the network was trained, if any, which decides the remedy.
    """
    broken = first_violation(network, target)
    if broken is None:
        return network
    if quantized_for in (None, target.name):
        raise ExportError(broken)
    raise ExportError(
        f"the run was trained through {quantized_for}'s integers, which {target.name} does not hold ({broken}); "
        f"export with --target {quantized_for}, or train with --set trainer.quantize={target.name}"
    )
