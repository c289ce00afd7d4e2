"""spikingjelly's neurons and layers and dcls' Dcls1d as stages, so that a model of theirs is exported without a file.

    y[t] = sum over k of K[k] x[t + k - padding],   K a tap of weight w at round(P + kernel // 2)

Where a model pads by itself, as in arXiv 2306.17670's code (kernel - 1 steps in front), its `stages()` declares it with
a `Padding(kernel - 1, after)` before the Dcls1d. Positions are rounded as that code rounds them for evaluation.
Nothing is imported: modules are known by the names of their classes and of their packages.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from delaytool.errors import ExportError
from delaytool.models.stages import Neurons, Stage, Synapses, norm_of, synapses_of_linear

# Neurons with a threshold as high as this never fire: it is how spikingjelly's users read a membrane.
NEVER = 1e6


def read_spikingjelly(module: nn.Module) -> Sequence[nn.Module | Stage] | None:
    """The stages of a module of spikingjelly or dcls; None for one of neither. Raises ExportError."""
    known = type(module)
    if isinstance(module, nn.Linear | nn.BatchNorm1d | nn.Sequential):
        # One derived from theirs is theirs, unless it has another forward pass.
        known = next(parent for parent in known.__mro__ if "forward" in vars(parent))
    package, kind = known.__module__.split(".")[0], known.__name__
    if package == "DCLS":
        return (_dcls(module, kind),)
    if package != "spikingjelly":
        return None
    if kind in ("LIFNode", "ParametricLIFNode", "NonSpikingLIFNode", "IFNode"):
        return (_neurons(module, kind),)
    if kind in ("Dropout", "Dropout2d"):
        return ()
    if kind == "Linear" and isinstance(module, nn.Linear):
        return (synapses_of_linear(module),)
    if kind == "BatchNorm1d" and isinstance(module, nn.BatchNorm1d):
        return (norm_of(module),)
    if isinstance(module, nn.Sequential):  # its containers, which differ in how they go over time
        return tuple(module)
    raise ExportError(
        f"spikingjelly's {kind} has no counterpart in the integer contract; use LIFNode, ParametricLIFNode, IFNode, "
        "layer.Linear, layer.BatchNorm1d, layer.Dropout, and Dcls1d for delays"
    )


def _dcls(module: Any, kind: str) -> Synapses:
    if kind != "Dcls1d":
        raise ExportError(f"{kind} has no counterpart in the integer contract; use Dcls1d along time")
    for name, value, only in (
        ("stride", module.stride[0], 1), ("groups", module.groups, 1), ("padding_mode", module.padding_mode, "zeros"),
    ):  # fmt: skip
        if value != only:
            raise ExportError(f"{name} {value!r} has no counterpart in the integer contract; build it with {only!r}")
    size, padding = int(module.dilated_kernel_size[0]), int(module.padding[0])
    half = size // 2
    position = module.P.detach()[0] + half
    place = position.floor() if module.version == "v0" else module.P.detach()[0].round() + half
    weight = module.weight.detach()
    outside = ((place < 0) | (place > size - 1)) & (weight != 0)
    if bool(outside.any()):
        worst = float(module.P.detach()[0][outside].abs().max())
        raise ExportError(
            f"a position P reaches {worst:g}, outside its kernel of {size} taps, where its spikes are lost; call "
            "clamp_parameters() after each optimizer step, with an odd dilated_kernel_size"
        )
    bias = None if module.bias is None else module.bias.detach()
    return Synapses(weight, padding - place, bias, lengthens=2 * padding - (size - 1))


def _neurons(module: Any, kind: str) -> Neurons:
    if kind == "NonSpikingLIFNode":
        if module.decode not in (None, "none"):
            raise ExportError(f"decode {module.decode!r} is not done by the chip; build it with decode=None")
        return Neurons(float(module.tau), None, gain=1.0 / float(module.tau))
    if module.v_reset is None or module.v_reset != 0:
        what = "a reset by subtraction (v_reset=None)" if module.v_reset is None else f"v_reset {module.v_reset:g}"
        raise ExportError(
            f"{what} has no counterpart in the integer contract, which resets to 0; train with v_reset=0."
        )
    if kind == "IFNode":
        tau, decay_input = float("inf"), False
    elif kind == "ParametricLIFNode":
        tau, decay_input = 1.0 / float(torch.sigmoid(module.w.detach().double())), bool(module.decay_input)
    else:
        tau, decay_input = float(module.tau), bool(module.decay_input)
    threshold = float(module.v_threshold)
    return Neurons(tau, None if threshold >= NEVER else threshold, gain=1.0 / tau if decay_input else 1.0)
