"""Rewiring: after every optimizer step, the taps whose weight has reached zero fall, and as many others are grown.

After Mészáros, Knight, Nowotny, 'Learning delays through gradients and structure' (Frontiers in Computational
Neuroscience 2024): a tap's weight is sign * theta with a fixed sign, it exists while theta > 0, and a grown one begins
at theta = 1e-12. Where to grow:

    'deep-r'       anywhere (DEEP R, Bellec et al., arXiv 1711.05136; without its noise on theta)
    'rigl'         where |dL/dtheta| is largest (RigL, Evci et al., arXiv 1911.11134)
    'rigl-signed'  where dL/dtheta is most negative: the paper's rule. The others have no other sign to take, so a tap
                   grown on a positive gradient falls again with the next step

Ties are broken at random. Whatever is drawn comes from PyTorch's generator of the tensors' device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from delaytool.errors import ModelError
from delaytool.models.connectivity import n_connections
from delaytool.models.delay_network import DelayNetwork
from delaytool.trainer.optimizers import Optimizers

GROWN_THETA = 1e-12


def growth_score(grad: Tensor | None, sign: Tensor, rule: str) -> Tensor:
    """Each tap's score for growing, from the gradient by its weight; 0 for all with 'deep-r' or without a gradient."""
    if rule == "deep-r" or grad is None:
        return torch.zeros_like(sign, dtype=torch.float32)
    if rule == "rigl":
        return grad.abs()
    if rule == "rigl-signed":
        return -grad * sign
    raise ModelError(f"rewiring {rule!r} does not say where taps grow; choose one of deep-r, rigl, rigl-signed")


def highest(score: Tensor, count: Tensor) -> Tensor:
    """`count` True, of score's shape, where the score is highest. Among equals the choice is fixed but arbitrary."""
    return (by_selection if score.device.type == "cpu" else by_rank)(score, count)


def by_selection(score: Tensor, count: Tensor) -> Tensor:
    """`highest` without sorting everything; reads the count, which would make a device wait."""
    chosen = torch.zeros(score.numel(), dtype=torch.bool, device=score.device)
    chosen[score.flatten().topk(int(count)).indices] = True
    return chosen.view_as(score)


def by_rank(score: Tensor, count: Tensor) -> Tensor:
    """`highest` by work that the count does not change, so that it can be queued or recorded."""
    order = score.flatten().argsort(descending=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order), device=order.device)
    return (rank < count).view_as(score)


def choose(score: Tensor, candidates: Tensor, count: Tensor) -> Tensor:
    """The `count` candidates of the highest scores, as a mask; among equal scores each is as likely as another.

    count: a whole number in a tensor, at most the number of candidates.
    """
    lowest, beyond = -torch.inf, torch.inf
    first = highest(torch.where(candidates, score, lowest), count)
    least = torch.where(first, score, beyond).min()
    better = candidates & (score > least)
    equal = candidates & (score == least)
    keys = torch.where(equal, torch.rand(score.shape, device=score.device), -1.0)
    return better | highest(keys, count - better.sum())


def rewire(weight: Tensor, sign: Tensor, existed: Tensor, score: Tensor, n_existing: int) -> tuple[Tensor, Tensor]:
    """One rewiring, in place on weight: (which taps have existed before and after, which were grown).

    weight      after the optimizer's step
    existed     which taps existed before it
    n_existing  how many must exist afterwards
    """
    survives = existed & (sign * weight > 0)
    grown = choose(score, ~survives, n_existing - survives.sum())
    weight.copy_(torch.where(survives, weight, torch.where(grown, GROWN_THETA * sign, 0.0)))
    return survives, grown


class Rewiring:
    """The taps of a network, and their state between the backward pass and the end of a step.

    Nothing here waits for the device, and it may be recorded with the step; nothing happens where nothing is rewired.
    """

    def __init__(self, model: DelayNetwork, optimizers: Optimizers) -> None:
        config = model.config
        self.rule = config.rewiring
        self.optimizers = optimizers
        named = zip(model.layer_names(), model.delayed_layers(), strict=True)
        rewired = {name: layer for name, layer in named if layer.config.rewiring != "none"}
        self.names, self.layers = list(rewired), list(rewired.values())
        self.n_existing = [n_connections(layer.weight.numel(), layer.config.sparsity) for layer in self.layers]
        self._existed: list[Tensor] = []
        self._score: list[Tensor] = []
        self._grown = [torch.zeros((), dtype=torch.long, device=layer.weight.device) for layer in self.layers]

    @torch.no_grad()
    def before_step(self) -> None:
        """After the backward pass: keep the scores that rewiring needs, and zero the gradients of absent taps."""
        self._existed = [layer.exists() for layer in self.layers]
        self._score = []
        for layer, exists in zip(self.layers, self._existed, strict=True):
            assert layer.sign is not None
            grad = layer.weight.grad
            self._score.append(growth_score(grad, layer.sign, self.rule))
            if grad is not None:
                grad.mul_(exists)

    @torch.no_grad()
    def after_step(self) -> None:
        """Let taps fall and grow. A tap that does not exist has no moments, nor has one that was just grown."""
        for index, layer in enumerate(self.layers):
            assert layer.sign is not None
            survives, grown = rewire(
                layer.weight, layer.sign, self._existed[index], self._score[index], self.n_existing[index]
            )
            for parameter in layer.tap_parameters():
                for moment in self.optimizers.moments(parameter):
                    moment.mul_(survives)
            self._grown[index] += grown.sum()

    def grown(self) -> dict[str, int]:
        """Taps grown in each rewired layer, by its name, since this was last asked."""
        counts = {name: int(count) for name, count in zip(self.names, self._grown, strict=True)}
        for count in self._grown:
            count.zero_()
        return counts
