"""A workload with published times: two hidden layers over 1,127 steps of 1 ms, for many and for very many delays.

The figures are those of `plots/dilated_conv_ml_genn.csv` in mbalazs98/deventprop on GitHub (the code of Mészáros,
Knight and Nowotny's EventProp with delays), measured there on an RTX A5000: time per epoch and peak memory of SND's
dilated convolutions (DCLS) and of mlGeNN, by hidden neurons and longest delay in steps. Beside 1,024 delays SND has no
row, but one with 1,000.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from gpu_run import Context, Row
from gpu_steps import free_memory
from torch import Tensor
from training_entrants import PRECISIONS

from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork


class Published(NamedTuple):
    """Seconds per epoch and peak memory in MiB; None where there is no figure."""

    snd_s: float | None
    snd_mib: float | None
    mlgenn_s: float | None
    mlgenn_mib: float | None


# (hidden neurons of each layer, delays): of 1,024, SND's figures are those with 1,000.
PUBLISHED = {
    (256, 64): Published(276.742, 7282.1, 26.721, 3384.0),
    (256, 1024): Published(2222.641, 17720.6, 38.928, 4824.0),
    (512, 64): Published(515.747, 12754.1, 108.815, 5752.0),
    (512, 1024): Published(None, None, 141.353, 8632.0),
}
SAMPLES = 75_466  # of an epoch: SSC's training part


@dataclass(frozen=True)
class Sizes:
    """density: share of input values that are spikes; 35 classes as SSC has."""

    n_in: int = 700
    time: int = 1127
    batch: int = 256
    classes: int = 35
    density: float = 0.01
    batches: int = 12


TINY = Sizes(n_in=20, time=40, batch=4, batches=2)
NEEDED_S = 12.0
WARM_UP = 5  # more than a recorded step launches before it is recorded


class SpikesPerBatch:
    """Stands for the frames of a training part: every batch is drawn anew, on the device, a byte per value."""

    def __init__(self, sizes: Sizes, device: str) -> None:
        self.sizes, self.device = sizes, device

    def __getitem__(self, chosen: Tensor) -> Tensor:
        sizes = self.sizes
        shape = (len(chosen), sizes.time, sizes.n_in)
        return torch.empty(shape, dtype=torch.uint8, device=self.device).bernoulli_(sizes.density)


def published(context: Context) -> Iterator[Row]:
    """Rows of (neurons, delays, precision): milliseconds per batch, seconds per epoch, peak memory, and the goals."""
    sizes = TINY if context.tiny else Sizes()
    cases = [(8, 4), (8, 16)] if context.tiny else list(PUBLISHED)
    fastest: dict[tuple[int, str], float] = {}
    for neurons, delays in cases:
        for precision in ("float32", "tf32"):
            if not context.allows(f"{neurons} neurons, {delays} delays in {precision}", NEEDED_S):
                continue
            row: Row = {"neurons": neurons, "delays": delays, "precision": precision}
            try:
                row.update(_measured(sizes, neurons, delays, precision, context.device))
            except torch.OutOfMemoryError as error:
                row["note"] = f"not measured: {str(error).splitlines()[0]}"
            free_memory(context.device)
            if "epoch_s" in row:
                row.update(_beside(row, neurons, delays, fastest.get((neurons, precision))))
                fastest.setdefault((neurons, precision), row["epoch_s"])
            yield row


class TrainingStep(NamedTuple):
    """run: one batch as `delaytool train` does it, optimizers included, which returns its loss."""

    run: Callable[[], Tensor]
    forms: Callable[[], dict[str, str]]
    is_recorded: Callable[[], bool]


def training_step(sizes: Sizes, neurons: int, delays: int, device: str, graphs: bool = True) -> TrainingStep:
    """A step of the workload. graphs: whether a GPU's steps are recorded and replayed."""
    from delaytool.trainer.data import Part
    from delaytool.trainer.optimizers import Optimizers
    from delaytool.trainer.parallel import Team
    from delaytool.trainer.recipe import TrainerConfig
    from delaytool.trainer.step import make_step

    torch.manual_seed(0)
    config = ModelConfig(hidden=(neurons, neurons), max_delay=delays - 1, tau=10.0, dropout=0.0, tail_steps=0)
    model = DelayNetwork(sizes.n_in, sizes.classes, config).to(device).train()
    model.sigma = delays / 2
    trainer = TrainerConfig(epochs=1, batch_size=sizes.batch, cuda_graphs=graphs)
    labels = torch.randint(0, sizes.classes, (sizes.batch,), device=device)
    part = Part(SpikesPerBatch(sizes, device), labels)  # type: ignore[arg-type]
    step = make_step(model, Optimizers(model, trainer), part, trainer, Team())
    chosen = torch.arange(sizes.batch, device=device)
    return TrainingStep(lambda: step.run(chosen)[0], model.forms, lambda: getattr(step, "_replay", None) is not None)


def _measured(sizes: Sizes, neurons: int, delays: int, precision: str, device: str) -> Row:
    torch.set_float32_matmul_precision(PRECISIONS[precision])
    free_memory(device)
    before = torch.cuda.memory_allocated() if device == "cuda" else 0
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    step = training_step(sizes, neurons, delays, device)
    for _ in range(WARM_UP):
        step.run()
    taken = []
    loss = torch.zeros(())
    for _ in range(sizes.batches):
        begin = _now(device)
        loss = step.run()
        taken.append(_now(device) - begin)
    taken.sort()
    median = taken[len(taken) // 2]
    batches = -(-SAMPLES // sizes.batch)
    row: Row = {
        "batch_ms": 1e3 * median,
        "fastest_ms": 1e3 * taken[0],
        "slowest_ms": 1e3 * taken[-1],
        "batches_measured": len(taken),
        "epoch_s": median * batches,
        "forms": step.forms(),
        "loss": float(loss),
        "steps": "recorded" if step.is_recorded() else "launched one by one",
        "note": f"{batches} batches of an epoch are extrapolated from {len(taken)}; {sizes.density:.0%} of the input "
        "are spikes, drawn within each step",
    }
    if device == "cuda":
        row["peak_mib"] = (torch.cuda.max_memory_allocated() - before) / 2**20
        row["reserved_mib"] = torch.cuda.max_memory_reserved() / 2**20
    return row


def _beside(row: Row, neurons: int, delays: int, fewest: float | None) -> Row:
    """The published figures, and whether the goals for an H100 are met."""
    known = PUBLISHED.get((neurons, delays))
    if known is None:
        return {}
    found: Row = {f"published_{name}": value for name, value in known._asdict().items() if value is not None}
    goals = []
    if (neurons, delays) == (256, 64):
        goals.append(f"under 8 s per epoch: {_met(row['epoch_s'] < 8)}")
        if "peak_mib" in row:
            goals.append(f"under 3,384 MiB: {_met(row['peak_mib'] < 3384)}")
    elif delays == 1024 and fewest is not None:
        ratio = row["epoch_s"] / fewest
        goals.append(f"at most twice the time with 64 delays ({ratio:.2f}): {_met(ratio <= 2)}")
    return {**found, "goals": "; ".join(goals)}


def _met(is_met: bool) -> str:
    return "met" if is_met else "not met"


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
