"""`delaytool sweep`."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from delaytool.commands.completion import complete_recipes, complete_settings
from delaytool.commands.console import echo, print_wrapped
from delaytool.commands.idle_options import refuse_idle
from delaytool.commands.many_runs_options import ManyRuns, many_runs_options
from delaytool.commands.quiet import quiet_option
from delaytool.commands.recipe_verb import RecipeVerb

if TYPE_CHECKING:
    from delaytool.experiments.sweep.folder import SweepFolder
    from delaytool.experiments.sweep.results import Results


@click.command("sweep", cls=RecipeVerb)
@click.argument("recipe", required=False, shell_complete=complete_recipes)
@click.option(
    "--over", multiple=True, metavar="KEY=VALUES", shell_complete=complete_settings,
    help="A key and its values: 10..60, 0..1..0.25 (with a step), or a,b,c. May be repeated.",
)  # fmt: skip
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder of the sweep; default: sweeps/NAME.")
@many_runs_options
@click.option(
    "--table",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Show the results of an existing sweep, and train nothing.",
)
@quiet_option()
def command(
    recipe: str | None,
    over: tuple[str, ...],
    output: Path | None,
    many: ManyRuns,
    table: Path | None,
    quiet: bool,
) -> None:
    """Train RECIPE with every combination of the values that --over names.

    Given again, the same command goes on after Ctrl-C; given on other machines with the same folder, it shares the work
    with them. A finished run is never trained again; more values of the same keys extend the sweep. Exits with 1 if a
    run failed. With protocol=cross-validated every setting is trained fold by fold, the mean of the folds chooses one,
    and that one is trained on all samples and tested.
    """
    from delaytool.experiments.sweep.folder import SweepFolder
    from delaytool.experiments.sweep.job import Train

    if table is not None:
        if recipe or over or output or many.are_chosen:
            raise click.UsageError("--table shows an existing sweep; leave out the recipe and other options")
        refuse_idle("jobs", why="--table trains nothing")
        _refuse_another_purpose(table)
        sys.exit(_show(SweepFolder(table, Train())))
    if recipe is None or not over:
        raise click.UsageError("give a recipe and what to sweep: delaytool sweep digits --over seed=0..4")

    from delaytool.commands.idle_keys import show_idle_sweep
    from delaytool.commands.sweep_progress import run_sweep
    from delaytool.experiments.cross_validation.hyperparameters import with_folds
    from delaytool.experiments.sweep.combinations import combinations

    settings = combinations(recipe, over, many.settings())
    show_idle_sweep(settings)
    settings = with_folds(many.fitting(settings))
    path = output or Path("sweeps") / settings[0].recipe.name
    hint = f"give the same command again to go on; results so far: delaytool sweep --table {quote(str(path))}"
    folder = run_sweep(path, Train(), settings, jobs=many.jobs, retry_failed=many.retry_failed, hint=hint, quiet=quiet)
    _train_chosen(folder, many, hint, quiet)
    sys.exit(_show(folder))


def _refuse_another_purpose(folder: Path) -> None:
    """Raise SweepError where the runs of a folder are no sweep's."""
    from delaytool.errors import SweepError
    from delaytool.experiments.measure_run import Measure
    from delaytool.experiments.sweep.folder import SweepFolder
    from delaytool.experiments.sweep.job import Train

    purpose = SweepFolder.purpose_at(folder, "sweep")
    if Measure.target_of(purpose) is not None:
        raise SweepError(
            f"{folder}: holds a comparison, not a sweep; show it with: delaytool compare --page {quote(str(folder))}"
        )
    if purpose not in ("", Train.purpose):
        raise SweepError(f"{folder}: its runs are to {purpose}; give the folder of a sweep")


def _train_chosen(folder: SweepFolder, many: ManyRuns, hint: str, quiet: bool) -> None:
    """Of a cross-validated sweep train the setting that the folds have chosen on all samples, once per seed."""
    from delaytool.commands.sweep_progress import run_sweep
    from delaytool.experiments.cross_validation.hyperparameters import CHOSEN, TrainChosen
    from delaytool.experiments.sweep.results import chosen_setting, gather
    from delaytool.experiments.sweep.setting import format_value

    chosen = chosen_setting(gather(folder))
    if chosen is None:
        return
    settings = [one.final for one in chosen.folded]
    job = TrainChosen({one.final.name: one.choice for one in chosen.folded})
    values = ", ".join(f"{key}={format_value(value)}" for key, value in chosen.values.items()) or "the recipe"
    if not quiet:
        echo(f"chosen by the mean of the folds: {values}; now trained on all samples, and tested")
    path = folder.path / CHOSEN
    run_sweep(path, job, settings, jobs=many.jobs, retry_failed=many.retry_failed, hint=hint, quiet=quiet)


def _show(folder: SweepFolder) -> int:
    """Print the table and write files and the picture; returns the exit code."""
    from delaytool.commands.console import PlainConsole, styled
    from delaytool.commands.tables import sweep_table
    from delaytool.commands.warnings import show_warnings
    from delaytool.experiments.sweep.results import gather, write_tables
    from delaytool.experiments.sweep.same_data import changed_data
    from delaytool.report import rows

    results = gather(folder)
    console = PlainConsole()
    console.print(sweep_table(results))
    if results.are_cross_validated or results.chose_on_test:
        console.print(rows.sweep_note(results))
    for run in results.runs:
        if run.state == "failed":
            console.print(styled("bold red", "failed", f": {run.setting.name}: {run.error}"))
    unfinished = [f"{count} {state}" for state in ("running", "waiting") if (count := results.count(state))]
    if unfinished:
        console.print(f"not finished: {', '.join(unfinished)}")
    show_warnings(changed_data(results.runs))
    written = write_tables(results, folder.path)
    print_wrapped(f"tables: {', '.join(map(str, written))}")
    _draw(results, folder)
    echo(f"runs: {folder.path / 'runs'}    export one with: delaytool export RUN")
    return 1 if results.count("failed") or _final_failed(folder) else 0


def _final_failed(folder: SweepFolder) -> bool:
    """Whether a training of what folds have chosen failed, which is then named."""
    from delaytool.experiments.cross_validation.hyperparameters import CHOSEN, TrainChosen
    from delaytool.experiments.sweep.folder import SweepFolder

    if not SweepFolder.has_journal(folder.path / CHOSEN):
        return False
    chosen = SweepFolder(folder.path / CHOSEN, TrainChosen({}))
    done = {setting.name for setting in chosen.journal.settings() if chosen.is_done(setting)}
    errors = {name: error for name, error in chosen.journal.errors().items() if name not in done}
    for name, error in errors.items():
        echo(f"failed: {CHOSEN}/runs/{name}: {error}", err=True)
    return bool(errors)


def _draw(results: Results, folder: SweepFolder) -> None:
    """The page and the picture, where what draws them is installed."""
    from delaytool.errors import MissingExtraError

    try:
        from delaytool.report.sweep_figure import write_figure
        from delaytool.report.sweep_page import write_page
    except ModuleNotFoundError as error:
        if error.name not in ("matplotlib", "jinja2", "markupsafe"):
            raise
        print_wrapped(f"no page and no picture: {MissingExtraError('it', error.name, 'plots')}")
        return
    page, picture = folder.path / "sweep.html", folder.path / "results.png"
    write_page(results, folder, page)
    drawn = f"    picture: {picture}" if write_figure(results, picture) else ""
    print_wrapped(f"page: {page}{drawn}")
