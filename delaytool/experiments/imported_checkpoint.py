"""The checkpoint that a network of another program becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from delaytool.errors import CheckpointError, RecipeError
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
    expected = (data.encoding.n_channels, data.n_classes)
    for name, found, wanted in zip(("inputs", "outputs"), sizes, expected, strict=True):
        if found != wanted:
            raise CheckpointError(
                f"{origin} has {found} {name}, the data {wanted}; give the data that it was trained on "
                "and its data.channel_bins"
            )
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
