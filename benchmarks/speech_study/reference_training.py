"""The reference formulation of arXiv 2306.17670, trained as its own code trains it: dcls, spikingjelly, PyTorch.

From Thvnvtos/SNN-delays (model.py, snn_delays.py, best_config_SHD.py): Dcls1d 'gauss', batch norm over time and
batch, LIF with arctan surrogate and detached hard reset, dropout with one mask for all steps; the cross-entropy of
the sum over time of the membrane's softmax; Adam at lr_w with weight decay on weights alone under OneCycleLR to 5
lr_w, Adam at 100 lr_w for positions under CosineAnnealingLR, both stepped per epoch; sigma from half the kernel to
0.23 in the first quarter of the epochs; positions clamped after every step; evaluation with rounded positions and
version 'max' at sigma 0.

What differs: samples are padded to one length for all batches, as the frames that are compared here are; accuracies
are of samples, not means of batches; denormal numbers are flushed on a CPU, where they slow it four times.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from delaytool.trainer.augmentation import augmented
from delaytool.trainer.data import Part, TrainingData
from delaytool.trainer.recipe import Recipe

FINAL_SIGMA = 0.23
# Samples that are evaluated at once.
EVALUATED_AT_ONCE = 1024


class ReferenceNetwork(nn.Module):
    """Frames (batch, time, channel) to membranes of the readout (time, batch, class)."""

    def __init__(self, n_in: int, n_classes: int, recipe: Recipe) -> None:
        from DCLS.construct.modules import Dcls1d
        from spikingjelly.activation_based import layer, neuron, surrogate

        super().__init__()
        model = recipe.model
        size = self.size = model.max_delay + 1
        sizes = [n_in, *model.hidden, n_classes]
        self.synapses, self.nodes = nn.ModuleList(), nn.ModuleList()
        self.norms, self.dropouts = nn.ModuleList(), nn.ModuleList()
        for index, (before, after) in enumerate(pairwise(sizes)):
            last = index == len(model.hidden)
            synapses = Dcls1d(
                before, after, kernel_count=model.kernel_count, dilated_kernel_size=size, bias=False, version="gauss"
            )
            nn.init.kaiming_uniform_(synapses.weight, nonlinearity="relu")
            nn.init.uniform_(synapses.P, a=-size // 2, b=size // 2)
            synapses.clamp_parameters()
            nn.init.constant_(synapses.SIG, size // 2)
            synapses.SIG.requires_grad = False
            self.synapses.append(synapses)
            self.nodes.append(
                neuron.LIFNode(
                    tau=model.tau, v_threshold=1e9 if last else model.threshold,
                    surrogate_function=surrogate.ATan(alpha=model.surrogate_alpha), detach_reset=True, step_mode="m",
                    decay_input=False, store_v_seq=True,
                )
            )  # fmt: skip
            if not last:
                self.norms.append(layer.BatchNorm1d(after, step_mode="m"))
                self.dropouts.append(layer.Dropout(model.dropout, step_mode="m"))

    def forward(self, frames: Tensor) -> Tensor:
        from spikingjelly.activation_based import functional as jelly

        jelly.reset_net(self)
        x = frames.float().transpose(0, 1)
        for index, (synapses, node) in enumerate(zip(self.synapses, self.nodes, strict=True)):
            padded = functional.pad(x.permute(1, 2, 0), (self.size - 1, (self.size - 1) // 2))
            x = synapses(padded).permute(2, 0, 1)
            if index < len(self.norms):
                x = node(self.norms[index](x.unsqueeze(3)).squeeze(3))
                x = self.dropouts[index](x)
            else:
                node(x)
        return self.nodes[-1].v_seq

    def clamp(self) -> None:
        """Keep positions within the kernel."""
        for synapses in self.synapses:
            synapses.clamp_parameters()

    @torch.no_grad()
    def predict(self, frames: Tensor) -> Tensor:
        """Classes (batch,) with rounded positions and single taps, as the reference code evaluates."""
        with self.rounded():
            return torch.softmax(self(frames), dim=2).sum(0).argmax(1)

    @contextmanager
    def rounded(self) -> Iterator[None]:
        """Positions are rounded, taps single and dropout off while this is open."""
        with torch.no_grad():
            kept = [(synapses.P.clone(), synapses.SIG.clone()) for synapses in self.synapses]
            self.eval()
            for synapses in self.synapses:
                synapses.version = synapses.DCK.version = "max"
                synapses.SIG *= 0
                synapses.P.round_()
            self.clamp()
            try:
                yield
            finally:
                for synapses, (positions, sigma) in zip(self.synapses, kept, strict=True):
                    synapses.version = synapses.DCK.version = "gauss"
                    synapses.P.copy_(positions)
                    synapses.SIG.copy_(sigma)


def train_reference(
    recipe: Recipe, data: TrainingData, device: torch.device
) -> tuple[dict[str, list[float]], ReferenceNetwork]:
    """Train and evaluate after every epoch: the curves, validation being the part of that name, and the network.

    Of the recipe, the sizes, delays, tau, dropout, epochs, batch, rates, weight decay and augmentation count. The seed
    decides everything random. Raises ValueError where the recipe has what this code has not.
    """
    refuse_what_the_reference_lacks(recipe)
    config = recipe.trainer
    torch.manual_seed(recipe.seed)
    network = ReferenceNetwork(data.encoding.n_channels, data.n_classes, recipe).to(device)
    weights = [synapses.weight for synapses in network.synapses]
    lr = config.lr / 5
    optimizers = [
        torch.optim.Adam(
            [
                {"params": weights, "lr": lr, "weight_decay": config.weight_decay},
                {"params": list(network.norms.parameters()), "lr": lr, "weight_decay": 0},
            ]
        ),
        torch.optim.Adam([synapses.P for synapses in network.synapses], lr=config.delay_lr, weight_decay=0),
    ]
    schedules = [
        torch.optim.lr_scheduler.OneCycleLR(optimizers[0], max_lr=config.lr, total_steps=max(2, config.epochs)),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizers[1], T_max=config.epochs),
    ]
    train, validation = data.train.to(device), data.validation.to(device)
    narrowing = config.epochs // 4
    highest = int(train.frames.max())
    factor = (FINAL_SIGMA / (network.size // 2)) ** (1 / max(1, narrowing))
    curves: dict[str, list[float]] = {
        key: [] for key in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds")
    }
    for epoch in range(config.epochs):
        begin = time.perf_counter()
        torch.manual_seed((recipe.seed + 1) * 1_000_003 + epoch)  # as delaytool's training, for the same batches
        totals = torch.zeros(2, device=device)
        network.train()
        for chosen in torch.randperm(len(train)).to(device).split(config.batch_size):
            labels = train.labels[chosen]
            frames, targets = augmented(train.frames[chosen], labels, data.n_classes, config, highest)
            for optimizer in optimizers:
                optimizer.zero_grad()
            scores = torch.softmax(network(frames), dim=2).sum(0)
            loss = functional.cross_entropy(scores, targets)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
            network.clamp()
            totals += torch.stack([loss.detach() * len(chosen), (scores.argmax(1) == labels).sum()])
        for schedule in schedules:
            schedule.step()
        if epoch < narrowing:
            with torch.no_grad():
                for synapses in network.synapses:
                    synapses.SIG *= factor
        loss_sum, correct = totals.tolist()
        curves["train_loss"].append(loss_sum / len(train))
        curves["train_accuracy"].append(correct / len(train))
        for key, value in zip(("validation_loss", "validation_accuracy"), _evaluated(network, validation), strict=True):
            curves[key].append(value)
        curves["seconds"].append(time.perf_counter() - begin)
    return curves, network


def refuse_what_the_reference_lacks(recipe: Recipe) -> None:
    """Raise ValueError for a key by which the reference code would train another network than the recipe states."""
    model, config = recipe.model, recipe.trainer
    wanted = {
        "model.delays": (model.delays, "learned"), "model.delays_per": (model.delays_per, "synapse"),
        "model.interpolation": (model.interpolation, "gauss"), "model.sparsity": (model.sparsity, 0.0),
        "model.neuron": (model.neuron, "lif"), "model.recurrent": (model.recurrent, False),
        "model.timing": (model.timing, "paper"), "model.batch_norm": (model.batch_norm, True),
        "model.bias": (model.bias, False), "model.tail_steps": (model.tail_steps, None),
        "trainer.lr_schedule": (config.lr_schedule, "one-cycle"),
        "trainer.sigma_schedule": (config.sigma_schedule, "exponential"),
        "trainer.single_tap_epochs": (config.single_tap_epochs, 0.0), "trainer.l1": (config.l1, 0.0),
        "trainer.quantize": (config.quantize, None),
    }  # fmt: skip
    for key, (value, only) in wanted.items():
        if value != only:
            raise ValueError(f"{key}: the reference code has {only!r} alone, the recipe {value!r}")


@torch.no_grad()
def _evaluated(network: ReferenceNetwork, part: Part) -> tuple[float, float]:
    """(mean loss, accuracy) with rounded positions and single taps; the network stays as it is."""
    loss = correct = 0.0
    with network.rounded():
        for start in range(0, len(part), EVALUATED_AT_ONCE):
            frames, labels = (some[start : start + EVALUATED_AT_ONCE] for some in (part.frames, part.labels))
            scores = torch.softmax(network(frames), dim=2).sum(0)
            loss += float(functional.cross_entropy(scores, labels, reduction="sum"))
            correct += float((scores.argmax(1) == labels).sum())
    return loss / len(part), correct / len(part)


def count_parameters(recipe: Recipe, n_in: int, n_classes: int) -> dict[str, Any]:
    """What the reference network of a recipe has to learn, and its synapses."""
    sizes = [n_in, *recipe.model.hidden, n_classes]
    synapses = sum(a * b for a, b in pairwise(sizes)) * recipe.model.kernel_count
    return {"parameters": 2 * synapses + 2 * sum(recipe.model.hidden), "synapses": synapses}
