"""`delaytool import-snn-delays`."""

from __future__ import annotations

from pathlib import Path

import click

from delaytool.commands.console import echo


@click.command("import-snn-delays")
@click.argument("checkpoint", type=click.Path(path_type=Path))
@click.option(
    "--recipe", default="shd-2l-1kc", show_default=True, help="What it was trained with: data, tau, max_delay."
)
@click.option(
    "--interpolation",
    type=click.Choice(["gauss", "max"]),
    help="The version of its Dcls1d layers, which the file does not say: DCLSversion of the configuration that it was "
    "trained with.",
)
@click.option("--data", help="The data; short for --set data.source=….")
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
    from delaytool.accuracy_errors import told
    from delaytool.adapters.snn_delays import checkpoint_of, read_snn_delays, recipe_of
    from delaytool.commands.warnings import show_warnings
    from delaytool.errors import CheckpointError
    from delaytool.files import require_writable_folder
    from delaytool.trainer.data import load_data
    from delaytool.trainer.evaluation import evaluate
    from delaytool.trainer.recipe import load_recipe, override_of
    from delaytool.trainer.run_folder import RunFolder

    folder = RunFolder(output)
    folder.refuse_existing()
    require_writable_folder(output)
    model = read_snn_delays(checkpoint)
    if interpolation is None:
        raise CheckpointError(
            f"{checkpoint}: the file does not say whether its Dcls1d layers are of version 'gauss' or 'max' (names and "
            "shapes are the same); give --interpolation gauss or --interpolation max, which is DCLSversion in the "
            "configuration that it was trained with"
        )
    source = [] if data is None else [override_of("data.source", data)]
    loaded_recipe = recipe_of(model, load_recipe(recipe, [*overrides, *source]), interpolation)
    loaded = load_data(loaded_recipe)
    show_warnings(loaded.warnings)
    made = checkpoint_of(model, loaded_recipe, loaded)
    judged = evaluate(made.network(), loaded.test.frames, loaded.test.labels, loaded_recipe.trainer.batch_size)
    with folder.locked():
        # The recipe comes last: where this is killed, there is no run yet, which --resume would train.
        made.save(folder.best)
        folder.create(loaded_recipe)
    sizes = "-".join(str(size) for size in model.sizes)
    echo(f"{checkpoint}: {sizes}, {model.taps} tap(s) per synapse, {interpolation} of sigma {model.sigma:g}")
    echo(f"test accuracy with rounded delays: {told(judged.accuracy, len(loaded.test))} ({len(loaded.test)} samples)")
    echo(f"run: {output}    next: delaytool export {output} --target loihi2")
