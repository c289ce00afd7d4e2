"""The forms of the convolution on a GPU, a layer at a time: one matrix product per transform, or two stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import torch
from gpu_run import Context, Row
from gpu_steps import free_memory
from torch import Tensor
from training_entrants import PRECISIONS

from delaytool.models.convolution.staged import through_stages
from delaytool.models.convolution.transform import through_transform

# name: (steps, batch, n_in, n_out, taps, whether its input gets a gradient)
LAYERS = {
    "published, first, 1,024 delays": (1127, 256, 700, 256, 1024, False),
    "published, second, 1,024 delays": (1127, 256, 256, 256, 1024, True),
    "published, first, 64 delays": (1127, 256, 700, 256, 64, False),
    "published, second, 64 delays": (1127, 256, 256, 256, 64, True),
    "published, second, 64 delays, 512 neurons": (1127, 256, 512, 512, 64, True),
    "SHD, second": (112, 256, 256, 256, 25, True),
    "SSC, second": (115, 128, 512, 512, 31, True),
}
TINY = {"tiny": (40, 3, 8, 6, 12, True)}
ROUNDS = 5
FORMS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {"one": through_transform, "two stages": through_stages}


def forms(context: Context) -> Iterator[Row]:
    """Rows of (layer, precision): milliseconds of each form, the largest difference between them, peak memory."""
    for name, sizes in (TINY if context.tiny else LAYERS).items():
        for precision in ("float32", "tf32"):
            if context.allows(f"forms of {name} in {precision}", 5.0):
                torch.set_float32_matmul_precision(PRECISIONS[precision])
                yield {"layer": name, "precision": precision, **_measured(*sizes, context.device)}
                free_memory(context.device)


def _measured(steps: int, batch: int, n_in: int, n_out: int, size: int, input_grad: bool, device: str) -> Row:
    generator = torch.Generator(device).manual_seed(0)
    x = torch.empty(steps, batch, n_in, dtype=torch.uint8, device=device).bernoulli_(0.05, generator=generator)
    x = x.float().requires_grad_() if input_grad else x
    kernel = (torch.randn(n_out, n_in, size, device=device, generator=generator) / size).requires_grad_()
    grad = torch.randn(steps, batch, n_out, device=device, generator=generator)
    row: Row = {}
    results = {}
    for name, form in FORMS.items():
        free_memory(device)
        before = torch.cuda.memory_allocated() if device == "cuda" else 0
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        taken = []
        for _ in range(ROUNDS):
            x.grad = kernel.grad = None
            begin = _now(device)
            out = form(x, kernel, steps)
            out.backward(grad)
            taken.append(_now(device) - begin)
        results[name] = (out.detach(), kernel.grad)
        row[f"{name}, ms"] = 1e3 * sorted(taken[1:])[len(taken[1:]) // 2]
        if device == "cuda":
            row[f"{name}, peak MiB"] = (torch.cuda.max_memory_allocated() - before) / 2**20
        del out
    pairs = zip(results["one"], results["two stages"], strict=True)
    row["largest_difference"] = max(float((a - b).abs().max() / a.abs().max()) for a, b in pairs)
    return row


def _now(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()
