"""Import all that a child may need, once: a child that is forked afterwards starts in milliseconds."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import torch
from campaign.generator import random_case
from campaign.package import frames_of, network_of

import delaytool
from delaytool.runtime import engine

OF_LIBRARIES = (
    "sklearn.datasets",
    "matplotlib.figure",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg",
    "matplotlib.mathtext",
    "jinja2",
    "soundfile",
    "scipy.signal",
    "torch.utils.tensorboard",
    "torch._dynamo",
    "optuna",
    "filelock",
    "rich.progress",
)


def import_everything() -> None:
    """Every module of the package but Lava's worker, the libraries that commands load late, the engine's kernels."""
    torch.set_num_threads(1)
    for module in pkgutil.walk_packages(delaytool.__path__, "delaytool."):
        if "_worker" not in module.name and not module.name.endswith("__main__"):  # workers run elsewhere
            try:
                importlib.import_module(module.name)
            except ImportError:  # of an extra that is not installed
                continue
    for name in OF_LIBRARIES:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    description, frames = random_case(3)
    network = network_of(description)
    for method in ("event", "batched"):
        engine.run(network, frames_of(description, frames).astype(np.uint8), method=method, threads=1)
