"""What a measurement ran on: card, driver, versions, and which packages are missing."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Iterator

from gpu_run import Context, Row

# Distribution, the module that it brings, and what cannot run without it.
PACKAGES = (
    ("torch", "torch", "anything"),
    ("numpy", "numpy", "anything"),
    ("pydantic", "pydantic", "anything"),
    ("h5py", "h5py", "training"),
    ("tomli_w", "tomli_w", "training"),
    ("filelock", "filelock", "training"),
    ("tensorboard", "tensorboard", "training"),
    ("rich", "rich", "the command line"),
    ("click", "click", "the command line"),
    ("numba", "numba", "the integer engine, and convolutions on a CPU"),
    ("triton", "triton", "neurons in one kernel: they go step by step"),
    ("pytest", "pytest", "the tests"),
    ("dcls", "DCLS", "the reference"),
    ("spikingjelly", "spikingjelly.activation_based.neuron", "the reference"),
)


def environment(context: Context) -> Iterator[Row]:
    """Rows of (name, value, note)."""
    yield {"name": "Python", "value": platform.python_version(), "note": sys.executable}
    yield {"name": "system", "value": platform.platform(), "note": f"{os.cpu_count()} processors"}
    for distribution, module, without in PACKAGES:
        yield {"name": distribution, **_version(distribution, module, without)}
    if context.device != "cuda":
        yield {"name": "device", "value": context.device, "note": "no GPU: no time here says anything about one"}
        return
    import torch

    card = torch.cuda.get_device_properties(0)
    yield {
        "name": "card",
        "value": card.name,
        "note": f"{card.total_memory / 2**20:.0f} MiB, {card.multi_processor_count} multiprocessors, "
        f"compute capability {card.major}.{card.minor}",
    }
    yield {"name": "CUDA of PyTorch", "value": str(torch.version.cuda), "note": ""}
    yield {"name": "cuDNN", "value": str(torch.backends.cudnn.version()), "note": ""}
    yield {"name": "driver", **_driver()}


def _version(distribution: str, module: str, without: str) -> Row:
    try:
        importlib.import_module(module)
    except Exception as error:  # a package whose import fails otherwise is as good as missing
        return {"value": "missing", "note": f"needed for {without} ({type(error).__name__}: {error})"}
    try:
        return {"value": importlib.metadata.version(distribution), "note": ""}
    except importlib.metadata.PackageNotFoundError:
        return {"value": "there", "note": "without a version"}


def _driver() -> Row:
    query = ["nvidia-smi", "--query-gpu=driver_version,clocks.max.sm,power.limit", "--format=csv,noheader"]
    try:
        shown = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        return {"value": "unknown", "note": f"nvidia-smi: {error}"}
    version, *rest = shown.splitlines()[0].split(", ")
    return {"value": version, "note": ", ".join(rest)}
