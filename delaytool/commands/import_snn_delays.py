"""`delaytool import-snn-delays`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote

import click

from delaytool.commands.console import echo
from delaytool.commands.idle_options import settings_with_data


@click.command("import-snn-delays")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--recipe",
    default="shd-2l-1kc",
    show_default=True,
    help="Recipe with the data, tau and max_delay that the checkpoint was trained with.",
)
@click.option(
    "--interpolation",
    type=click.Choice(["gauss", "max"]),
    help="Version of the Dcls1d layers, which the file does not record: DCLSversion in the configuration that it was "
    "trained with.",
)
@click.option("--data", help="Data to evaluate on; short for --set data.source=….")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipe.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Run folder to make.")
def command(
    checkpoint: Path,
    recipe: str,
    interpolation: str | None,
    data: str | None,
    overrides: tuple[str, ...],
    output: Path,
) -> None:
    """Make a run of CHECKPOINT, a state_dict that Thvnvtos/SNN-delays saved, so that it can be exported.

    Layers, taps and batch norm are read from the file; tau, max_delay and the binning are the recipe's, and the version
    of Dcls1d has to be given by --interpolation.
    """
    from delaytool.accuracy_errors import format_accuracy
    from delaytool.commands.warnings import show_warnings
    from delaytool.experiments.import_run import import_run
    from delaytool.trainer.recipe import load_recipe

    wanted = load_recipe(recipe, settings_with_data(overrides, data))
    run = import_run(checkpoint, wanted, interpolation, output, overrides)
    show_warnings(run.warnings)
    sizes, taps, sigma = "-".join(map(str, run.model.sizes)), run.model.taps, run.model.sigma
    samples = len(run.evaluation.labels)
    echo(f"{checkpoint}: {sizes}, {taps} tap{'s' * (taps != 1)} per synapse, {interpolation} of sigma {sigma:g}")
    echo(f"test accuracy with rounded delays: {format_accuracy(run.evaluation.accuracy, samples)} ({samples} samples)")
    echo(f"run: {output}    next: delaytool export {quote(str(output))} --target loihi2")
