"""Batch norm's running statistics, taken from the training part without training."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from delaytool.models.delay_network import DelayNetwork
from delaytool.trainer.parallel import Team


@torch.no_grad()
def pass_over(model: DelayNetwork, frames: Tensor, order: Tensor, batch_size: int, team: Team) -> None:
    """One pass over frames (sample, time, channel) in training mode, on rounded delays and single taps, in this order.

    It moves batch norm's running statistics by batch norm's own rule, and nothing else. Without batch norm it is
    nothing.
    """
    if not model.config.batch_norm:
        return
    model.train()
    for chosen in order.split(batch_size):
        rows = team.rows(len(chosen))
        with model.share_of_batch(rows, len(chosen)):
            model(frames[chosen[rows]], sigma=None)


def refresh_statistics(model: DelayNetwork, frames: Tensor, order: Tensor, batch_size: int, team: Team) -> None:
    """Forget the running statistics and take them anew: the plain mean over the batches of one pass.

    (As `torch.optim.swa_utils.update_bn` does, which knows neither sigma nor several processes.)
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm1d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's sign for the mean over all batches
    pass_over(model, frames, order, batch_size, team)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
