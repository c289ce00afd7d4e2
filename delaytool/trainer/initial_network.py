"""The network before its first epoch, which the recipe's seed decides: it need not be stored to be had again."""

from __future__ import annotations

import torch

from delaytool.models.delay_network import DelayNetwork
from delaytool.trainer.recipe import Recipe


def initial_network(recipe: Recipe, n_channels: int, n_classes: int) -> DelayNetwork:
    """What training of the recipe starts from, on the CPU; seeds PyTorch's generator.

    The same bits every time on one version of PyTorch; another version may draw other numbers.
    """
    torch.manual_seed(recipe.seed)
    return DelayNetwork(n_channels, n_classes, recipe.model)
