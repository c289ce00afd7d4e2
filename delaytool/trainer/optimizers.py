"""Two Adams, as in the reference code: one for weights and batch norm, one for delays."""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, OneCycleLR

from delaytool.errors import RecipeError
from delaytool.models.delay_network import DelayNetwork
from delaytool.trainer.recipe import TrainerConfig


class Optimizers:
    """Adam for weights (with decay) and all other parameters, Adam for delays; schedules step once per epoch."""

    def __init__(self, model: DelayNetwork, config: TrainerConfig) -> None:
        layers = model.delayed_layers()
        weights = [layer.weight for layer in layers]
        delays = [layer.delay for layer in layers if layer.delay.requires_grad]
        apart = {id(parameter) for parameter in (*weights, *(layer.delay for layer in layers))}
        others = [parameter for parameter in model.parameters() if id(parameter) not in apart]
        groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": config.weight_decay}]
        if others:
            groups.append({"params": others, "weight_decay": 0.0})
        # On a GPU the count of steps is there too, so that a step can be recorded.
        on_gpu = weights[0].device.type == "cuda"
        self._weights = Adam(groups, lr=config.lr, capturable=on_gpu)
        self._all: list[tuple[Optimizer, LRScheduler]] = [(self._weights, _schedule(self._weights, config))]
        self._delays = Adam(delays, lr=config.delay_lr, capturable=on_gpu) if delays else None
        if self._delays is not None:
            self._all.append((self._delays, CosineAnnealingLR(self._delays, config.epochs)))

    def zero_grad(self) -> None:
        for optimizer, _ in self._all:
            optimizer.zero_grad(set_to_none=True)

    def step(self, move_delays: bool = True) -> None:
        for optimizer, _ in self._all:
            if move_delays or optimizer is not self._delays:
                optimizer.step()

    def moments(self, parameter: Tensor) -> list[Tensor]:
        """Adam's moments of a parameter, to be changed in place; none before its first step."""
        states = [optimizer.state[parameter] for optimizer, _ in self._all if parameter in optimizer.state]
        return [state[name] for state in states for name in ("exp_avg", "exp_avg_sq")]

    def next_epoch(self) -> None:
        with warnings.catch_warnings():
            # Delays that no epoch has moved yet (single taps from the first one on) still have rates that fall.
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step\\(\\)` before")
            for _, schedule in self._all:
                schedule.step()

    def rates(self) -> dict[str, float]:
        """The learning rates in force."""
        return {
            "lr": self._weights.param_groups[0]["lr"],
            "delay_lr": self._delays.param_groups[0]["lr"] if self._delays else 0.0,
        }

    def state(self) -> list[dict[str, Any]]:
        return [
            {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
            for optimizer, schedule in self._all
        ]

    def restore(self, state: list[dict[str, Any]]) -> None:
        for (optimizer, schedule), saved in zip(self._all, state, strict=True):
            optimizer.load_state_dict(saved["optimizer"] if "optimizer" in saved else saved["optimiser"])
            schedule.load_state_dict(saved["schedule"])


def _schedule(optimizer: Optimizer, config: TrainerConfig) -> LRScheduler:
    if config.lr_schedule == "one-cycle":
        # The reference code steps it once per epoch; it begins at lr / 25 and also moves Adam's first beta.
        return OneCycleLR(optimizer, max_lr=config.lr, total_steps=max(2, config.epochs))
    if config.lr_schedule == "cosine":
        return CosineAnnealingLR(optimizer, config.epochs)
    if config.lr_schedule == "constant":
        return LambdaLR(optimizer, lambda _: 1.0)
    raise RecipeError(f"trainer.lr_schedule {config.lr_schedule!r} is no schedule of the learning rate")
