"""Layers to put behind a DelayedLinear in anyone's network: batch norm, neurons that fire, a readout that does not."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn

from delaytool.errors import ModelError
from delaytool.models.delayed_linear import DelayedLinear, without_autocast
from delaytool.models.neurons import LifConstants, leak_of, leaky_integrator, spiking
from delaytool.models.uncompiled import uncompiled


class BatchNorm(nn.BatchNorm1d):
    """`torch.nn.BatchNorm1d` over all dimensions but the last: (time, batch, neuron), in any order before the neurons.

    Arguments, parameters and running statistics are that class's; the exporter folds them into weights and bias.

    >>> import torch
    >>> currents = torch.tensor([[[1.0, 5.0]], [[3.0, 9.0]]])  # (time 2, batch 1, neuron 2)
    >>> BatchNorm(2)(currents).round(decimals=2).tolist()  # each neuron by its own mean and deviation
    [[[-1.0, -1.0]], [[1.0, 1.0]]]
    """

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.reshape(-1, input.shape[-1])).view_as(input)


class LIF(nn.Module):
    """Leaky integrate-and-fire neurons with a hard reset, which the integer contract has too.

        v[t] = (1 - 1/tau) v[t - 1] + x[t] (+ r[t])
        s[t] = 1 where v[t] >= threshold, else 0;  where it is 1, v[t] becomes 0

    The gradient of s by v is the arctan surrogate (alpha / 2) / (1 + (pi alpha (v - threshold) / 2)^2), the reset has
    none (arXiv 2306.17670).

    tau         time constant of the membrane, in steps, 1 or more; 1 forgets everything, infinity nothing
    threshold   above 0
    alpha       sharpness of the surrogate gradient
    recurrent   a DelayedLinear from the neurons to themselves: r[t] is its output for s, one step later than its delays
    batch_first input and output are (batch, time, neuron) instead of (time, batch, neuron)

    Raises ModelError for impossible arguments, input of another shape, and input of another type than the recurrent
    synapses', to which it is converted under autocast.

    >>> import torch
    >>> LIF(tau=2.0)(torch.tensor([[0.6], [0.6], [0.6], [0.0]])).flatten().tolist()  # v: 0.6, 0.9, 1.05 -> 0, 0
    [0.0, 0.0, 1.0, 0.0]
    """

    def __init__(
        self,
        tau: float = 2.0,
        threshold: float = 1.0,
        *,
        alpha: float = 5.0,
        recurrent: DelayedLinear | None = None,
        batch_first: bool = False,
    ) -> None:
        super().__init__()
        _check_tau(tau)
        for name, value in (("threshold", threshold), ("alpha", alpha)):
            if not 0 < value < math.inf:
                raise ModelError(f"{name} {value} is impossible; give a finite number above 0")
        if recurrent is not None and recurrent.in_features != recurrent.out_features:
            raise ModelError(
                f"recurrent joins {recurrent.in_features} neurons to {recurrent.out_features}; it is from a population "
                "to itself, give as many"
            )
        if recurrent is not None and (recurrent.bias is not None or recurrent.config.current_tau > 1):
            raise ModelError("recurrent synapses have neither a bias nor a current_tau of their own; leave them out")
        self.tau, self.threshold, self.alpha, self.batch_first = float(tau), float(threshold), float(alpha), batch_first
        self.recurrent = recurrent

    def extra_repr(self) -> str:
        return f"tau={self.tau:g}, threshold={self.threshold:g}"

    @uncompiled
    def forward(self, x: Tensor) -> Tensor:
        """Currents (time, batch, neuron), or (time, neuron), to spikes of the same shape, 0.0 or 1.0."""
        constants = LifConstants(leak_of(self.tau), self.threshold, self.alpha, detach_reset=True)
        if self.recurrent is None:
            return _over_time(x, self.batch_first, lambda current: spiking(current, constants))
        x = self.recurrent.in_own_type(x)
        with without_autocast(x.device.type):
            taps = self.recurrent.taps()
            return _over_time(x, self.batch_first, lambda current: spiking(current, constants, recurrent=taps))


class LeakyReadout(nn.Module):
    """Leaky integrators that never fire: v[t] = (1 - 1/tau) v[t - 1] + x[t], the membrane of which is the output.

    tau in steps, 1 or more; 1: the input itself. batch_first as for `LIF`. Raises ModelError as `LIF` does.

    >>> import torch
    >>> LeakyReadout(tau=2.0)(torch.tensor([[1.0], [0.0], [0.0]])).flatten().tolist()
    [1.0, 0.5, 0.25]
    """

    def __init__(self, tau: float = 2.0, *, batch_first: bool = False) -> None:
        super().__init__()
        _check_tau(tau)
        self.tau, self.batch_first = float(tau), batch_first

    def extra_repr(self) -> str:
        return f"tau={self.tau:g}"

    def forward(self, x: Tensor) -> Tensor:
        """Currents (time, batch, neuron), or (time, neuron), to membranes of the same shape."""
        return _over_time(x, self.batch_first, lambda current: leaky_integrator(current, self.tau))


def _check_tau(tau: float) -> None:
    if not tau >= 1:
        raise ModelError(f"tau {tau} is impossible; give a number of steps, 1 or more")


def _over_time(x: Tensor, batch_first: bool, run: Callable[[Tensor], Tensor]) -> Tensor:
    if x.dim() not in (2, 3):
        layout = "batch, time" if batch_first else "time, batch"
        raise ModelError(f"input of shape {tuple(x.shape)}: neurons take ({layout}, neuron) or (time, neuron)")
    if x.dim() == 2:
        return run(x.unsqueeze(1)).squeeze(1)
    return run(x.transpose(0, 1).contiguous()).transpose(0, 1) if batch_first else run(x)
