"""Synapses that learn a weight and a delay each: the layer that the project exists for."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from enum import Enum
from typing import Final

import torch
from torch import Tensor, nn

from delaytool.errors import ModelError
from delaytool.models.connectivity import connected, distinct_delays, draw_mask, draw_signs, n_connections
from delaytool.models.convolution import (
    COMPILED_TYPES,
    Windows,
    Work,
    choose,
    delayed_sum,
    density,
    through_events,
    whole,
)
from delaytool.models.interpolation import kernel, single_tap_kernel, single_taps, window_width, windows
from delaytool.models.neurons import leaky_integrator
from delaytool.models.synapse_settings import SynapseSettings, whole_number
from delaytool.models.uncompiled import uncompiled


class Unset(Enum):
    """The type of UNSET, which is itself after pickling and copying."""

    UNSET = "unset"

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET  # of a width: none was given


class DelayedLinear(nn.Module):
    """Linear synapses, each with `taps` weights at delays of their own, which are learned like the weights.

    A tap of weight w and delay d is spread over the whole delays j = 0..max_delay while training, and the output is

        y[t, o] = sum over i, taps and j of  w K[j] x[t - j, i]  (+ bias[o])
        K[j] = exp(-((j - d) / (sigma + 0.27))^2 / 2), scaled to a sum of 1 over j

    (arXiv 2306.17670, for 'gauss'), so that d has a gradient. sigma, in time steps, is the layer's attribute of that
    name. `SigmaSchedule` lowers it from half the kernel while training; a plain number may be set too. None means
    delays rounded and each tap w at one step, exactly, where only weights learn. Sigma is not part of the state_dict.

    In evaluation mode delays are always rounded: that is the network that is exported. (`layer.train()` on this layer
    alone evaluates as trained: nothing else about it depends on the mode.) In training mode a layer that learns delays
    raises ModelError until its sigma has been set.

    Delays stay within 0..max_delay by themselves, whatever optimizer moves them: every use of them projects the
    parameter to the nearest of these values first, in place and outside the gradient (projected gradient descent). The
    gradient itself is not changed.

    Under autocast the layer computes in its parameters' own type: delays and sums of spikes need all their digits. In
    DistributedDataParallel it is like any layer; delays get no gradient while sigma is None, so a schedule that ends
    there needs `find_unused_parameters=True`.

    in_features, out_features   neurons before and after
    max_delay       longest delay, in time steps
    taps            weights, each with a delay, per synapse; 1 with 'none' and 'dense'
    bias            whether a number is added to each output in every step
    batch_first     input and output are (batch, time, feature) instead of (time, batch, feature)
    delays          'learned'; 'fixed-random': whole numbers, drawn once; 'none': 0; 'dense': a weight for every delay
    delays_per      what has a delay of its own: each 'synapse', sender ('presynaptic') or receiver ('postsynaptic')
    interpolation   'gauss', 'triangle', 'max' or 'laplace', see `delaytool.models.interpolation`
    sparsity        share of the taps that do not exist, drawn once
    rewiring, dale  'deep-r', 'rigl', 'rigl-signed': taps keep a sign and exist where weight * sign > 0. Which fall and
                    grow is up to `delaytool.trainer`; anywhere else leave 'none'
    current_tau     time constant, in steps, of a leaky integrator behind the sum; 1: none
    convolution     'auto', or how the sum is computed: 'direct', 'fft', 'staged', 'windowed', 'events'
    discarded_mass  share of a tap that 'windowed' may leave out
    device, dtype   of the parameters, as PyTorch's layers have them

    Its parameters and buffers:

    weight   (out_features, in_features, taps); 0 where there is no tap
    delay    (out_features, in_features, taps), in steps; (1, in_features, taps) where each sender has its own,
             (out_features, 1, taps) where each receiver has. With 'none' and 'dense' tap j has delay j, and it is
             neither a parameter nor saved
    bias     (out_features,), or None
    mask     (out_features, in_features, taps) bool: the taps that exist, where they are drawn once; or None
    sign     (out_features, in_features, taps) int8, +1 or -1, where taps are rewired; or None

    Weights begin Kaiming-uniform, delays uniform over the kernel, as in the paper's code; the numbers come from
    PyTorch's generator. Raises ModelError for impossible arguments, input of another shape or type or without a step,
    and in training without a sigma.

    A delay is found that no weight could stand in for:

    >>> _ = torch.manual_seed(0)
    >>> layer = DelayedLinear(1, 1, max_delay=8)
    >>> _ = nn.init.constant_(layer.delay, 2.0)
    >>> spikes = (torch.rand(60, 16, 1) < 0.2).float()  # (time, batch, feature)
    >>> wanted = torch.cat([torch.zeros(5, 16, 1), spikes[:-5]])  # the same spikes, five steps later
    >>> groups = [{"params": weight_parameters(layer)}, {"params": delay_parameters(layer), "lr": 0.1}]
    >>> optimizer = torch.optim.Adam(groups, lr=0.02)
    >>> for epoch in range(100):
    ...     layer.sigma = 4.0 * 0.95**epoch
    ...     optimizer.zero_grad()
    ...     (layer(spikes) - wanted).square().mean().backward()
    ...     optimizer.step()
    >>> layer.eval()(spikes).shape, int(layer.delay.round())
    (torch.Size([60, 16, 1]), 5)
    """

    mask: Tensor | None
    sign: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        max_delay: int,
        taps: int = 1,
        *,
        bias: bool = False,
        batch_first: bool = False,
        delays: str = "learned",
        delays_per: str = "synapse",
        interpolation: str = "gauss",
        sparsity: float = 0.0,
        rewiring: str = "none",
        dale: bool = False,
        current_tau: float = 1.0,
        convolution: str = "auto",
        discarded_mass: float = 1e-6,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        in_features, out_features = whole_number("in_features", in_features), whole_number("out_features", out_features)
        max_delay, taps = whole_number("max_delay", max_delay), whole_number("taps", taps)
        for name, count in (("in_features", in_features), ("out_features", out_features)):
            if count < 1:
                raise ModelError(f"{name} {count} is impossible; give 1 or more")
        self.in_features, self.out_features, self.batch_first = in_features, out_features, batch_first
        self.config = config = SynapseSettings(
            max_delay=max_delay, kernel_count=taps, bias=bias, delays=delays, delays_per=delays_per,
            interpolation=interpolation, sparsity=sparsity, rewiring=rewiring, dale=dale, current_tau=current_tau,
            convolution=convolution, discarded_mass=discarded_mass,
        )  # fmt: skip
        config.check()
        if config.whole_kernels and taps != 1:
            raise ModelError(f"taps {taps} would have no effect with delays {delays!r}; leave it out")
        self._sigma: float | Unset | None = UNSET
        shape = (out_features, in_features, config.taps_per_synapse)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        if config.whole_kernels:
            # Integers, which no conversion of the layer to another type rounds.
            every = torch.arange(config.kernel_size, device=device, dtype=torch.int32)
            self.register_buffer("delay", every.expand(shape).contiguous(), persistent=False)
        else:
            of = {"presynaptic": (1, *shape[1:]), "postsynaptic": (out_features, 1, shape[2])}
            empty = torch.empty(of.get(delays_per, shape), device=device, dtype=dtype)
            self.delay = nn.Parameter(empty, requires_grad=config.learns_delays)
        self.bias = nn.Parameter(torch.zeros(out_features, device=device, dtype=dtype)) if bias else None
        rewired = rewiring != "none"
        self.register_buffer("sign", torch.ones(shape, dtype=torch.int8, device=device) if rewired else None)
        fixed = sparsity > 0 and not rewired
        self.register_buffer("mask", torch.ones(shape, dtype=torch.bool, device=device) if fixed else None)
        self.form = ""  # how the last call convolved
        self.reset_parameters()

    @property
    def sigma(self) -> float | Unset | None:
        """Width of a tap in steps; None: rounded delays, single taps; UNSET until it is set."""
        return self._sigma

    @sigma.setter
    def sigma(self, sigma: float | None) -> None:
        if sigma is not None and not 0 <= sigma < float("inf"):
            raise ModelError(f"sigma {sigma} is no width; give a number of steps, 0 or more, or None for single taps")
        self._sigma = sigma

    def extra_repr(self) -> str:
        config = self.config
        width = "" if self._sigma is UNSET else f", sigma={self._sigma}"
        return (
            f"{self.in_features}, {self.out_features}, max_delay={config.max_delay}, taps={config.taps_per_synapse}, "
            f"delays={config.delays!r}{width}"
        )

    def reset_parameters(self) -> None:
        """Kaiming-uniform weights; delays uniform over the kernel, as in the reference code.

        The reference draws positions from [-ceil(Td / 2), Td // 2] and clamps them to +-(Td // 2), which in delays is
        [0, 2 (Td // 2) + 1 or 0] clamped to the kernel.
        """
        nn.init.kaiming_uniform_(self.weight, nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)
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
            self.take_signs(draw_signs(self.sign, config.dale))
        if config.sparsity > 0:
            exists = draw_mask(self.weight, n_connections(self.weight.numel(), config.sparsity))
            self.weight.mul_(exists)
            if self.mask is not None:
                self.mask.copy_(exists)

    @torch.no_grad()
    def take_signs(self, sign: Tensor) -> None:
        """Give rewired taps other signs, of a shape that expands to the weights'; these keep their magnitudes."""
        assert self.sign is not None
        self.sign.copy_(sign.expand_as(self.sign))
        self.weight.copy_(self.weight.abs() * self.sign)

    def exists(self) -> Tensor:
        """(n_out, n_in, taps) bool: the taps that there are."""
        if self.sign is not None:
            return self.sign * self.weight.detach() > 0
        return torch.ones_like(self.weight, dtype=torch.bool) if self.mask is None else self.mask

    def existing_delays(self) -> Tensor:
        """Bool of the delays' shape: those that a tap which exists has."""
        exists = self.exists()
        for axis, size in enumerate(self.delay.shape):
            exists = exists.any(axis, keepdim=True) if size == 1 else exists
        return exists

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
        """The delay of every tap, (out_features, in_features, taps), whatever it belongs to; gradients add up there.

        The parameter is projected to 0..max_delay before it is read.
        """
        if self.config.whole_kernels:
            return self.delay.to(torch.promote_types(self.weight.dtype, torch.float32)).expand_as(self.weight)
        self.clamp_delays()
        return self.delay.expand_as(self.weight)

    def clamp_delays(self) -> None:
        """Project the delays to 0..max_delay, in place, frozen ones too; whatever uses them does it by itself.

        Raises ModelError where their type has no such whole number.
        """
        if self.config.whole_kernels:
            return
        longest = int(2 / torch.finfo(self.delay.dtype).eps)  # beyond it whole numbers are rounded to even ones
        if self.config.max_delay > longest:
            raise ModelError(
                f"max_delay {self.config.max_delay}: {self.delay.dtype} has every whole delay to {longest} alone; keep "
                "the layer in float32, or choose a shorter one"
            )
        # Past autograd's count of versions: a second projection before the backward pass changes no number.
        self.delay.data.clamp_(0, self.config.max_delay)

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

    @uncompiled
    def forward(self, x: Tensor, n_steps: int | None = None, sigma: float | Unset | None = UNSET) -> Tensor:
        """(time, batch, in_features) to (n_steps, batch, out_features); without batch, or with it first, alike.

        n_steps   steps to return; default: as many as the input has. Beyond its end the input is silent
        sigma     for this call only; default: the layer's own in training, None in evaluation
        """
        x = self._read(x)
        steps = len(x) if n_steps is None else n_steps
        if min(steps, len(x)) < 1:
            raise ModelError(
                f"n_steps {steps} of an input of {len(x)} steps: a DelayedLinear takes and returns 1 step or more"
            )
        with without_autocast(x.device.type):
            out = self.convolved(x if x.dim() == 3 else x.unsqueeze(1), steps, self.width(sigma))
            if self.config.current_tau > 1:  # the chip's currents decay, and its biases go to the membrane past them
                out = leaky_integrator(out, self.config.current_tau)
            out = out if self.bias is None else out + self.bias
        if x.dim() == 2:
            return out.squeeze(1)
        return out.transpose(0, 1) if self.batch_first else out

    def _read(self, x: Tensor) -> Tensor:
        """Input as (time, batch, in_features) or (time, in_features), in the weights' type or an integer one."""
        layout = "batch, time" if self.batch_first else "time, batch"
        if x.dim() not in (2, 3) or x.shape[-1] != self.in_features:
            raise ModelError(
                f"input of shape {tuple(x.shape)}: a DelayedLinear of {self.in_features} inputs takes "
                f"({layout}, {self.in_features}), or (time, {self.in_features})"
            )
        if x.is_floating_point():
            x = self.in_own_type(x)
        return x.transpose(0, 1) if self.batch_first and x.dim() == 3 else x

    def in_own_type(self, x: Tensor) -> Tensor:
        """Input in the weights' type: converted under autocast, refused elsewhere where it has another."""
        if x.dtype == self.weight.dtype:
            return x
        if not torch.is_autocast_enabled(x.device.type):
            raise ModelError(
                f"input of {x.dtype} for weights of {self.weight.dtype}; convert one of them, with .to(dtype)"
            )
        return x.to(self.weight.dtype)

    def width(self, sigma: float | Unset | None = UNSET) -> float | None:
        """The width of a forward pass: `sigma` where it is given, else as the mode has it."""
        if not isinstance(sigma, Unset):
            return sigma
        if not self.training or not self.config.learns_delays:
            return None
        if isinstance(self._sigma, Unset):
            raise ModelError(
                "a DelayedLinear learns no delays before its sigma is set; make a SigmaSchedule of the model, set "
                "layer.sigma to a width in steps (None: train weights on rounded delays), or call eval()"
            )
        return self._sigma

    def convolved(self, x: Tensor, n_steps: int, sigma: float | None, weight: Tensor | None = None) -> Tensor:
        """The sums that arrive, without bias; weight as for `kernel`."""
        self.form = form = self._form(x, n_steps, sigma)
        if form == "windowed":
            return through_events(x.to(self.weight.dtype), self.windows(sigma, weight), n_steps)
        return delayed_sum(x, self.kernel(sigma, weight), n_steps, form)

    @uncompiled
    def taps(self, sigma: float | Unset | None = UNSET) -> Windows:
        """The kernels in the fewest numbers: windows, unless whole kernels are as short or the settings want them.

        For recurrent layers, where a loop over time does what `forward` does elsewhere; sigma as there.
        """
        sigma, config = self.width(sigma), self.config
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
        form = self.config.convolution
        if form == "auto":
            return choose(self.work(x, n_steps, sigma))
        if form in ("windowed", "events") and self.weight.dtype not in COMPILED_TYPES:
            raise ModelError(
                f"convolution {form!r} computes in float32 or float64, and the layer is of {self.weight.dtype}; choose "
                "'auto'"
            )
        return form

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
            events=self.weight.dtype in COMPILED_TYPES,
        )


def without_autocast(device: str) -> AbstractContextManager[object]:
    """Within it, PyTorch's operations on this kind of device compute in their input's own type."""
    on = torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)
    return torch.autocast(device, enabled=False) if on else nullcontext()


def delayed_layers(model: nn.Module) -> list[DelayedLinear]:
    """Every DelayedLinear within a module, the module itself included, in the order of `model.modules()`."""
    return [layer for layer in model.modules() if isinstance(layer, DelayedLinear)]


def delay_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The delays that any module learns: those of its DelayedLinear layers, each once.

    In steps, so that they want a learning rate of their own, some 0.1, and no weight decay.

    >>> model = nn.Sequential(DelayedLinear(4, 3, max_delay=9), DelayedLinear(3, 2, max_delay=9, delays="dense"))
    >>> [tuple(delay.shape) for delay in delay_parameters(model)]
    [(3, 4, 1)]
    """
    delays = {id(layer.delay): layer.delay for layer in delayed_layers(model)}  # layers may share theirs
    return [delay for delay in delays.values() if isinstance(delay, nn.Parameter) and delay.requires_grad]


def weight_parameters(model: nn.Module) -> list[nn.Parameter]:
    """All else that a module learns: weights, biases, batch norm, and what its other layers have.

    With `delay_parameters` these are all parameters that require a gradient, each once.

    >>> model = nn.Sequential(DelayedLinear(4, 3, max_delay=9, bias=True), nn.Linear(3, 2))
    >>> [tuple(weight.shape) for weight in weight_parameters(model)]
    [(3, 4, 1), (3,), (2, 3), (2,)]
    """
    delays = {id(delay) for delay in delay_parameters(model)}
    return [parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in delays]
