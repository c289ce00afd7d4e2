"""Folds, the choice, and the training on all samples, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from delaytool.datasets import Splits
from delaytool.experiments.cross_validation.begin import begin_folds, begun_folds, load_checked_data, require_begun_data
from delaytool.experiments.cross_validation.folds import TrainFold, choose_from_folds, chosen_recipe, fold_settings
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.processes import work_in_processes
from delaytool.experiments.sweep.worker import RunUpdate
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import Recipe
from delaytool.trainer.reporter import Reporter
from delaytool.trainer.run_folder import RunFolder


def cross_validate(
    recipe: Recipe | None,
    folder: Path,
    *,
    resume: bool = False,
    jobs: int = 1,
    reporter: Reporter | None = None,
    splits: Splits | None = None,
) -> dict[str, Any]:
    """Train a recipe of protocol 'cross-validated' into a run folder; returns the summary.

    The folds are run folders in `folds/runs`, trained `jobs` at a time. resume: go on with whatever is not done, with
    recipe None; splits are those that the run began with. Raises DelaytoolError.
    """
    run = RunFolder(folder)
    if resume:
        recipe = begun_folds(folder)
        if recipe is None:  # the folds are over
            return train(None, folder, resume=True, reporter=reporter, data=splits)
        require_begun_data(folder, recipe, splits)
    else:
        assert recipe is not None
        run.refuse_existing()
        begin_folds(folder, recipe, load_checked_data(recipe, splits))
    assert recipe is not None
    job = TrainFold(splits)
    sweep = SweepFolder(run.folds_folder, job)
    sweep.queue(fold_settings(recipe), retry_failed=True)
    sweep.free_abandoned()
    work_in_processes(run.folds_folder, job, _ignore, jobs)
    choice = choose_from_folds(folder, recipe, job)
    return train(chosen_recipe(recipe, choice), folder, reporter=reporter, data=splits)


def _ignore(update: RunUpdate) -> None:
    """Nobody watches the folds of a program."""
