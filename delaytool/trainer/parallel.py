"""Several processes on one run, as `torchrun --nproc-per-node=N -m delaytool train …` starts them.

Every process holds the whole data and takes an equal share of each batch, so the run is the one that a single process
would make, up to the rounding of sums: the batch size is that of all processes together, batch norm counts all their
values, and random numbers are drawn for the whole batch everywhere. The first process alone writes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from delaytool.models.delay_network import HiddenLayer
from delaytool.models.synchronized_norm import SynchronizedBatchNorm

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """The processes of a run; alone, rank 0 of 1."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        return self.rank == 0

    def rows(self, count: int) -> slice:
        """This process's share of `count` samples: contiguous, as equal as can be."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, value: T) -> list[T]:
        """Every process's value, in order."""
        if self.size == 1:
            return [value]
        gathered: list[Any] = [None] * self.size
        dist.all_gather_object(gathered, value)
        return gathered

    def wait(self) -> None:
        if self.size > 1:
            dist.barrier()

    def joined(self, model: nn.Module, all_learn: bool = True) -> nn.Module:
        """The network with batch norm over all processes and gradients averaged; alone, the network itself.

        all_learn: whether every parameter gets a gradient; rounded delays get none.
        """
        if self.size == 1:
            return model
        for layer in [module for module in model.modules() if isinstance(module, HiddenLayer)]:
            if layer.norm is not None and not isinstance(layer.norm, SynchronizedBatchNorm):
                layer.norm = SynchronizedBatchNorm.of(layer.norm)
        return DistributedDataParallel(model, find_unused_parameters=not all_learn)


def process_count() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this process writes and reports for the run."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def team(device: torch.device) -> Iterator[Team]:
    """The processes that torchrun started, joined while this is open; a team of one without torchrun.

    Of torchrun's processes each takes the GPU of its local rank, and keeps it as its current device afterwards.
    """
    size = process_count()
    if size == 1:
        yield Team()
        return
    rank, local = int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0"))
    if device.type == "cuda":
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Team(rank, size)
    finally:
        dist.destroy_process_group()
