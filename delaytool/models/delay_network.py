"""The spiking network with learned delays (arXiv 2306.17670), and recurrent ones (arXiv 2509.24852)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from delaytool.models.config import ModelConfig
from delaytool.models.delayed_linear import UNSET, DelayedLinear, Unset
from delaytool.models.neurons import Population
from delaytool.models.synapse_settings import SynapseSettings


def delayed_linear(n_in: int, n_out: int, synapses: SynapseSettings) -> DelayedLinear:
    """A layer of these settings."""
    options = asdict(synapses)
    kernel_count = options.pop("kernel_count")
    return DelayedLinear(n_in, n_out, taps=1 if synapses.whole_kernels else kernel_count, **options)


class HiddenLayer(nn.Module):
    """Delayed synapses, batch norm over time and batch, neurons, dropout with one mask for all time steps.

    The neurons of a layer with `recurrent` synapses also receive each other's spikes: each arrives after its delay and
    one step, past batch norm and dropout.
    """

    def __init__(self, config: ModelConfig, synapses: DelayedLinear, recurrent: DelayedLinear | None = None) -> None:
        super().__init__()
        self.config = config
        self.synapses = synapses
        self.norm = nn.BatchNorm1d(synapses.out_features) if config.batch_norm else None
        self.neurons = Population(config)
        self.recurrent = recurrent
        self.checkpointed = False  # whether what is between input and spikes is computed again for the gradient
        self.share: tuple[slice, int] | None = None

    def current(self, x: Tensor, n_steps: int, sigma: float | Unset | None) -> Tensor:
        """What the neurons integrate, (n_steps, batch, n_out)."""
        out = self.synapses(x, n_steps, sigma)
        if self.norm is not None:
            out = self.norm(out.flatten(0, 1)).view_as(out)
        return out

    def forward(self, x: Tensor, n_steps: int, sigma: float | Unset | None) -> Tensor:
        mask = self.dropout_mask(x)
        if self.checkpointed and torch.is_grad_enabled():
            again = lambda: (nullcontext(), frozen_statistics(self.norm))  # noqa: E731
            return checkpoint(self._spikes, x, n_steps, sigma, mask, use_reentrant=False, context_fn=again)
        return self._spikes(x, n_steps, sigma, mask)

    def dropout_mask(self, x: Tensor) -> Tensor | None:
        """(batch, neuron); drawn for the whole batch where the input is a share of one (see `share_of_batch`)."""
        if not self.training or self.config.dropout == 0:
            return None
        rows, total = self.share or (slice(None), x.shape[1])
        ones = self.synapses.weight.new_ones(total, self.synapses.weight.shape[0])
        return functional.dropout(ones, self.config.dropout)[rows]

    def _spikes(self, x: Tensor, n_steps: int, sigma: float | Unset | None, mask: Tensor | None) -> Tensor:
        current = self.current(x, n_steps, sigma)
        return self.neurons(current, mask, None if self.recurrent is None else self.recurrent.taps(sigma))


@contextmanager
def frozen_statistics(norm: nn.BatchNorm1d | None) -> Iterator[None]:
    """Leave batch norm's running statistics alone while a layer is computed a second time."""
    if norm is None:
        yield
        return
    kept = [buffer.clone() for buffer in norm.buffers()]
    try:
        yield
    finally:
        for buffer, value in zip(norm.buffers(), kept, strict=True):
            buffer.copy_(value)


