"""How a cross-validated run begins, and how an interrupted one is recognized. Needs no queue."""

from __future__ import annotations

from pathlib import Path

from delaytool.datasets import Splits
from delaytool.digests import write_signed_json, write_signed_toml
from delaytool.errors import RecipeError
from delaytool.files import require_writable_folder
from delaytool.trainer.data import TrainingData, digests_of, load_data
from delaytool.trainer.impossible_settings import refuse_impossible_settings
from delaytool.trainer.loop import training_device
from delaytool.trainer.recipe import Recipe
from delaytool.trainer.resuming import refuse_other_data
from delaytool.trainer.run_folder import RunFolder


def begin_folds(folder: Path, recipe: Recipe, data: TrainingData) -> None:
    """Make the folder of a run whose epoch is yet to be chosen. Raises CheckpointError where a run is there already.

    data: what folds are cut from. Its digests are kept, and its class names, by which a program that goes on numbers
    the labels of data in memory in the same way.
    """
    run = RunFolder(folder)
    run.refuse_existing()
    require_writable_folder(folder)
    run.folds_folder.mkdir(parents=True, exist_ok=True)
    run.class_names.unlink(missing_ok=True)
    run.keep_class_names(data.class_names)
    write_signed_json(run.folds_data, digests_of(data))
    write_signed_toml(run.folds_recipe, recipe.to_toml())


def load_checked_data(recipe: Recipe, splits: Splits | None = None) -> TrainingData:
    """The data that folds are cut from. Raises DelaytoolError for what every fold would be refused for."""
    training_device(recipe.trainer.device)
    data = load_data(recipe, data=splits)
    refuse_impossible_settings(recipe, data.encoding)
    return data


def require_begun_data(folder: Path, recipe: Recipe, splits: Splits | None = None) -> None:
    """Raise CheckpointError where the data are not those that the folds of a run began with."""
    run = RunFolder(folder)
    refuse_other_data(run, run.read_folds_data(), digests_of(load_checked_data(recipe, splits)))


def begun_folds(folder: Path) -> Recipe | None:
    """The recipe whose folds have been begun in a folder and are not over; None where the run itself has begun."""
    run = RunFolder(folder)
    return run.load_folds_recipe() if run.has_folds and not run.is_run else None


def refuse_several_processes(size: int) -> None:
    """Raise RecipeError under torchrun, whose processes would each train all folds."""
    if size > 1:
        raise RecipeError(
            f"protocol 'cross-validated' under torchrun ({size} processes): folds are trained side by side with "
            "--jobs; start it without torchrun"
        )
