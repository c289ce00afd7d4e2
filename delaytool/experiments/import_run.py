"""From another program's checkpoint to a run folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from delaytool.adapters.snn_delays import SnnDelaysModel, network_of, read_snn_delays, settings_of
from delaytool.errors import CheckpointError
from delaytool.experiments.imported_checkpoint import imported_checkpoint, refuse_other_data, refuse_other_values
from delaytool.files import require_writable_folder
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import TrainingData, load_data
from delaytool.trainer.evaluation import Evaluation, evaluate
from delaytool.trainer.recipe import Recipe, validated
from delaytool.trainer.run_folder import RunFolder


@dataclass(frozen=True)
class ImportedRun:
    """What was read, its evaluation on the test samples with rounded delays, and warnings about the data."""

    model: SnnDelaysModel
    evaluation: Evaluation
    warnings: tuple[str, ...]


def import_run(
    path: str | os.PathLike[str],
    recipe: Recipe,
    interpolation: str | None,
    output: Path,
    overrides: Sequence[str] = (),
) -> ImportedRun:
    """Make a run folder of a state_dict that Thvnvtos/SNN-delays saved.

    recipe          what the file does not hold: data, tau, max_delay
    interpolation   'gauss' or 'max', the version of its Dcls1d layers
    output          the run folder to make
    overrides       `key=value` that were set in the recipe, which the file must not decide otherwise
    Raises CheckpointError for a file that cannot be used, or without the interpolation; RecipeError; DataError.
    """
    folder = RunFolder(output)
    folder.refuse_existing()
    require_writable_folder(output)
    model = read_snn_delays(path)
    if interpolation is None:
        raise CheckpointError(
            f"{path}: the file does not record the version of its Dcls1d layers, 'gauss' or 'max' (names and "
            "shapes are the same); give --interpolation gauss or --interpolation max, which is DCLSversion in the "
            "configuration that it was trained with"
        )
    wanted, recipe = recipe, recipe_of(model, recipe, interpolation)
    refuse_other_values("the file", overrides, wanted, recipe)
    refuse_other_data("the file", _sizes(model), recipe)
    data = load_data(recipe)
    checkpoint = checkpoint_of(model, recipe, data)
    test, batch_size = data.test, recipe.trainer.batch_size
    evaluation = evaluate(checkpoint.network(), test.frames, test.labels, batch_size)
    with folder.locked():
        # The recipe comes last: if this is killed before, there is no run that --resume would train.
        checkpoint.save(folder.best)
        folder.create(recipe, data.class_names)
    return ImportedRun(model, evaluation, data.warnings)


def recipe_of(model: SnnDelaysModel, recipe: Recipe, interpolation: str) -> Recipe:
    """The recipe with the layers, taps, batch norm and bias that the file has. Raises RecipeError."""
    values = recipe.model_dump(mode="json")
    values["model"] |= settings_of(model, interpolation)
    return validated(values, "import")


def checkpoint_of(model: SnnDelaysModel, recipe: Recipe, data: TrainingData) -> Checkpoint:
    """The model as a checkpoint of delaytool. Raises CheckpointError where data or max_delay do not fit the file."""
    return imported_checkpoint(
        "the file", _sizes(model), recipe, data, lambda: dict(network_of(model, recipe.model).state_dict()), model.sigma
    )


def _sizes(model: SnnDelaysModel) -> tuple[int, int]:
    return model.sizes[0], model.sizes[-1]
