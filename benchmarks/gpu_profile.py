"""Which kernels take the time of a training step: PyTorch's profiler over one step of each workload."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from gpu_published import TINY, Sizes, training_step
from gpu_run import Context, Row
from gpu_steps import free_memory
from training_entrants import ENTRANTS, WORKLOADS

NEEDED_S = 15.0
SHOWN = 15


def profile(context: Context) -> Iterator[Row]:
    """Rows of (workload, kernel): calls, milliseconds on the device, and share of the step's sum.

    Steps are launched one by one here, which the profiler can follow; a recorded step runs the same kernels.
    """
    work = WORKLOADS["small" if context.tiny else "SHD"]
    sizes = TINY if context.tiny else Sizes()
    neurons, delays = (8, (4, 16)) if context.tiny else (256, (64, 1024))
    cases: dict[str, Callable[[], Callable[[], Any]]] = {
        f"{work.name}, forward and backward": lambda: ENTRANTS["ours"].make(
            work, float(work.max_delay // 2), context.device
        )
    }
    for count in delays:
        cases[f"published, {neurons} neurons, {count} delays"] = lambda count=count: (
            training_step(sizes, neurons, count, context.device, graphs=False).run
        )
    for name, make in cases.items():
        if not context.allows(f"the profile of {name}", NEEDED_S):
            continue
        ENTRANTS["ours"].set_up()
        step = make()
        yield from _kernels(name, step, context.device)
        del step
        free_memory(context.device)


def _kernels(name: str, step: Callable[[], Any], device: str) -> list[Row]:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiled

    for _ in range(2):
        step()
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device == "cuda" else [])
    with profiled(activities=activities) as seen:
        step()
        if device == "cuda":
            torch.cuda.synchronize()
    attribute = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    events = [event for event in seen.key_averages() if getattr(event, attribute) > 0]
    if device == "cuda":  # operators repeat the time of their kernels
        events = [event for event in events if event.device_type == torch.autograd.DeviceType.CUDA]
    total = sum(getattr(event, attribute) for event in events) or 1.0
    events.sort(key=lambda event: -getattr(event, attribute))
    rows: list[Row] = [
        {
            "workload": name,
            "kernel": "all",
            "calls": sum(event.count for event in events),
            "ms": total / 1e3,
            "share": 1.0,
        }
    ]
    rows += [
        {
            "workload": name,
            "kernel": event.key[:120],
            "calls": event.count,
            "ms": getattr(event, attribute) / 1e3,
            "share": getattr(event, attribute) / total,
        }
        for event in events[:SHOWN]
    ]
    return rows
