"""What a network is, stage by stage, as the exporter reads it: synapses, norm, neurons, whoever wrote the modules.

A module takes part in one of two ways. Its class is known here or in `delaytool.adapters` (DelayedLinear, LIF, ...), or
it has a method `stages()` that returns modules and stages in the order in which its forward pass uses them.

    class Net(nn.Module):
        def stages(self):
            return [self.synapses, self.norm, self.neurons, self.readout]

A class is known by its forward pass: a subclass that has another one is another module. A module whose forward pass was
replaced, or that has hooks, which may change its numbers, is refused.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeAlias, TypeGuard, TypeVar, cast

import torch
from torch import Tensor, nn

from delaytool.errors import ExportError
from delaytool.models.delayed_linear import DelayedLinear
from delaytool.models.spiking_layers import LIF, BatchNorm, LeakyReadout

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class Synapses:
    """From one population to the next: y[t, o] = sum over i and taps of w x[t - d, i], its decay over time, + bias.

    weight        (n_out, n_in, taps)
    delay         the same shape, or one that broadcasts to it; steps, of which the exporter takes the nearest whole
    bias          (n_out,), added in every step past the current's decay; None: none
    current_tau   time constant in steps of the leaky integrator behind the sum; 1: none
    lengthens     steps by which the output is longer than the input

    A module that the exporter does not know is exported by the stages that it computes:

    >>> import delaytool as dt
    >>> class Net:
    ...     def stages(self):
    ...         weight, delay = torch.ones(1, 2, 1), torch.tensor([[[0.0], [3.0]]])  # two inputs, one output
    ...         return [Synapses(weight, delay), Neurons(tau=2.0, threshold=1.5), torch.nn.Linear(1, 2), LeakyReadout()]
    >>> frames = torch.zeros(1, 6, 2)  # (sample, time, channel)
    >>> frames[0, 4, 0] = frames[0, 1, 1] = 1  # they meet at step 4
    >>> dt.simulate_stages(Net(), frames)[0][0, :, 0].tolist()
    [0.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """

    weight: Tensor
    delay: Tensor
    bias: Tensor | None = None
    current_tau: float = 1.0
    lengthens: int = 0


@dataclass(frozen=True, eq=False)
class Norm:
    """Batch norm at rest, each tensor (n_out,): out = gamma (in - mean) / sqrt(variance + eps) + beta.

    >>> import delaytool as dt
    >>> one = torch.ones(1)
    >>> class Net:
    ...     def stages(self):
    ...         synapses = Synapses(torch.ones(1, 1, 1), torch.zeros(1, 1, 1))
    ...         return [synapses, Norm(4 * one, 0 * one, one / 2, one, eps=0.0), Neurons(tau=1.0, threshold=None)]
    >>> dt.simulate_stages(Net(), [[[0], [1]]])[0].flatten().tolist()
    [-2.0, 2.0]
    """

    gamma: Tensor
    beta: Tensor
    mean: Tensor
    variance: Tensor
    eps: float


@dataclass(frozen=True, eq=False)
class Neurons:
    """A population: i[t] = (1 - 1/current_tau) i[t-1] + x[t],  v[t] = (1 - 1/tau) v[t-1] + gain i[t].

    tau           of the membrane, in steps
    threshold     where v >= threshold there is a spike and v becomes 0; None: it never fires, the readout
    gain          factor of the input
    current_tau   time constant in steps of the current, biases included; 1: none
    recurrent     synapses from the population to itself, without a bias, whose spikes take one step besides their delay

    >>> import delaytool as dt
    >>> class Net:
    ...     def stages(self):
    ...         return [Synapses(torch.ones(1, 1, 1), torch.zeros(1, 1, 1)), Neurons(tau=2.0, threshold=None, gain=0.5)]
    >>> dt.simulate_stages(Net(), [[[1], [0], [0]]])[0].flatten().tolist()
    [0.5, 0.25, 0.125]
    """

    tau: float
    threshold: float | None
    gain: float = 1.0
    current_tau: float = 1.0
    recurrent: Synapses | None = None


@dataclass(frozen=True)
class Padding:
    """Silent steps that are put before and after the input of the next synapses.

    >>> import delaytool as dt
    >>> class Net:
    ...     def stages(self):
    ...         return [Padding(before=2, after=1), torch.nn.Linear(1, 1, bias=False), Neurons(tau=1.0, threshold=None)]
    >>> dt.simulate_stages(Net(), [[[1], [0]]])[0].shape  # (sample, step, neuron): two steps have become five
    (1, 5, 1)
    """

    before: int
    after: int


Stage: TypeAlias = Synapses | Norm | Neurons | Padding
# A module to its stages, or to the parts that it runs in order; None: it is of no class that this reader knows.
Reader: TypeAlias = Callable[[nn.Module], "Sequence[nn.Module | Stage] | None"]


class Staged(Protocol):
    """A network that lists its stages."""

    def stages(self) -> Iterable[nn.Module | Stage]:
        """Modules and stages, in the order of the forward pass."""
        ...


@dataclass(frozen=True)
class NamedStage:
    """A stage, and the module that it came from as errors call it: 'hidden.0 (LIFNode)'."""

    module: str
    stage: Stage


def stages_of(model: nn.Module | Staged, readers: Sequence[Reader] = ()) -> list[NamedStage]:
    """The stages of a model in order, each with the name of its module.

    readers: of other libraries' modules, asked after those of this package. Raises ExportError, which names the module,
    for one that nobody knows.

    >>> model = nn.Sequential(DelayedLinear(4, 3, max_delay=9), LIF(tau=5.0), DelayedLinear(3, 2, 9), LeakyReadout(5.0))
    >>> [named.module for named in stages_of(model)]
    ['0 (DelayedLinear)', '1 (LIF)', '2 (DelayedLinear)', '3 (LeakyReadout)']
    """
    names = {id(module): name for name, module in model.named_modules()} if isinstance(model, nn.Module) else {}
    return list(_walk(model, (read_own_module, read_torch_module, *readers), names, "model"))


def _walk(module: object, readers: Sequence[Reader], names: dict[int, str], place: str) -> Iterator[NamedStage]:
    label = f"{names.get(id(module)) or place} ({type(module).__name__})"
    if isinstance(module, Synapses | Norm | Neurons | Padding):
        yield NamedStage(label, module)
    elif callable(getattr(type(module), "stages", None)):  # not of the instance: a module list may be called so
        for index, part in enumerate(cast(Staged, module).stages()):
            if part is module:
                raise ExportError(f"module {label}: its stages() returns itself; return its parts in order")
            yield from _walk(part, readers, names, f"stage {index}")
    elif isinstance(module, nn.Module):
        _compute_parameters(module)
        found = next((stages for reader in readers if (stages := _read(reader, module, label)) is not None), None)
        if found is None:
            raise ExportError(
                f"module {label}: the exporter does not know this {_kind(module)}; give it, or the model, a method "
                "stages() that returns its synapses, norm and neurons in order (docs/python.md)"
            )
        _refuse_changed_pass(module, label)
        if isinstance(module, nn.Sequential):
            _refuse_wrong_norm(module, names)
        for index, part in enumerate(found):
            if isinstance(part, nn.Module):
                yield from _walk(part, readers, names, f"{place}.{index}")
            else:
                yield NamedStage(label, part)
    else:
        raise ExportError(f"module {label}: neither a torch.nn.Module nor a stage; see docs/python.md")


def has_forward_of(module: nn.Module, known: type[M]) -> TypeGuard[M]:
    """Whether a module of this class, or of one derived from it, has its forward pass."""
    return isinstance(module, known) and type(module).forward is known.forward


def refuse_changed_parts(network: nn.Module) -> None:
    """Raise ExportError where a module of delaytool's own network is not called as delaytool or PyTorch have it."""
    for name, module in network.named_modules():
        label = f"{name} ({type(module).__name__})" if name else type(module).__name__
        if not type(module).forward.__module__.startswith(("delaytool.", "torch.")):
            raise ExportError(
                f"module {label}: it has a forward pass of its own, and the exporter would not see it; give an object "
                "whose method stages() returns the network's synapses, norm and neurons in order (docs/python.md)"
            )
        _compute_parameters(module)
        _refuse_changed_pass(module, label)


def _kind(module: nn.Module) -> str:
    """What is unknown of a module: its class, or the forward pass that it has in place of its parent's."""
    for parent in type(module).__mro__[1:]:
        if parent is nn.Module:
            break
        if vars(parent).get("forward", type(module).forward) is not type(module).forward:
            return f"class, whose forward pass is not that of {parent.__name__}"
    return "class"


def _refuse_changed_pass(module: nn.Module, label: str) -> None:
    """Raise ExportError for a module that is not called as its class has it."""
    known, forward = type(module).forward, vars(module).get("forward", type(module).forward)
    if hasattr(forward, "_torchdynamo_orig_callable"):  # what torch.compile made of a forward pass computes the same
        forward = inspect.unwrap(forward)
    change = ""
    if getattr(forward, "__func__", forward) not in (known, inspect.unwrap(known)):
        change = f"a forward pass in place of that of {type(module).__name__}"
    for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values()):
        if not _is_of_torch(hook):
            change = f"the hook {getattr(hook, '__qualname__', type(hook).__qualname__)}, which may change its numbers"
    if change:
        raise ExportError(
            f"module {label}: it has {change}, and the exporter would not see it; remove it first (a hook by its "
            "handle.remove()), or let a method stages() return Synapses, Norm or Neurons in place of this module"
        )


