"""A simulation of integer layers and networks in PyTorch, independent of the runtime's engines.

It works layer by layer over the whole run, by matrix products in floating point that are exact because every
partial sum is an integer below the format's integer limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from delaytool.contract.bounds import DECAY_UNITY, STATE_LIMIT, STATE_SHIFT
from delaytool.contract.frames import checked_frames, padded_input
from delaytool.contract.layer import IntegerLayer
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.reach import largest_input
from delaytool.contract.synapses import Synapses
from delaytool.errors import BackendError

_NOT_IN_ORDER = "which comes after it; PyTorch's simulation runs one layer at a time, use --backend engine or reference"


@dataclass(frozen=True)
class LayerTrace:
    """spikes bool, u and v int32, each (sample, step, neuron)."""

    spikes: Tensor
    u: Tensor
    v: Tensor


def _decayed(state: Tensor, decay: int) -> Tensor:
    product = state * (DECAY_UNITY - decay)
    return torch.sign(product) * (product.abs() >> 12)


def arriving_input(synapses: Synapses, sent: Tensor, exact: torch.dtype) -> Tensor:
    """Input sums of one group: sent (sample, step, n_in) to (sample, step, n_out) int64, in chip time.

    exact is a floating format that holds every partial sum exactly.
    """
    n_out, n_in = synapses.shape
    samples, steps, _ = sent.shape
    target, pre, weight, delay = (torch.from_numpy(array.astype("int64")) for array in synapses.listed())
    total = torch.zeros(samples, steps, n_out, dtype=exact)
    spikes = sent.to(exact)
    for value in torch.unique(delay).tolist():
        arrival = 1 + value
        if arrival >= steps:
            continue
        chosen = delay == value
        matrix = torch.zeros(n_in, n_out, dtype=exact)
        matrix.index_put_((pre[chosen], target[chosen]), weight[chosen].to(exact), accumulate=True)
        total[:, arrival:] += spikes[:, : steps - arrival] @ matrix
    return total.to(torch.int64) << synapses.exponent


def exact_format(layer: IntegerLayer, payloads: Sequence[int]) -> torch.dtype:
    """The smallest floating format that holds every partial sum of a step's input to a layer."""
    return torch.float32 if largest_input(layer, payloads) < 1 << 24 else torch.float64


@dataclass(frozen=True)
class _Feedback:
    """One recurrent group of synapses: matrix (neuron, delays * neuron), one block per delay from 0 on."""

    matrix: Tensor
    delays: int
    exponent: int

    @staticmethod
    def of(synapses: Synapses, exact: torch.dtype) -> _Feedback:
        target, pre, weight, delay = (torch.from_numpy(array.astype("int64")) for array in synapses.listed())
        n, _ = synapses.shape
        delays = int(delay.max()) + 1 if len(delay) else 0
        matrix = torch.zeros(n, delays, n, dtype=exact)
        matrix.index_put_((pre, delay, target), weight.to(exact), accumulate=True)
        return _Feedback(matrix.flatten(1), delays, synapses.exponent)

    def add(self, fired: Tensor, pending: Tensor, step: int) -> None:
        """What (sample, neuron) spikes of a step bring to `pending` (sample, step, neuron)."""
        last = min(pending.shape[1], step + 1 + self.delays)
        brought = (fired.to(self.matrix.dtype) @ self.matrix).to(torch.int64) << self.exponent
        pending[:, step + 1 : last] += brought.unflatten(1, (self.delays, fired.shape[1]))[:, : last - step - 1]


def run_layer(layer: IntegerLayer, sent: Sequence[Tensor], payloads: Sequence[int]) -> LayerTrace:
    """A layer's trace from what the input and the layers before it sent, (sample, step, neuron) each, in their order.

    payloads: as for `contract.reach`. The layer's own number as a source is `len(sent)`: from there it is recurrent.
    Raises BackendError for synapses from a later layer.
    """
    own = len(sent)
    exact = exact_format(layer, payloads)
    arriving = torch.zeros(*sent[0].shape[:2], layer.n_neurons, dtype=torch.int64)
    feedback = []
    for group in layer.synapses:
        if group.source > own:
            raise BackendError(f"layer {layer.name}: it has synapses from population {group.source}, {_NOT_IN_ORDER}")
        if group.source == own and group.n_synapses:
            feedback.append(_Feedback.of(group, exact))
        elif group.source < own:
            arriving += arriving_input(group, sent[group.source], exact)
    return integrate(layer, arriving, feedback)


def integrate(layer: IntegerLayer, arriving: Tensor, feedback: Sequence[_Feedback] = ()) -> LayerTrace:
    """The contract's neuron over a whole run: input sums (sample, step, neuron) int64 to the layer's trace.

    What a recurrent layer sends itself is added to `arriving` as it goes.
    """
    bias = torch.from_numpy(layer.bias)
    u = torch.zeros_like(arriving[:, 0])
    v = torch.zeros_like(u)
    spikes, currents, membranes = [], [], []
    for step in range(arriving.shape[1]):
        u = _decayed(u, layer.du + 1) + (arriving[:, step] << STATE_SHIFT)
        u = torch.where(u > STATE_LIMIT, u - 2 * STATE_LIMIT, u)
        u = torch.where(u <= -STATE_LIMIT, u + 2 * STATE_LIMIT, u)
        v = (_decayed(v, layer.dv) + u + bias).clamp(-STATE_LIMIT + 1, STATE_LIMIT - 1)
        fired = v > (layer.threshold << STATE_SHIFT)
        v = v.masked_fill(fired, 0)
        for group in feedback:
            group.add(fired, arriving, step)
        spikes.append(fired)
        currents.append(u.to(torch.int32))
        membranes.append(v.to(torch.int32))
    return LayerTrace(torch.stack(spikes, 1), torch.stack(currents, 1), torch.stack(membranes, 1))


@torch.no_grad()
def simulate(network: IntegerNetwork, frames: Tensor) -> list[LayerTrace]:
    """Frames (sample, time, channel) of integers to the trace of every layer, in chip time.

    Raises DataError for frames that the network's encoding does not admit, BackendError for a layer with synapses from
    a later one: layers are run in order, so every source must come before its target.
    """
    _check_order(network)
    checked = checked_frames(network.encoding, frames.cpu().numpy())
    sent = [torch.from_numpy(padded_input(checked, network.n_steps)).float()]
    traces = []
    for layer in network.layers:
        trace = run_layer(layer, sent, network.payloads)
        traces.append(trace)
        sent.append(trace.spikes.to(torch.float32))
    return traces


def _check_order(network: IntegerNetwork) -> None:
    for number, layer in enumerate(network.layers, start=1):
        for group in layer.synapses:
            if group.source > number:
                raise BackendError(
                    f"layer {layer.name}: it has synapses from {network.name_of(group.source)}, {_NOT_IN_ORDER}"
                )
