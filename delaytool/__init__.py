"""delaytool: train spiking networks with learned delays, export them as integers, verify them bit for bit.

    import delaytool as dt

Each name below is loaded when it is first used, so that what needs no PyTorch loads none. docs/python.md lists what is
public, and how long it stays.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from delaytool.version import __version__

if TYPE_CHECKING:
    from delaytool.contract.network import IntegerNetwork
    from delaytool.errors import DelaytoolError
    from delaytool.experiments.export_model import export, simulate_stages
    from delaytool.experiments.run import Run, load_run, train
    from delaytool.experiments.run_network import load, run, verify
    from delaytool.inference.predict import predict
    from delaytool.models.delay_network import DelayNetwork
    from delaytool.models.delayed_linear import DelayedLinear, delay_parameters, weight_parameters
    from delaytool.models.spiking_layers import LIF, BatchNorm, LeakyReadout
    from delaytool.models.stages import Neurons, Norm, Padding, Synapses
    from delaytool.runtime.stream import Stream
    from delaytool.runtime.trace import Trace
    from delaytool.trainer.loop import Reporter
    from delaytool.trainer.sigma_schedules import SigmaSchedule
    from delaytool.verification.verdict import Verdict

# The module of each public name.
_NAMES = {
    # These need no PyTorch.
    "DelaytoolError": "delaytool.errors",
    "IntegerNetwork": "delaytool.contract.network",
    "Stream": "delaytool.runtime.stream",
    "Trace": "delaytool.runtime.trace",
    "Verdict": "delaytool.verification.verdict",
    "load": "delaytool.experiments.run_network",
    "predict": "delaytool.inference.predict",
    "run": "delaytool.experiments.run_network",
    "verify": "delaytool.experiments.run_network",
    # These do.
    "BatchNorm": "delaytool.models.spiking_layers",
    "DelayNetwork": "delaytool.models.delay_network",
    "DelayedLinear": "delaytool.models.delayed_linear",
    "LIF": "delaytool.models.spiking_layers",
    "LeakyReadout": "delaytool.models.spiking_layers",
    "Neurons": "delaytool.models.stages",
    "Norm": "delaytool.models.stages",
    "Padding": "delaytool.models.stages",
    "Reporter": "delaytool.trainer.loop",
    "Run": "delaytool.experiments.run",
    "SigmaSchedule": "delaytool.trainer.sigma_schedules",
    "Synapses": "delaytool.models.stages",
    "delay_parameters": "delaytool.models.delayed_linear",
    "export": "delaytool.experiments.export_model",
    "load_run": "delaytool.experiments.run",
    "simulate_stages": "delaytool.experiments.export_model",
    "train": "delaytool.experiments.run",
    "weight_parameters": "delaytool.models.delayed_linear",
}

__all__ = [  # type checkers want it written out
    "LIF",
    "BatchNorm",
    "DelayNetwork",
    "DelayedLinear",
    "DelaytoolError",
    "IntegerNetwork",
    "LeakyReadout",
    "Neurons",
    "Norm",
    "Padding",
    "Reporter",
    "Run",
    "SigmaSchedule",
    "Stream",
    "Synapses",
    "Trace",
    "Verdict",
    "__version__",
    "delay_parameters",
    "export",
    "load",
    "load_run",
    "predict",
    "run",
    "simulate_stages",
    "train",
    "verify",
    "weight_parameters",
]


def __getattr__(name: str) -> Any:
    if name not in _NAMES:
        raise AttributeError(f"module 'delaytool' has no attribute {name!r}")
    value = getattr(importlib.import_module(_NAMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
