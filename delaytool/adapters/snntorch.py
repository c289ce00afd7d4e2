"""snnTorch's Leaky and Synaptic as stages, for networks of `torch.nn.Linear` and them.

    Leaky      v[t] = beta v[t - 1] + x[t]
    Synaptic   i[t] = alpha i[t - 1] + x[t],  v[t] = beta v[t - 1] + i[t]

A spike where v > threshold, strictly. Of the resets the integer contract has 'zero' alone. Leaky's comes at the start
of the next step (reset_delay=True) or at once, which is the same; Synaptic's with reset_delay=True also swallows the
input of the step after a spike, which no chip's neuron does. 'none' is a membrane that is read out.
Nothing is imported: modules are known by the names of their classes and of their package.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from delaytool.errors import ExportError
from delaytool.models.stages import Neurons, Stage


def read_snntorch(module: nn.Module) -> Sequence[Stage] | None:
    """The stages of a module of snnTorch; None for another. Raises ExportError."""
    if type(module).__module__.split(".")[0] != "snntorch":
        return None
    kind = type(module).__name__
    if kind not in ("Leaky", "Synaptic"):
        raise ExportError(
            f"snnTorch's {kind} has no counterpart in the integer contract; use Leaky or Synaptic with "
            "reset_mechanism='zero', and delaytool's DelayedLinear for delays"
        )
    return (_neurons(module, kind),)


def _neurons(module: Any, kind: str) -> Neurons:
    reset = module._reset_mechanism
    if reset == "subtract":
        raise ExportError(
            "reset_mechanism 'subtract' has no counterpart in the integer contract, which resets to 0; train with "
            "reset_mechanism='zero'"
        )
    for name, off in (("inhibition", False), ("state_quant", False), ("graded_spikes_factor", 1.0)):
        value = getattr(module, name, off)
        if value != off:
            raise ExportError(f"{name} has no counterpart in the integer contract; leave it out")
    beta = _common("beta", module.beta)
    current_tau = 1.0
    if kind == "Synaptic":
        current_tau = _tau(_common("alpha", module.alpha))
        if reset == "zero" and module.reset_delay:
            raise ExportError(
                "with reset_mechanism 'zero' and reset_delay=True the step after a spike loses its input, which has no "
                "counterpart in the integer contract; train with reset_delay=False"
            )
    threshold = None if reset == "none" else _just_above(_common("threshold", module.threshold))
    return Neurons(_tau(beta), threshold, current_tau=current_tau)


def _common(name: str, values: Tensor) -> float:
    """The one value of a parameter that snnTorch may have for each neuron."""
    values = values.detach().reshape(-1)
    if bool((values != values[0]).any()):
        raise ExportError(
            f"{name} differs from neuron to neuron ({float(values.min()):g}..{float(values.max()):g}), and the integer "
            "contract has one for each layer; give one number"
        )
    return float(values[0])


def _tau(decay: float) -> float:
    """Time constant in steps of what keeps this share each step; snnTorch clamps it to 0..1."""
    decay = min(max(decay, 0.0), 1.0)
    return math.inf if decay == 1.0 else 1.0 / (1.0 - decay)


def _just_above(threshold: float) -> float:
    """v > threshold is v >= this, among float32 numbers."""
    if not threshold > 0:
        raise ExportError(f"threshold {threshold:g} is not above 0, so that a neuron at rest fires; give one above 0")
    return float(torch.nextafter(torch.tensor(threshold), torch.tensor(math.inf)))
