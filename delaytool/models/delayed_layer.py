"""Synapses that learn a weight and a delay each: the layer that the project exists for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from delaytool.models.config import ModelConfig
from delaytool.models.convolution import Windows, Work, choose, delayed_sum, density, through_events, whole
from delaytool.models.interpolation import kernel, single_tap_kernel, single_taps, window_width, windows


class DelayedLinear(nn.Module):
    """Every input reaches every output through `taps_per_synapse` taps (weight, delay).

    weight   (n_out, n_in, taps)
    delay    (n_out, n_in, taps), steps, within 0..max_delay. Where weights are whole kernels (delays 'none', 'dense')
             it says what is so anyway, tap j has delay j, and is neither a parameter nor saved
    """

    def __init__(self, n_in: int, n_out: int, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        shape = (n_out, n_in, config.taps_per_synapse)
        self.weight = nn.Parameter(torch.empty(shape))
        if config.whole_kernels:
            every = torch.arange(config.kernel_size, dtype=self.weight.dtype).expand(shape).contiguous()
            self.register_buffer("delay", every, persistent=False)
        else:
            self.delay = nn.Parameter(torch.empty(shape), requires_grad=config.learns_delays)
        self.bias = nn.Parameter(torch.zeros(n_out)) if config.bias else None
        self.form = ""  # how the last call convolved

    def reset_parameters(self) -> None:
        """Kaiming-uniform weights; delays uniform over the kernel, as in the reference code.

        The reference draws positions from [-ceil(Td / 2), Td // 2] and clamps them to +-(Td // 2), which in delays is
        [0, 2 (Td // 2) + 1 or 0] clamped to the kernel.
        """
        size = self.config.kernel_size
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        if self.config.whole_kernels:
            return
        nn.init.uniform_(self.delay, 0.0, size // 2 - (-size // 2))
        with torch.no_grad():
            self.delay.clamp_(0, self.config.max_delay)
            if self.config.delays == "fixed-random":
                self.delay.round_()

    @torch.no_grad()
    def clamp_delays(self) -> None:
        """Keep delays inside the kernel; call it after every optimiser step."""
        if self.delay.requires_grad:
            self.delay.clamp_(0, self.config.max_delay)

    def kernel(self, sigma: float | None) -> Tensor:
        """(n_out, n_in, kernel_size); sigma None: delays rounded, one tap each, the weights exactly."""
        size = self.config.kernel_size
        if self.config.whole_kernels:
            return self.weight
        if self._rounded(sigma):
            return single_tap_kernel(self.weight, self.delay, size)
        assert sigma is not None
        return kernel(self.weight, self.delay, sigma, size, self.config.interpolation)

    def windows(self, sigma: float | None) -> Windows:
        """The kernels where they are not negligible."""
        config = self.config
        if config.whole_kernels:
            return whole(self.weight)
        if self._rounded(sigma):
            return Windows(*single_taps(self.weight, self.delay, config.kernel_size), config.kernel_size)
        assert sigma is not None
        taps, start = windows(
            self.weight, self.delay, sigma, config.kernel_size, config.interpolation, config.discarded_mass
        )
        return Windows(taps, start, config.kernel_size)

    def forward(self, x: Tensor, n_steps: int, sigma: float | None) -> Tensor:
        """(time, batch, n_in) to (n_steps, batch, n_out)."""
        self.form = form = self._form(x, n_steps, sigma)
        if form == "windowed":
            out = through_events(x, self.windows(sigma), n_steps)
        else:
            out = delayed_sum(x, self.kernel(sigma), n_steps, form)
        return out if self.bias is None else out + self.bias

    def _rounded(self, sigma: float | None) -> bool:
        return sigma is None or self.config.delays == "fixed-random"

    def _form(self, x: Tensor, n_steps: int, sigma: float | None) -> str:
        """The form of the convolution that the recipe names, or the cheapest one."""
        return choose(self.work(x, n_steps, sigma)) if self.config.convolution == "auto" else self.config.convolution

    def work(self, x: Tensor, n_steps: int, sigma: float | None) -> Work:
        """What `choose` has to know of the convolution of this input."""
        config = self.config
        taps, window = config.kernel_count, 1
        if config.whole_kernels:
            taps, window = 1, config.kernel_size
        elif not self._rounded(sigma):
            assert sigma is not None
            window = min(config.kernel_size, window_width(sigma, config.interpolation, config.discarded_mass))
        time, batch, n_in = x.shape
        return Work(
            time=time,
            batch=batch,
            n_in=n_in,
            n_out=self.weight.shape[0],
            n_steps=n_steps,
            size=config.kernel_size,
            taps=taps,
            window=window,
            density=density(x) if x.device.type == "cpu" else 1.0,
            device=x.device.type,
            training=torch.is_grad_enabled(),
            input_grad=torch.is_grad_enabled() and x.requires_grad,
        )
