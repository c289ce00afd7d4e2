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
@click.option("--data", help="The data; short for --set data.source=….")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipe.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Run folder to make.")
def command(checkpoint: Path, recipe: str, data: str | None, overrides: tuple[str, ...], output: Path) -> None:
    """Make a run of CHECKPOINT, a state_dict that Thvnvtos/SNN-delays saved, so that it can be exported.

    Layers, taps and batch norm are read from the file; tau, max_delay and the binning are the recipe's word.
    """
    from delaytool.accuracy_errors import told
    from delaytool.trainer import RunFolder, load_recipe
    from delaytool.trainer.data import load_data
    from delaytool.trainer.evaluation import evaluate
    from delaytool.trainer.snn_delays import checkpoint_of, read_snn_delays, recipe_of

    model = read_snn_delays(checkpoint)
    source = [] if data is None else [f"data.source='{data}'"]
    loaded_recipe = recipe_of(model, load_recipe(recipe, [*overrides, *source]))
    loaded = load_data(loaded_recipe)
    made = checkpoint_of(model, loaded_recipe, loaded)
    judged = evaluate(made.network(), loaded.test.frames, loaded.test.labels, loaded_recipe.trainer.batch_size)
    folder = RunFolder(output)
    folder.create(loaded_recipe)
    made.save(folder.best)
    sizes = "-".join(str(size) for size in model.sizes)
    echo(f"{checkpoint}: {sizes}, {model.taps} tap(s) a synapse, sigma {model.sigma:g}")
    echo(f"test accuracy with rounded delays: {told(judged.accuracy, len(loaded.test))} ({len(loaded.test)} samples)")
    echo(f"run: {output}    next: delaytool export {output} --target loihi2")
