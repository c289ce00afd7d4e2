"""From a NIR file of another tool to a run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from delaytool.adapters.nir import parameters_of, settings_of
from delaytool.experiments.imported_checkpoint import imported_checkpoint, refuse_other_data, refuse_other_values
from delaytool.files import require_writable_folder
from delaytool.formats.nir.float_network import FloatNetwork, float_network
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import TrainingData, load_data
from delaytool.trainer.evaluation import evaluate
from delaytool.trainer.recipe import Recipe, load_recipe, validated, with_overrides
from delaytool.trainer.run_folder import RunFolder

if TYPE_CHECKING:
    import nir


@dataclass(frozen=True)
class ImportedRun:
    """What became a run: the graph's layers, and how they do on the test samples with rounded delays (0..1).

    warnings   of the data
    """

    network: FloatNetwork
    timing: str
    accuracy: float
    samples: int
    warnings: tuple[str, ...] = ()

    @property
    def sizes(self) -> str:
        return "-".join(map(str, (self.network.n_channels, *(layer.n_neurons for layer in self.network.layers))))


def import_nir_run(
    graph: nir.NIRGraph,
    output: Path,
    *,
    recipe: str,
    overrides: Sequence[str],
    time_step_ms: float,
    time_unit: str = "s",
    progress: Callable[[str, int, int], None] | None = None,
) -> ImportedRun:
    """Make a run of a float graph, which `export` can calibrate on the recipe's data. Raises DelaytoolError.

    recipe, overrides   whose data, seed and training settings the run has; the model is the graph's, which no override
                        may contradict
    time_step_ms        length of a step, to which the data are binned too
    time_unit           of the file's times: 's', 'ms' or 'step'
    """
    folder = RunFolder(output)
    folder.refuse_existing()
    require_writable_folder(output)
    network = float_network(graph, time_step_ms=time_step_ms, time_unit=time_unit)
    wanted = load_recipe(recipe, overrides)
    binned = with_overrides(wanted, {"data.time_step_ms": time_step_ms})
    refuse_other_values("--time-step-ms", overrides, wanted, binned)
    loaded = recipe_of(network, binned)
    refuse_other_values("the graph", overrides, binned, loaded)
    refuse_other_data("the graph", _sizes(network), loaded)
    data = load_data(loaded, None, progress)
    made = checkpoint_of(network, loaded, data)
    found = evaluate(made.network(), data.test.frames, data.test.labels, loaded.trainer.batch_size)
    with folder.locked():
        # The recipe comes last: where this is killed, there is no run yet, which --resume would train.
        made.save(folder.best)
        folder.create(loaded, data.class_names)
    return ImportedRun(network, loaded.model.timing, found.accuracy, len(data.test), tuple(data.warnings))


def recipe_of(network: FloatNetwork, recipe: Recipe) -> Recipe:
    """The recipe with what the graph decides of the model. Raises CheckpointError, RecipeError."""
    values = recipe.model_dump(mode="json")
    values["model"] |= settings_of(network)
    return validated(values, "import")


def checkpoint_of(network: FloatNetwork, recipe: Recipe, data: TrainingData) -> Checkpoint:
    """The graph's numbers as a checkpoint of delaytool. Raises CheckpointError where the data do not fit the graph."""
    return imported_checkpoint("the graph", _sizes(network), recipe, data, lambda: parameters_of(network, recipe.model))


def _sizes(network: FloatNetwork) -> tuple[int, int]:
    return network.n_channels, network.layers[-1].n_neurons
