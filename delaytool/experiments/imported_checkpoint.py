"""The checkpoint that a network of another program becomes."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from delaytool.errors import CheckpointError
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import TrainingData
from delaytool.trainer.recipe import Recipe


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
        class_names=data.one_name_per_class,
    )