def _is_of_torch(hook: object) -> bool:
    """Whether it computes a parameter before each forward pass and nothing else: prune, weight_norm, spectral_norm."""
    return any(parent.__module__.startswith("torch.nn.utils.") for parent in type(hook).__mro__)


def _compute_parameters(module: nn.Module) -> None:
    """What such hooks compute, of the parameters as they are: an optimizer may have stepped since the last pass."""
    was_training, module.training = module.training, False  # spectral_norm changes its estimate in training
    for hook in module._forward_pre_hooks.values():
        if _is_of_torch(hook):
            hook(module, ())
    module.training = was_training


def _read(reader: Reader, module: nn.Module, label: str) -> Sequence[nn.Module | Stage] | None:
    try:
        return reader(module)
    except ExportError as error:
        raise ExportError(f"module {label}: {error}") from None


def _refuse_wrong_norm(model: nn.Sequential, names: dict[int, str]) -> None:
    before: nn.Module | None = None
    for part in model:
        if has_forward_of(part, nn.BatchNorm1d) and isinstance(before, DelayedLinear):
            raise ExportError(
                f"module {names.get(id(part), '')} (BatchNorm1d): behind a DelayedLinear it normalizes dimension 1 of "
                "(time, batch, neuron), which are not the neurons; use delaytool.BatchNorm"
            )
        before = part


