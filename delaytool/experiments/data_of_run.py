"""The data of a trained run, read again."""

from __future__ import annotations

from collections.abc import Callable

from delaytool.datasets import Splits
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import TrainingData, changed_parts, digests_of, load_data


def data_of_run(
    saved: Checkpoint,
    place: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    data: Splits | TrainingData | None = None,
) -> tuple[TrainingData, tuple[str, ...]]:
    """A checkpoint's data as its frames, and warnings where they are not what the run was trained and tested on.

    place      where the data are now; None: where the recipe states
    progress   called with (what, done, of how many)
    data       the data, where they are in memory
    Runs of versions that kept no digests of their data are not compared. Raises DataError.
    """
    recipe = saved.recipe
    if place is not None:
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"source": place})})
    loaded = load_data(recipe, saved.encoding, progress, data)
    changed = changed_parts(saved.data, digests_of(loaded)) if saved.data else []
    if not changed:
        return loaded, ()
    where = recipe.data.source if data is None else "the data in memory"
    return loaded, (
        f"{where}: frames or labels of the {' and '.join(changed)} part are not those of the run's training, so what "
        "is chosen and measured on them is of other samples",
    )
