"""Synapses that learn a weight and a delay each: the layer that the project exists for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from delaytool.models.config import ModelConfig
from delaytool.models.connectivity import connected, distinct_delays, draw_mask, draw_signs, n_connections
from delaytool.models.convolution import Windows, Work, choose, delayed_sum, density, through_events, whole
from delaytool.models.interpolation import kernel, single_tap_kernel, single_taps, window_width, windows
from delaytool.models.neurons import leaky_integrator


class DelayedLinear(nn.Module):
    """Every input reaches every output through `taps_per_synapse` taps (weight, delay), or through some of them.

    weight   (n_out, n_in, taps); 0 where there is no tap
    delay    (n_out, n_in, taps), steps, within 0..max_delay; (1, n_in, taps) where each sender has its own,
             (n_out, 1, taps) where each receiver has. Where weights are whole kernels (delays 'none', 'dense') it says
             what is so anyway, tap j has delay j, and is neither a parameter nor saved
    mask     (n_out, n_in, taps) bool: the taps that exist, where they are drawn once and for all
    sign     (n_out, n_in, taps) int8, +1 or -1, where taps are rewired: one exists where sign * weight > 0
    """

    mask: Tensor | None
    sign: Tensor | None

    def __init__(self, n_in: int, n_out: int, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        shape = (n_out, n_in, config.taps_per_synapse)
        self.weight = nn.Parameter(torch.empty(shape))
        if config.whole_kernels:
            every = torch.arange(config.kernel_size, dtype=self.weight.dtype).expand(shape).contiguous()
            self.register_buffer("delay", every, persistent=False)
        else:
            of = {"presynaptic": (1, *shape[1:]), "postsynaptic": (n_out, 1, shape[2])}
            self.delay = nn.Parameter(torch.empty(of.get(config.delays_per, shape)), requires_grad=config.learns_delays)
        self.bias = nn.Parameter(torch.zeros(n_out)) if config.bias else None
        rewired = config.rewiring != "none"
        self.register_buffer("sign", torch.ones(shape, dtype=torch.int8) if rewired else None)
        fixed = config.sparsity > 0 and not rewired
        self.register_buffer("mask", torch.ones(shape, dtype=torch.bool) if fixed else None)
        self.form = ""  # how the last call convolved

    def reset_parameters(self) -> None:
        """Kaiming-uniform weights; delays uniform over the kernel, as in the reference code.

        The reference draws positions from [-ceil(Td / 2), Td // 2] and clamps them to +-(Td // 2), which in delays is
        [0, 2 (Td // 2) + 1 or 0] clamped to the kernel.
        """
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        if not self.config.whole_kernels:
            self._draw_delays()
        self._draw_structure()

    @torch.no_grad()
    def _draw_delays(self) -> None:
        size = self.config.kernel_size
        nn.init.uniform_(self.delay, 0.0, size // 2 - (-size // 2))
        self.delay.clamp_(0, self.config.max_delay)
        if self.config.delays == "fixed-random":
            self.delay.round_()

    @torch.no_grad()
    def _draw_structure(self) -> None:
        """Which taps exist, and their signs; nothing is drawn where all exist and none is rewired."""
        config = self.config
        if config.distinct_delays:
            self.delay.copy_(distinct_delays(self.delay, config.kernel_size))
        if self.sign is not None:
            self.sign.copy_(draw_signs(self.sign, config.dale))
            self.weight.copy_(self.weight.abs() * self.sign)
        if config.sparsity > 0:
            exists = draw_mask(self.weight, n_connections(self.weight.numel(), config.sparsity))
            self.weight.mul_(exists)
            if self.mask is not None:
                self.mask.copy_(exists)

    def exists(self) -> Tensor:
        """(n_out, n_in, taps) bool: the taps that there are."""
        if self.sign is not None:
            return self.sign * self.weight.detach() > 0
        return torch.ones_like(self.weight, dtype=torch.bool) if self.mask is None else self.mask

    def tap_parameters(self) -> list[Tensor]:
        """What is learned of each tap by itself: its weight, and its delay where delays are learned."""
        own_delay = self.delay.requires_grad and self.delay.shape == self.weight.shape
        return [self.weight, self.delay] if own_delay else [self.weight]

    def n_idle_parameters(self) -> int:
        """Parameters of taps that do not exist."""
        return int((~self.exists()).sum()) * len(self.tap_parameters())

    def connected_weight(self) -> Tensor:
        """(n_out, n_in, taps): the weights, exactly 0 where there is no tap.

        A tap that does not exist gets a gradient only where rewiring chooses by it.
        """
        if self.mask is None and self.sign is None:
            return self.weight
        return connected(self.weight, self.exists(), dense_gradient=self.config.grows_by_gradient)

    @property
    def delays(self) -> Tensor:
        """The delay of every tap, (n_out, n_in, taps), whatever it belongs to; gradients add up there."""
        return self.delay.expand_as(self.weight)

    @torch.no_grad()
    def clamp_delays(self) -> None:
        """Keep delays inside the kernel; call it after every optimiser step."""
        if self.delay.requires_grad:
            self.delay.clamp_(0, self.config.max_delay)

    def kernel(self, sigma: float | None, weight: Tensor | None = None) -> Tensor:
        """(n_out, n_in, kernel_size); sigma None: delays rounded, one tap each, the weights exactly.

        weight: taken instead of the layer's own, (n_out, n_in, taps).
        """
        size = self.config.kernel_size
        weight = self.connected_weight() if weight is None else weight
        if self.config.whole_kernels:
            return weight
        if self._rounded(sigma):
            return single_tap_kernel(weight, self.delays, size)
        assert sigma is not None
        return kernel(weight, self.delays, sigma, size, self.config.interpolation)

    def windows(self, sigma: float | None, weight: Tensor | None = None) -> Windows:
        """The kernels where they are not negligible; weight as for `kernel`."""
        config = self.config
        weight = self.connected_weight() if weight is None else weight
        if config.whole_kernels:
            return whole(weight)
        if self._rounded(sigma):
            return Windows(*single_taps(weight, self.delays, config.kernel_size), config.kernel_size)
        assert sigma is not None
        taps, start = windows(
            weight, self.delays, sigma, config.kernel_size, config.interpolation, config.discarded_mass
        )
        return Windows(taps, start, config.kernel_size)

    def forward(self, x: Tensor, n_steps: int, sigma: float | None) -> Tensor:
        """(time, batch, n_in) to (n_steps, batch, n_out)."""
        out = self.convolved(x, n_steps, sigma)
        if self.config.current_tau > 1:  # the chip's currents decay, and its biases go to the membrane past them
            out = leaky_integrator(out, self.config.current_tau)
        return out if self.bias is None else out + self.bias

    def convolved(self, x: Tensor, n_steps: int, sigma: float | None, weight: Tensor | None = None) -> Tensor:
        """The sums that arrive, without bias; weight as for `kernel`."""
        self.form = form = self._form(x, n_steps, sigma)
        if form == "windowed":
            return through_events(x, self.windows(sigma, weight), n_steps)
        return delayed_sum(x, self.kernel(sigma, weight), n_steps, form)

    def taps(self, sigma: float | None) -> Windows:
        """The kernels in the fewest numbers: windows, unless whole kernels are as short or the recipe wants them.

        For layers that hear themselves, where a loop over time does what `forward` does elsewhere.
        """
        config = self.config
        self.form = "loop"
        if config.convolution in ("auto", "windowed"):
            width = self._window(sigma)
            if width * config.kernel_count < config.kernel_size:
                return self.windows(sigma)
        return whole(self.kernel(sigma))

    def _rounded(self, sigma: float | None) -> bool:
        return sigma is None or self.config.delays == "fixed-random"

    def _window(self, sigma: float | None) -> int:
        """Steps that a tap is spread over."""
        config = self.config
        if config.whole_kernels:
            return config.kernel_size
        if self._rounded(sigma):
            return 1
        assert sigma is not None
        return min(config.kernel_size, window_width(sigma, config.interpolation, config.discarded_mass))

    def _form(self, x: Tensor, n_steps: int, sigma: float | None) -> str:
        """The form of the convolution that the recipe names, or the cheapest one."""
        return choose(self.work(x, n_steps, sigma)) if self.config.convolution == "auto" else self.config.convolution

    def work(self, x: Tensor, n_steps: int, sigma: float | None) -> Work:
        """What `choose` has to know of the convolution of this input."""
        config = self.config
        time, batch, n_in = x.shape
        return Work(
            time=time,
            batch=batch,
            n_in=n_in,
            n_out=self.weight.shape[0],
            n_steps=n_steps,
            size=config.kernel_size,
            taps=1 if config.whole_kernels else config.kernel_count,
            window=self._window(sigma),
            density=density(x) if x.device.type == "cpu" else 1.0,
            device=x.device.type,
            training=torch.is_grad_enabled(),
            input_grad=torch.is_grad_enabled() and x.requires_grad,
        )
