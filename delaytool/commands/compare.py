"""`delaytool compare`."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from delaytool.commands.completion import complete_recipes, complete_targets
from delaytool.commands.console import print_wrapped
from delaytool.commands.idle_options import refuse_idle
from delaytool.commands.many_runs_options import ManyRuns, many_runs_options
from delaytool.commands.quiet import quiet_option
from delaytool.commands.recipe_verb import RecipeVerb

if TYPE_CHECKING:
    from delaytool.experiments.sweep.folder import SweepFolder
    from delaytool.experiments.sweep.setting import Setting


@click.command("compare", cls=RecipeVerb)
@click.argument("recipes", nargs=-1, shell_complete=complete_recipes)
@click.option(
    "--seeds", type=click.IntRange(min=1), default=3, show_default=True, help="Train each recipe with seeds 0 to N - 1."
)
@click.option(
    "--speakers",
    metavar="VALUES",
    help="Hold out each of these speakers in turn, e.g. 0..3; validation is on the one held out.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder; default: comparisons/A-B-….")
@click.option(
    "--target", default="loihi2", show_default=True, shell_complete=complete_targets, help="Chip to export for."
)
@click.option(
    "--samples", type=click.IntRange(min=1), default=200, show_default=True,
    help="Compare bits on this many test samples, evenly spaced; accuracies are of all.",
)  # fmt: skip
@many_runs_options
@click.option(
    "--page",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write the page of an existing comparison, and train nothing.",
)
@quiet_option()
def command(
    recipes: tuple[str, ...],
    seeds: int,
    speakers: str | None,
    output: Path | None,
    target: str,
    samples: int,
    many: ManyRuns,
    page: Path | None,
    quiet: bool,
) -> None:
    """Train each of RECIPES with each seed, export it, run its integers on the test part, and write one page.

    Given again, the same command goes on after Ctrl-C; given on other machines with the same folder, it shares the work
    with them. More recipes and seeds extend the comparison. Exits with 1 if a run failed.
    """
    from delaytool.errors import DelaytoolError, SweepError
    from delaytool.experiments.measure_run import Measure, other_samples, record_answers
    from delaytool.experiments.sweep.folder import SweepFolder
    from delaytool.hw_configs import load_target
    from delaytool.report import comparison_page as _  # noqa: F401  a missing package is an error before training

    if page is not None:
        if recipes or speakers or output or many.are_chosen:
            raise click.UsageError("--page shows an existing comparison; leave out recipes and other options")
        refuse_idle("seeds", "target", "samples", "jobs", why="--page trains and measures nothing")
        known = Measure.target_of(SweepFolder.purpose_at(page, "comparison"))
        if known is None:
            raise SweepError(
                f"{page}: holds a sweep, not a comparison; show it with: delaytool sweep --table {quote(str(page))}"
            )
        sys.exit(_show(SweepFolder(page, Measure(known, samples)), known))
    if not recipes:
        raise click.UsageError("name the recipes to compare: delaytool compare digits my.toml --seeds 3")

    from delaytool.commands.sweep_progress import run_sweep

    load_target(target)
    settings = many.fitting(_settings(recipes, seeds, speakers, many.settings()))
    names = "-".join(dict.fromkeys(setting.family for setting in settings))
    path = output or Path("comparisons") / names[:80]
    hint = f"give the same command again to go on; results so far: delaytool compare --page {quote(str(path))}"
    folder = run_sweep(
        path, Measure(target, samples), settings, jobs=many.jobs, retry_failed=many.retry_failed, hint=hint, quiet=quiet
    )
    for setting in folder.journal.settings():
        # Where the data are no longer there, the pair is listed as not tested.
        with suppress(DelaytoolError):
            if folder.is_done(setting):
                record_answers(folder.run(setting))
    if sentence := other_samples(folder, samples):
        print_wrapped(sentence)
    sys.exit(_show(folder, target))


def _settings(recipes: tuple[str, ...], seeds: int, speakers: str | None, overrides: list[str]) -> list[Setting]:
    """Every recipe with every seed (and speaker), by seed first, so that all recipes have results soon."""
    from delaytool.errors import SweepError
    from delaytool.experiments.sweep.combinations import combinations
    from delaytool.experiments.sweep.results import SEED, SPEAKER
    from delaytool.experiments.sweep.setting import Setting
    from delaytool.report.comparison import METHOD

    names = [Path(recipe).stem if recipe.endswith(".toml") else recipe for recipe in recipes]
    for name in names:
        if names.count(name) > 1:
            raise SweepError(f"{name}: two recipes have this name; name each recipe once, or rename one file")
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key == SEED:
            raise SweepError(f"--set {override}: seeds are given by --seeds")
        if key == SPEAKER and speakers:
            raise SweepError(f"--set {override}: speakers are given by --speakers; leave one of them out")
    if speakers:
        _refuse_no_speakers(speakers)
    over = [f"{SEED}=0..{seeds - 1}"] + ([f"{SPEAKER}={speakers}"] if speakers else [])
    by_recipe = [
        [
            Setting({METHOD: name, **one.values}, one.recipe, family=name)
            for one in combinations(recipe, over, overrides)
        ]
        for name, recipe in zip(names, recipes, strict=True)
    ]
    return [setting for repeats in zip(*by_recipe, strict=True) for setting in repeats]


def _refuse_no_speakers(speakers: str) -> None:
    """Raise SweepError, in the words of this option, where it cannot be read."""
    from delaytool.errors import SweepError
    from delaytool.experiments.sweep.combinations import FORM, axis
    from delaytool.experiments.sweep.results import SPEAKER

    try:
        axis(f"{SPEAKER}={speakers}")
    except SweepError as error:
        why = str(error).removeprefix(f"--over {SPEAKER}={speakers}: ")
        form = "not of the form FIRST..LAST, FIRST..LAST..STEP or NUMBER,NUMBER,…"
        raise SweepError(f"--speakers {speakers}: {why.replace(FORM, form)}") from None


def _show(folder: SweepFolder, target: str) -> int:
    """Print the tables and write the files; returns the exit code."""
    from delaytool.commands.console import PlainConsole
    from delaytool.commands.tables import comparison_tables, pair_table
    from delaytool.report import comparison_pairs as pairs
    from delaytool.report import comparison_tables as tables
    from delaytool.report.comparison import comparison_of
    from delaytool.report.comparison_choice import describe_choice
    from delaytool.report.comparison_page import write_page

    comparison = comparison_of(folder, target)
    console = PlainConsole()
    accuracies, *others = comparison_tables(comparison)
    notes = [note for note in (tables.note_on_accuracies(comparison), describe_choice(comparison)) if note]
    console.print(accuracies, *notes, *others, sep="\n")
    if comparison.pairs.tests:
        console.print(pair_table(comparison), pairs.pair_note(comparison), sep="\n")
    for sentence in pairs.describe_pairs(comparison):
        console.print(sentence)
    for reason in tables.reasons(comparison):
        console.print(reason)
    written = tables.write_tables(comparison, folder.path)
    page = folder.path / "comparison.html"
    write_page(comparison, page)
    print_wrapped(f"page: {page}    tables: {', '.join(map(str, written))}")
    return 1 if any(run.state == "failed" for run in comparison.runs) else 0