class DelayNetwork(nn.Module):
    """Hidden layers and a readout that never fires.

    sigma, the width of every layer's taps in steps, is an attribute that a schedule lowers; None means rounded delays
    and single taps, which is how the network is evaluated and exported. A forward pass may be given another one.

    >>> from delaytool.models.config import ModelConfig
    >>> network = DelayNetwork(n_in=8, n_classes=3, config=ModelConfig(hidden=(16,), max_delay=5))
    >>> network.layer_names(), network.n_synapses()
    (['hidden1', 'readout'], 176)
    >>> network.eval()(torch.zeros(2, 20, 8)).shape[1:]  # (time, batch, class) of frames (batch, time, channel)
    torch.Size([2, 3])
    """

    def __init__(self, n_in: int, n_classes: int, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.n_in = n_in
        self.n_classes = n_classes
        sizes = [n_in, *config.hidden]
        # A seed's random numbers are drawn in this order: from layer to layer, for the readout, then within layers.
        between = [
            delayed_linear(*pair, config.synapses_of(index))
            for index, pair in enumerate(itertools.pairwise([*sizes, n_classes]))
        ]
        within = [
            delayed_linear(size, size, config.recurrent_synapses.synapses_of(index))
            if config.is_recurrent(index)
            else None
            for index, size in enumerate(config.hidden)
        ]
        for own, following in zip(within, between[1:], strict=True):
            if own is not None and own.config.dale and following.sign is not None:
                own.take_signs(following.sign[:1, :, :1])  # a neuron has one sign, whichever neurons it sends to
        *hidden, readout = between
        self.hidden = nn.ModuleList(
            HiddenLayer(config, synapses, recurrent) for synapses, recurrent in zip(hidden, within, strict=True)
        )
        self.readout = readout
        self.readout_neurons = Population(config)

    @property
    def sigma(self) -> float | Unset | None:
        """Width of a tap in steps; setting it sets every layer's. UNSET until then."""
        return self.readout.sigma

    @sigma.setter
    def sigma(self, sigma: float | None) -> None:
        for layer in self.delayed_layers():
            layer.sigma = sigma

    def delayed_layers(self) -> list[DelayedLinear]:
        """Every layer of synapses: those from layer to layer in order, the readout's, then those within layers."""
        within = [layer.recurrent for layer in self.hidden_layers() if layer.recurrent is not None]
        return [*(layer.synapses for layer in self.hidden_layers()), self.readout, *within]

    def hidden_layers(self) -> list[HiddenLayer]:
        """The hidden layers, in order, by their type."""
        return [layer for layer in self.hidden if isinstance(layer, HiddenLayer)]

    def checkpoint_gradients(self) -> None:
        """Keep only each layer's spikes for the gradient: less memory, one more forward pass."""
        for layer in self.hidden_layers():
            layer.checkpointed = True

    @contextmanager
    def share_of_batch(self, rows: slice, total: int) -> Iterator[None]:
        """Within it, input is these rows of a batch of `total`: dropout draws the masks of the whole batch."""
        for layer in self.hidden_layers():
            layer.share = (rows, total)
        try:
            yield
        finally:
            for layer in self.hidden_layers():
                layer.share = None

    def forms(self) -> dict[str, str]:
        """How each layer convolved last."""
        return {name: layer.form for name, layer in zip(self.layer_names(), self.delayed_layers(), strict=True)}

    def n_parameters(self) -> int:
        """Numbers that training can change: neither delays that are not learned count nor taps that do not exist."""
        every = sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)
        return every - sum(layer.n_idle_parameters() for layer in self.delayed_layers())

    def n_synapses(self) -> int:
        """Taps that there are."""
        return sum(int(layer.exists().sum()) for layer in self.delayed_layers())

    def l1_norm(self) -> Tensor:
        """Sum of the magnitudes of all weights; of rewired taps, the sum of theta."""
        return torch.stack([layer.weight.abs().sum() for layer in self.delayed_layers()]).sum()

    def layer_names(self) -> list[str]:
        """What `delayed_layers` are called."""
        hidden = [f"hidden{index + 1}" for index in range(len(self.hidden))]
        within = [f"{name}-recurrent" for index, name in enumerate(hidden) if self.config.is_recurrent(index)]
        return [*hidden, "readout", *within]

    @torch.no_grad()
    def time_constants(self) -> dict[str, float]:
        """Of the membranes, in steps, by layer."""
        neurons = [*(layer.neurons for layer in self.hidden_layers()), self.readout_neurons]
        return {name: float(each.tau) for name, each in zip(self.layer_names(), neurons, strict=False)}

    def forward(self, frames: Tensor, sigma: float | Unset | None = UNSET) -> Tensor:
        """Frames (batch, time, channel) to the readout's membrane (time, batch, class).

        sigma: for this pass; default: the network's own in training, None in evaluation.
        """
        return self.traced(frames, sigma)[1]

    def traced(self, frames: Tensor, sigma: float | Unset | None = UNSET) -> tuple[list[Tensor], Tensor]:
        """As forward, with the spikes (time, batch, neuron) of every hidden layer."""
        # Counts stay bytes until the synapses need floats.
        x = (frames.to(self.readout.weight.dtype) if frames.is_floating_point() else frames).transpose(0, 1)
        n_frames = x.shape[0]
        spikes = []
        for index, layer in enumerate(self.hidden):
            x = layer(self.sent(x), self.config.steps_of(index, n_frames), sigma)
            spikes.append(x)
        out = self.readout(self.sent(x), self.config.steps_of(len(self.hidden), n_frames), sigma)
        return spikes, self.readout_neurons.membrane(out)

    def sent(self, x: Tensor) -> Tensor:
        """Spikes as they reach the next layer: in chip time each takes one step besides its delay."""
        return functional.pad(x, (0, 0, 0, 0, 1, 0)) if self.config.timing == "chip" else x


def class_scores(membrane: Tensor) -> Tensor:
    """Sum over time of the softmax of the readout's membrane: (time, batch, class) to (batch, class)."""
    return functional.softmax(membrane, dim=-1).sum(0)
