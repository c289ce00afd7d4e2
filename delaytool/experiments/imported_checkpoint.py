"""The checkpoint that a network of another program becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from delaytool.errors import CheckpointError, RecipeError
from delaytool.experiments.chip_fit import sizes_of
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import TrainingData
from delaytool.trainer.recipe import Recipe, all_values


def refuse_other_values(origin: str, overrides: Sequence[str], wanted: Recipe, made: Recipe) -> None:
    """Raise RecipeError where a key of `overrides` has got another value from what is imported.

    origin         what decides: 'the file', 'the graph', an option
    wanted, made   the recipe with the overrides, and that of the run
    """
    asked, values = all_values(wanted), all_values(made)
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in asked and asked[key] != values[key]:
            raise RecipeError(f"--set {override}: {origin} decides {key}, which is {values[key]!r}; leave it out")


def refuse_other_data(origin: str, sizes: tuple[int, int], recipe: Recipe) -> None:
    """Raise CheckpointError where data do not fit whose name states their sizes, before they are downloaded."""
    known = sizes_of(recipe)
    inputs = None if known.units is None else recipe.data.encoding(known.units).n_channels
    _check_sizes(origin, sizes, (inputs, known.classes), f" ({recipe.data.source})")


def _check_sizes(origin: str, sizes: tuple[int, int], expected: tuple[int | None, int | None], of: str = "") -> None:
    for name, found, wanted in zip(("inputs", "outputs"), sizes, expected, strict=True):
        if wanted not in (None, found):
            raise CheckpointError(
                f"{origin} has {found} {name}, the data {wanted}{of}; give the data that it was trained on "
                "and its data.channel_bins"
            )


def imported_checkpoint(
    origin: str,
    sizes: tuple[int, int],
    recipe: Recipe,
    data: TrainingData,
    parameters: Callable[[], dict[str, Tensor]],
    sigma: float | None = None,
) -> Checkpoint:
    """A checkpoint at the recipe's last epoch, that training cannot go on with.

    origin       what errors call the source: 'the file', 'the graph'
    sizes        of its input and its output
    parameters   makes the state of the recipe's DelayNetwork, once the sizes are known to fit
    Raises CheckpointError where the data do not fit the sizes.
    """
    _check_sizes(origin, sizes, (data.encoding.n_channels, data.n_classes))
    return Checkpoint(
        recipe=recipe,
        encoding=data.encoding,
        n_classes=data.n_classes,
        epoch=recipe.trainer.epochs,
        sigma=sigma,
        model=parameters(),
        optimizers=[],
        progress={},
        split=data.split,
    )
