"""What `delaytool train` does and prints before a cross-validated run begins: its folds."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote

from delaytool.commands.chip_check import ChipCheck
from delaytool.commands.console import PlainConsole, echo, print_wrapped
from delaytool.commands.plain_table import plain_table
from delaytool.commands.sweep_progress import run_sweep
from delaytool.experiments.cross_validation.begin import (
    begin_folds,
    load_checked_data,
    refuse_several_processes,
    require_begun_data,
)
from delaytool.experiments.cross_validation.choice import EpochChoice
from delaytool.experiments.cross_validation.folds import TrainFold, choose_from_folds, chosen_recipe, fold_settings
from delaytool.report.cross_validation import FOLD_HEADINGS, describe_chosen_epoch, fold_rows
from delaytool.trainer.parallel import process_count
from delaytool.trainer.recipe import Recipe
from delaytool.trainer.run_folder import RunFolder


def train_folds(recipe: Recipe, folder: Path, chip: ChipCheck, *, resume: bool, jobs: int, quiet: bool) -> Recipe:
    """Train the folds that are not finished, with progress; returns the recipe of the training on all samples.

    Ctrl-C prints how to go on and exits with 130; where other processes still train folds, the last of them goes on,
    and this one exits with 0. Raises DelaytoolError, before anything is written for data that cannot be cut into folds.
    """
    refuse_several_processes(process_count())
    job, run = TrainFold(), RunFolder(folder)
    hint = f"go on with: delaytool train --resume {quote(str(folder))}"
    if resume:
        require_begun_data(folder, recipe)
    else:
        run.refuse_existing()
        data = load_checked_data(recipe)
        chip.before_training(recipe, data)
        begin_folds(folder, recipe, data)
    if not quiet:
        echo(f"protocol cross-validated: {recipe.data.folds} folds, then one training on all samples")
    sweep = run_sweep(
        run.folds_folder,
        job,
        fold_settings(recipe),
        jobs=jobs,
        retry_failed=True,
        hint=hint,
        quiet=quiet,
    )
    if others := sorted(sweep.at_work()):
        print_wrapped(
            f"not finished: another process trains {', '.join(others)}, and then goes on by itself to the training on "
            f"all samples; if it is stopped, {hint}"
        )
        sys.exit(0)
    choice = choose_from_folds(folder, recipe, job)
    print_choice(choice)
    return chosen_recipe(recipe, choice)


def print_choice(choice: EpochChoice) -> None:
    """A line per fold, and the epoch that their mean chooses."""
    console = PlainConsole()
    console.print(plain_table("", FOLD_HEADINGS, fold_rows(choice.as_dict())))
    console.print(describe_chosen_epoch(choice.as_dict()))
