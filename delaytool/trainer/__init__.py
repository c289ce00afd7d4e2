"""From a recipe to a run folder. Training needs PyTorch; recipes and run folders do not, so names load when used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delaytool.trainer.checkpoint import Checkpoint
    from delaytool.trainer.loop import train
    from delaytool.trainer.recipe import Recipe, load_recipe, preset_names
    from delaytool.trainer.run_folder import RunFolder

__all__ = ["Checkpoint", "Recipe", "RunFolder", "load_recipe", "preset_names", "train"]

_PLACES = {
    "Checkpoint": "checkpoint",
    "Recipe": "recipe",
    "RunFolder": "run_folder",
    "load_recipe": "recipe",
    "preset_names": "recipe",
    "train": "loop",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PLACES[name]}"), name)
