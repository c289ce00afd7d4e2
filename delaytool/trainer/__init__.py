"""From a recipe to a run folder. Needs PyTorch."""

from __future__ import annotations

from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import Recipe, load_recipe, preset_names
from delaytool.trainer.run_folder import RunFolder

__all__ = ["Checkpoint", "Recipe", "RunFolder", "load_recipe", "preset_names", "train"]
