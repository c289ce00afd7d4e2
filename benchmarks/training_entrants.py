"""Training steps to compare: delaytool's, its plain form, and the reference formulation on dcls and spikingjelly.

An entrant is a function of (workload, sigma, device) that returns a step: one call does one batch, forward and
backward, and returns the loss. All have the same sizes, the same input and the same kind of loss.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork, class_scores
from delaytool.trainer.processor import PRECISIONS

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from oracles import plain

Step = Callable[[], Tensor]


@dataclass(frozen=True)
class Workload:
    """density: share of input values that are not zero; half of those are 2, as counts of speech are."""

    name: str
    n_in: int
    hidden: tuple[int, ...]
    n_classes: int
    time: int
    batch: int
    max_delay: int
    tau: float
    dropout: float
    density: float = 0.1
    convolution: str = "auto"

    def config(self) -> ModelConfig:
        return ModelConfig(
            hidden=self.hidden, max_delay=self.max_delay, tau=self.tau, dropout=self.dropout,
            convolution=self.convolution,
        )  # fmt: skip

    def input(self, device: str = "cpu") -> tuple[Tensor, Tensor]:
        """(frames (batch, time, channel) uint8, labels)."""
        generator = torch.Generator().manual_seed(0)
        shape = (self.batch, self.time, self.n_in)
        frames = (torch.rand(shape, generator=generator) < self.density).to(torch.uint8)
        frames += frames * (torch.rand(shape, generator=generator) < 0.5)
        labels = torch.randint(0, self.n_classes, (self.batch,), generator=generator)
        return frames.to(device), labels.to(device)


SHD = Workload("SHD", 140, (256, 256), 20, 100, 256, 24, 1.005, 0.4)
SSC = Workload("SSC", 140, (512, 512, 512), 35, 100, 128, 30, 1.5, 0.25)
WORKLOADS = {work.name: work for work in (SHD, SSC, replace(SHD, name="small", hidden=(16,), batch=8, time=20))}


def ours(work: Workload, sigma: float, device: str) -> Step:
    torch.manual_seed(0)
    model = DelayNetwork(work.n_in, work.n_classes, work.config()).to(device)
    return _step(model, lambda frames: model(frames, sigma), work, device)


def plain_form(work: Workload, sigma: float, device: str) -> Step:
    torch.manual_seed(0)
    model = DelayNetwork(work.n_in, work.n_classes, work.config()).to(device)
    return _step(model, lambda frames: plain.forward(model, frames, sigma), work, device)


def reference(work: Workload, sigma: float, device: str) -> Step:
    """The formulation of arXiv 2306.17670 on the packages that its code stands on."""
    from DCLS.construct.modules import Dcls1d
    from spikingjelly.activation_based import functional as jelly
    from spikingjelly.activation_based import layer, neuron, surrogate

    torch.manual_seed(0)
    size = work.max_delay + 1
    sizes = [work.n_in, *work.hidden, work.n_classes]
    blocks = nn.ModuleList()
    for index, (before, after) in enumerate(pairwise(sizes)):
        synapses = Dcls1d(before, after, kernel_count=1, dilated_kernel_size=size, bias=False, version="gauss")
        nn.init.kaiming_uniform_(synapses.weight, nonlinearity="relu")
        nn.init.uniform_(synapses.P, -(size // 2), size // 2)
        nn.init.constant_(synapses.SIG, sigma)
        synapses.SIG.requires_grad = False
        last = index == len(work.hidden)
        node = neuron.LIFNode(
            tau=work.tau, v_threshold=1e9 if last else 1.0, surrogate_function=surrogate.ATan(alpha=5.0),
            detach_reset=True, step_mode="m", decay_input=False, store_v_seq=last,
        )  # fmt: skip
        parts = [synapses, node]
        if not last:
            parts += [layer.BatchNorm1d(after, step_mode="m"), layer.Dropout(work.dropout, step_mode="m")]
        blocks.append(nn.ModuleList(parts))
    blocks.to(device)

    def forward(frames: Tensor) -> Tensor:
        jelly.reset_net(blocks)
        x = frames.float().transpose(0, 1)
        for block in blocks:
            synapses, node, *others = block
            padded = functional.pad(x.permute(1, 2, 0), (size - 1, (size - 1) // 2))
            x = synapses(padded).permute(2, 0, 1)
            if others:
                norm, dropout = others
                x = dropout(node(norm(x.unsqueeze(3)).squeeze(3)))
            else:
                node(x)
        return blocks[-1][1].v_seq

    return _step(blocks, forward, work, device)


def _step(model: nn.Module, forward: Callable[[Tensor], Tensor], work: Workload, device: str) -> Step:
    model.train()
    frames, labels = work.input(device)

    def step() -> Tensor:
        model.zero_grad(set_to_none=True)
        loss = functional.cross_entropy(class_scores(forward(frames)), labels)
        loss.backward()
        return loss.detach()

    return step


def whole_step(work: Workload, sigma: float, device: str) -> Step:
    """A step as `delaytool train` does it: with both optimizers, and on a GPU recorded and replayed."""
    from delaytool.trainer.data import Part
    from delaytool.trainer.optimizers import Optimizers
    from delaytool.trainer.parallel import Team
    from delaytool.trainer.recipe import TrainerConfig
    from delaytool.trainer.step import RecordedStep, make_step

    torch.manual_seed(0)
    model = DelayNetwork(work.n_in, work.n_classes, work.config()).to(device).train()
    model.sigma = sigma
    config = TrainerConfig(epochs=1, batch_size=work.batch, single_tap_epochs=0.0)
    part = Part(*work.input(device))
    step = make_step(model, Optimizers(model, config), part, config, Team())
    chosen = torch.arange(work.batch, device=device)
    if isinstance(step, RecordedStep):
        for _ in range(RecordedStep.WARM_UP + 1):
            step.run(chosen)
    return lambda: step.run(chosen)[0]


@dataclass(frozen=True)
class Entrant:
    """precision: the value of `trainer.precision`; library_tf32: whether cuDNN's convolutions may use TF32."""

    make: Callable[[Workload, float, str], Step]
    flushes_denormals: bool = True
    precision: str = "float32"
    library_tf32: bool = False

    def set_up(self) -> None:
        torch.set_flush_denormal(self.flushes_denormals)
        torch.set_float32_matmul_precision(PRECISIONS[self.precision])
        torch.backends.cudnn.allow_tf32 = self.library_tf32


# By default PyTorch lets cuDNN's convolutions use TF32, so on a GPU 'reference' does, and the last one does not.
ENTRANTS = {
    "ours": Entrant(ours),
    "ours, tf32": Entrant(ours, precision="tf32", library_tf32=True),
    "ours, bf16": Entrant(ours, precision="bf16", library_tf32=True),
    "ours, whole step": Entrant(whole_step),
    "ours, whole step, tf32": Entrant(whole_step, precision="tf32", library_tf32=True),
    "plain": Entrant(plain_form),
    "reference": Entrant(reference, flushes_denormals=False, library_tf32=True),
    "reference, no denormals": Entrant(reference),
    "reference, float32": Entrant(reference),
}
