"""The network before its first epoch, which follows from the recipe's seed and so need not be stored."""

from __future__ import annotations

import torch

from delaytool.models.delay_network import DelayNetwork
from delaytool.models.float32 import float32_by_default
from delaytool.trainer.recipe import Recipe


def initial_network(recipe: Recipe, n_channels: int, n_classes: int) -> DelayNetwork:
    """The network that training of the recipe starts from, on the CPU. PyTorch's generator is left as it was.

    The same bits every time on one version of PyTorch; another version may draw other numbers.
    """
    with torch.random.fork_rng(devices=[]), float32_by_default():
        torch.default_generator.manual_seed(recipe.seed)
        return DelayNetwork(n_channels, n_classes, recipe.model)
