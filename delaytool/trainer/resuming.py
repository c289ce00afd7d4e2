"""Resuming a run: its recipe and checkpoint, and whether they belong together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from delaytool.datasets.spec import absolute_source
from delaytool.errors import CheckpointError, first_line
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import changed_parts
from delaytool.trainer.recipe import Recipe, all_values
from delaytool.trainer.run_folder import RunFolder


@dataclass(frozen=True)
class Begun:
    """A run's recipe and its latest checkpoint; saved is None before the first epoch has ended."""

    recipe: Recipe | None
    saved: Checkpoint | None = None


def begun_run(run: RunFolder) -> Begun:
    """The state that an interrupted run goes on from. Raises CheckpointError without a usable one, RecipeError.

    last.pt is the latest state. A run that was killed in its first epoch, between the two checkpoints, has best.pt
    alone, which is the same state.
    """
    recipe = run.load_recipe() if run.is_run else None
    saved = next((Checkpoint.load(path) for path in (run.last, run.best) if path.exists()), None)
    if saved is None:
        return Begun(recipe)
    if not saved.optimizers:
        raise CheckpointError(f"{run.path}: an imported run, whose training cannot be resumed; train a new one")
    if recipe is not None:
        _refuse_another_recipe(run, recipe, saved.recipe)
    return Begun(saved.recipe, saved)


def _refuse_another_recipe(run: RunFolder, written: Recipe, begun: Recipe) -> None:
    now, before = all_values(written), all_values(begun)
    for key in before:
        if now[key] != before[key]:
            raise CheckpointError(
                f"{run.recipe}: {key} is {now[key]!r}, but the run began with {before[key]!r}, "
                "and a run is resumed with its own recipe; undo that, or train a new run: "
                f"delaytool train {quote(str(run.recipe))} -o OTHER"
            )


def with_moved_data(recipe: Recipe, source: str, run: RunFolder, saved: Checkpoint | None) -> Recipe:
    """The recipe with its data at another place. Raises CheckpointError where nothing shows that they are the same."""
    if saved is None or not saved.data:
        raise CheckpointError(
            f"{run.path}: no checkpoint records what its data were, so data at another place cannot be compared with "
            f"them; put the data back ({recipe.data.source}), or train a new run"
        )
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"source": absolute_source(source)})})


def begun_data(run: RunFolder, recipe: Recipe, saved: Checkpoint | None) -> Mapping[str, str]:
    """Digests of the data that the run, or the folds that chose its epoch, began with; empty where there are none."""
    if saved is not None:
        return saved.data
    return run.read_folds_data() if recipe.protocol == "cross-validated" and not recipe.is_fold else {}


def refuse_other_data(run: RunFolder, begun: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Raise CheckpointError where the data are not those that the run began with.

    begun, now   digests by part (`digests_of`); begun is empty in runs of earlier versions, which are not checked
    """
    changed = changed_parts(begun, now)
    if changed:
        in_memory = (
            " (real numbers, which earlier versions kept as 16 bit floats, as float16)" if run.data_in_memory else ""
        )
        raise CheckpointError(
            f"{run.path}: frames or labels of the {' and '.join(changed)} part are not those that the run began with, "
            f"and a run is resumed with its own data; put these back{in_memory}, or train a new run"
        )


@contextmanager
def refusing_what_does_not_fit(folder: Path) -> Iterator[None]:
    """Turn PyTorch's errors for a state that is not this recipe's into CheckpointError."""
    try:
        yield
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise CheckpointError(
            f"{folder}: the checkpoint's state does not fit its recipe ({first_line(error)}); train again"
        ) from None
