"""A run is a folder: recipe, environment, metrics, checkpoints, summary."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import torch

from delaytool import __version__
from delaytool.errors import CheckpointError
from delaytool.files import atomic_path
from delaytool.trainer.recipe import Recipe


class RunFolder:
    """Names and small files of a run."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.recipe = self.path / "recipe.toml"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.jsonl"
        self.tensorboard = self.path / "tensorboard"
        self.best = self.path / "best.pt"
        self.last = self.path / "last.pt"
        self.summary = self.path / "summary.json"

    def create(self, recipe: Recipe) -> None:
        """Make the folder. Raises CheckpointError where a run is there already."""
        if self.last.exists() or self.recipe.exists():
            raise CheckpointError(
                f"{self.path}: a run is there already; go on with it by --resume, or give another folder with -o"
            )
        if self.path.exists() and not self.path.is_dir():
            raise CheckpointError(f"{self.path}: this is a file; give a folder with -o")
        self.path.mkdir(parents=True, exist_ok=True)
        write_text(self.recipe, recipe.to_toml())
        write_json(self.environment, environment(recipe))

    def read_metrics(self) -> list[dict[str, Any]]:
        """One dictionary an epoch."""
        if not self.metrics.exists():
            return []
        return [json.loads(line) for line in self.metrics.read_text().splitlines() if line.strip()]

    def append_metrics(self, line: dict[str, Any]) -> None:
        with self.metrics.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def cut_metrics(self, epochs: int) -> None:
        """Forget the epochs after the first `epochs`: a resumed run writes them again."""
        kept = [json.dumps(line) + "\n" for line in self.read_metrics() if line["epoch"] <= epochs]
        write_text(self.metrics, "".join(kept))

    def read_summary(self) -> dict[str, Any]:
        """What the finished run says of itself; empty while it has not ended."""
        return json.loads(self.summary.read_text()) if self.summary.exists() else {}

    def read_environment(self) -> dict[str, Any]:
        """What the run was made with; empty where the folder does not say."""
        return json.loads(self.environment.read_text()) if self.environment.exists() else {}


def environment(recipe: Recipe) -> dict[str, Any]:
    """What the run's bits depend on besides its recipe."""
    return {
        "delaytool": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": recipe.trainer.threads or torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "seed": recipe.seed,
    }


def write_text(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=2) + "\n")
