"""Training steps of delaytool and of the reference, in turns on the same card."""

from __future__ import annotations

import gc
import importlib.util
import statistics
from collections.abc import Iterator

import torch
from gpu_run import Context, Row
from train_step import interleaved, peak_memory, widths
from training_entrants import ENTRANTS, WORKLOADS, Workload

SIGMAS = ("start", "middle", "end")
OURS = ("ours, whole step", "ours, whole step, tf32", "ours", "ours, tf32")
REFERENCE = ("reference", "reference, float32")
NEEDED_S = 20.0  # of one size and width, with the reference


def steps(context: Context) -> Iterator[Row]:
    """Rows of (size, sigma, entrant): median and fastest seconds per step, peak memory, and times of the reference's.

    A row whose entrant cannot run states why.
    """
    sizes = ("small",) if context.tiny else ("SHD", "SSC")
    rounds = 1 if context.tiny else 7
    for name in sizes:
        for label in SIGMAS:
            if not context.allows(f"steps of {name} at sigma {label}", NEEDED_S):
                continue
            yield from _measured(WORKLOADS[name], label, context.device, rounds)


def _measured(work: Workload, label: str, device: str, rounds: int) -> list[Row]:
    sigma = widths(work)[label]
    rows: dict[str, Row] = {}
    made = {}
    for name in (*OURS, *REFERENCE):
        rows[name] = {"size": work.name, "sigma": f"{label} ({sigma:g})", "entrant": name}
        if name in REFERENCE and (missing := missing_reference()):
            rows[name]["note"] = f"not measured: {missing} is not installed"
            continue
        try:
            ENTRANTS[name].set_up()
            rows[name]["peak_mib"] = round(peak_memory(work, sigma, name, device), 1) if device == "cuda" else None
            made[name] = ENTRANTS[name].make(work, sigma, device)
        except (RuntimeError, ImportError, AttributeError) as error:
            rows[name]["note"] = f"not measured: {type(error).__name__}: {error}"
    seconds = interleaved(made, rounds, device)
    for name, taken in seconds.items():
        rows[name].update(
            median_ms=1e3 * statistics.median(taken), fastest_ms=1e3 * min(taken), rounds=len(taken), note=""
        )
    if "reference" in seconds:
        for name in seconds:
            ratio = statistics.median(seconds["reference"]) / statistics.median(seconds[name])
            rows[name]["times_as_fast_as_the_reference"] = ratio
    return list(rows.values())


def missing_reference() -> str:
    """The package of the reference that is not there, or nothing."""
    packages = {"dcls": "DCLS", "spikingjelly": "spikingjelly"}
    return next((name for name, module in packages.items() if importlib.util.find_spec(module) is None), "")


def free_memory(device: str) -> None:
    """Give back what PyTorch keeps of the memory of networks that are gone."""
    if device == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