def synapses_of(layer: DelayedLinear) -> Synapses:
    """A layer of this package as a stage, with its delays in range."""
    return Synapses(
        layer.connected_weight().detach(),
        layer.delays.detach(),
        None if layer.bias is None else layer.bias.detach(),
        layer.config.current_tau,
    )


def read_own_module(module: nn.Module) -> Sequence[Stage] | None:
    """The stages of this package's layers."""
    if has_forward_of(module, DelayedLinear):
        return (synapses_of(module),)
    if has_forward_of(module, LIF):
        recurrent = None if module.recurrent is None else synapses_of(module.recurrent)
        return (Neurons(module.tau, module.threshold, recurrent=recurrent),)
    if has_forward_of(module, LeakyReadout):
        return (Neurons(module.tau, None),)
    if has_forward_of(module, BatchNorm):
        return (norm_of(module),)
    return None


# What does nothing in evaluation mode.
_AT_REST = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def read_torch_module(module: nn.Module) -> Sequence[nn.Module | Stage] | None:
    """The stages of PyTorch's own layers: Linear is synapses without delay, padding is for the next synapses."""
    if any(has_forward_of(module, known) for known in _AT_REST):
        return ()
    if has_forward_of(module, nn.Sequential):
        return tuple(module)
    if has_forward_of(module, nn.Linear):
        return (synapses_of_linear(module),)
    if has_forward_of(module, nn.BatchNorm1d):
        return (norm_of(module),)
    if has_forward_of(module, nn.ConstantPad1d):
        if module.value != 0:
            raise ExportError(
                f"it pads with {module.value:g}, and a chip's input is silent before it begins; pad with 0"
            )
        before, after = module.padding
        return (Padding(int(before), int(after)),)
    return None


def synapses_of_linear(module: nn.Linear) -> Synapses:
    """A linear layer as a stage."""
    weight = module.weight.detach().unsqueeze(-1)
    return Synapses(weight, torch.zeros_like(weight), None if module.bias is None else module.bias.detach())


def norm_of(module: nn.BatchNorm1d) -> Norm:
    """Batch norm as a stage, whatever the layout of its input. Raises ExportError without running statistics."""
    if module.running_mean is None or module.running_var is None:
        raise ExportError(
            "it has no running statistics, so that what it does depends on the batch; build it with "
            "track_running_stats=True"
        )
    mean, variance = module.running_mean.detach(), module.running_var.detach()
    return Norm(
        torch.ones_like(mean) if module.weight is None else module.weight.detach(),
        torch.zeros_like(mean) if module.bias is None else module.bias.detach(),
        mean,
        variance,
        module.eps,
    )


def padded(stages: Iterable[NamedStage]) -> list[NamedStage]:
    """The stages with every Padding put into the delays and the length of the synapses that follow it.

    Steps that are put before the input delay everything: a spike comes so many steps later, and so does the output.
    Raises ExportError where no synapses follow.
    """
    out: list[NamedStage] = []
    before = after = 0
    last = ""
    for named in stages:
        stage = named.stage
        if isinstance(stage, Padding):
            before, after, last = before + stage.before, after + stage.after, named.module
            continue
        if before or after:
            if not isinstance(stage, Synapses):
                raise ExportError(
                    f"module {last}: padding stands before synapses, and {named.module} are none; move it"
                )
            stage = replace(stage, delay=stage.delay + before, lengthens=stage.lengthens + before + after)
            before = after = 0
        out.append(NamedStage(named.module, stage))
    if before or after:
        raise ExportError(f"module {last}: no synapses follow this padding; leave it out")
    return out
