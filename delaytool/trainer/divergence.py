"""NaN and infinite values, found before anything that holds them is saved."""

from __future__ import annotations

import torch
from torch import nn

from delaytool.errors import RecipeError
from delaytool.trainer.recipe import TrainerConfig


def refuse_nan_loss(loss: float, config: TrainerConfig) -> None:
    """Raise RecipeError for a loss that is NaN."""
    if loss != loss:
        raise RecipeError(f"training diverged: the loss is NaN; {_way_out(config)}")


def refuse_nonfinite_state(model: nn.Module, epoch: int, config: TrainerConfig) -> None:
    """Raise RecipeError where a parameter or a buffer of the model is NaN or infinite.

    A neuron whose membrane is NaN does not fire, so that the loss of a network with NaN in a hidden layer is finite.
    epoch: the one that has just been trained, from 1; the checkpoints of those before it are left as they are.
    """
    # One number per tensor, copied from a GPU at once.
    state = {name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()}
    bad = torch.stack([(~torch.isfinite(tensor)).sum() for tensor in state.values()]).tolist()
    for (name, tensor), count in zip(state.items(), bad, strict=True):
        if count:
            kept = "; the checkpoints of the epochs before it are kept" if epoch > 1 else ""
            raise RecipeError(
                f"training diverged in epoch {epoch}: {_format_name(name)} has {count} of {tensor.numel()} values that "
                f"are NaN or infinite; {_way_out(config)}{kept}"
            )


def _way_out(config: TrainerConfig) -> str:
    return f"lower trainer.lr (now {config.lr}) or trainer.delay_lr (now {config.delay_lr})"


def _format_name(name: str) -> str:
    """'hidden.0.norm.running_var' as 'layer hidden1: norm.running_var'."""
    first, *rest = name.split(".")
    if first == "hidden" and len(rest) > 1 and rest[0].isdecimal():
        return f"layer hidden{int(rest[0]) + 1}: {'.'.join(rest[1:])}"
    return f"layer {first}: {'.'.join(rest)}" if rest else name
