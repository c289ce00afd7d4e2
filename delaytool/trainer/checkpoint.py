"""Checkpoints: all that a run needs to go on to the same bits, and all that the exporter needs."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import dataclass
from typing import Any

import torch

from delaytool.errors import CheckpointError
from delaytool.files import atomic_path
from delaytool.models.delay_network import DelayNetwork
from delaytool.models.grid import Grid
from delaytool.network import InputEncoding
from delaytool.trainer.recipe import Recipe, validated

SCHEMA = "delaytool-checkpoint"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch.

    epoch       epochs done
    sigma       the width that the last epoch was trained with; None: single taps
    optimisers  state dicts of the optimisers and their schedules; empty where only the network was kept
    progress    the best validation accuracy so far, what the width goes by and the like (plain values)
    grid        the integers that the network is trained through; None: floats
    """

    recipe: Recipe
    encoding: InputEncoding
    n_classes: int
    epoch: int
    sigma: float | None
    model: dict[str, torch.Tensor]
    optimisers: list[dict[str, Any]]
    progress: dict[str, Any]
    split: str
    grid: Grid | None = None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it whole or not at all, in a form that `torch.load(weights_only=True)` reads."""
        content = {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "recipe": self.recipe.model_dump_json(),
            "encoding": json.dumps(self.encoding.as_dict()),
            "grid": None if self.grid is None else json.dumps(self.grid.as_dict()),
            **{name: getattr(self, name) for name in _PLAIN},
        }
        with atomic_path(path) as temporary:
            torch.save(content, temporary)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Checkpoint:
        """Raises CheckpointError for a file that is missing, foreign, damaged or holds NaN."""
        content = read_torch_file(path)
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise CheckpointError(f"{path}: not a delaytool checkpoint; give a run folder that `delaytool train` made")
        if content.get("schema_version") != SCHEMA_VERSION:
            raise CheckpointError(
                f"{path}: checkpoint schema version {content.get('schema_version')} is unknown to this delaytool, "
                f"which reads version {SCHEMA_VERSION}; train again, or install the version that wrote it"
            )
        grid = content.get("grid")
        try:
            checkpoint = Checkpoint(
                recipe=validated(json.loads(content["recipe"]), str(path)),
                encoding=InputEncoding(**json.loads(content["encoding"])),
                grid=None if grid is None else Grid.from_dict(json.loads(grid)),
                **{name: content[name] for name in _PLAIN},
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path}: the checkpoint is damaged (lacks {error}); train again") from None
        refuse_nan(checkpoint.model, path)
        return checkpoint

    def network(self) -> DelayNetwork:
        """The float network with the checkpoint's parameters and grid, in evaluation mode, on the CPU."""
        model = DelayNetwork(self.encoding.n_channels, self.n_classes, self.recipe.model)
        try:
            model.load_state_dict(self.model)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise CheckpointError(f"the checkpoint's parameters do not fit its recipe ({reason})") from None
        model.grid = self.grid
        return model.eval()


_PLAIN = ("n_classes", "epoch", "sigma", "model", "optimisers", "progress", "split")


def read_torch_file(path: str | os.PathLike[str]) -> Any:
    """What a file written by torch.save holds, read without running code. Raises CheckpointError."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint; give a run folder that `delaytool train` made") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(f"{path}: not a readable PyTorch checkpoint ({reason[:120]})") from None


def refuse_nan(parameters: dict[str, torch.Tensor], path: str | os.PathLike[str]) -> None:
    """Raise CheckpointError where a parameter is not finite."""
    for name, tensor in parameters.items():
        bad = int((~torch.isfinite(tensor)).sum()) if tensor.is_floating_point() else 0
        if bad:
            raise CheckpointError(
                f"{path}: {name} has {bad} values that are NaN or infinite; "
                "training diverged: train again with a lower trainer.lr, or take an earlier checkpoint"
            )
