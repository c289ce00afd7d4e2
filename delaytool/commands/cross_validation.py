"""What `delaytool train` does and prints before a cross-validated run begins: its folds."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

from delaytool.commands.chip_check import ChipCheck
from delaytool.commands.console import PlainConsole, echo
from delaytool.commands.plain_table import plain_table
from delaytool.commands.sweep_progress import run_sweep
from delaytool.experiments.cross_validation.begin import begin_folds, load_checked_data, refuse_several_processes
from delaytool.experiments.cross_validation.choice import EpochChoice
from delaytool.experiments.cross_validation.folds import TrainFold, choose_from_folds, chosen_recipe, fold_settings
from delaytool.report.cross_validation import FOLD_HEADINGS, describe_choice, fold_rows
from delaytool.trainer.parallel import process_count
from delaytool.trainer.recipe import Recipe
from delaytool.trainer.run_folder import RunFolder


def train_folds(recipe: Recipe, folder: Path, chip: ChipCheck, *, resume: bool, jobs: int, quiet: bool) -> Recipe:
    """Train the folds that are not finished, with progress; returns the recipe of the training on all samples.

    Ctrl-C prints how to go on and exits with 130. Raises DelaytoolError, before anything is written for data that
    cannot be cut into folds.
    """
    refuse_several_processes(process_count())
    job, run = TrainFold(), RunFolder(folder)
    if not resume:
        run.refuse_existing()
        chip.before_training(recipe, load_checked_data(recipe))
        begin_folds(folder, recipe)
    if not quiet:
        echo(f"protocol cross-validated: {recipe.data.folds} folds, then one training on all samples")
    run_sweep(
        run.folds_folder,
        job,
        fold_settings(recipe),
        jobs=jobs,
        retry_failed=True,
        hint=f"go on with: delaytool train --resume {quote(str(folder))}",
        quiet=quiet,
    )
    choice = choose_from_folds(folder, recipe, job)
    print_choice(choice)
    return chosen_recipe(recipe, choice)


def print_choice(choice: EpochChoice) -> None:
    """A line per fold, and the epoch that their mean chooses."""
    console = PlainConsole()
    table = plain_table("", FOLD_HEADINGS)
    for row in fold_rows(choice.as_dict()):
        table.add_row(*row)
    console.print(table)
    console.print(describe_choice(choice.as_dict()))
