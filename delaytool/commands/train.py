"""`delaytool train`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from delaytool.commands.console import echo
from delaytool.commands.recipe_verb import RecipeVerb


@click.command("train", cls=RecipeVerb)
@click.argument("recipe", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder to make; default: runs/NAME.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key, e.g. trainer.epochs=5.")
@click.option("--data", help="Data to learn from; short for --set data.source=….")
@click.option("--max-delay", type=int, metavar="STEPS", help="Longest delay; short for --set model.max_delay=….")
@click.option("--seed", type=int, help="Seed of the run; short for --set seed=….")
@click.option(
    "--protocol",
    type=click.Choice(["honest", "paper"]),
    help="Choose the best epoch on validation (honest, the default) or on the test part (paper).",
)
@click.option(
    "--gradient-checkpointing", is_flag=True, help="Use less memory and more time; sets trainer.gradient_checkpointing."
)
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with an interrupted run.")
def command(
    recipe: str | None,
    output: Path | None,
    overrides: tuple[str, ...],
    data: str | None,
    max_delay: int | None,
    seed: int | None,
    protocol: str | None,
    gradient_checkpointing: bool,
    resume: Path | None,
) -> None:
    """Train RECIPE, a preset's name (see `delaytool recipes`) or a TOML file; 'digits' if none is given."""
    from delaytool.commands.training_progress import TrainingProgress
    from delaytool.trainer.loop import train
    from delaytool.trainer.recipe import load_recipe, override_of

    if resume is not None:
        if (
            recipe
            or output
            or overrides
            or any(value is not None for value in (data, max_delay, seed, protocol))
            or gradient_checkpointing
        ):
            raise click.UsageError("--resume goes on with the run as it began; leave out the recipe and other options")
        folder, loaded = resume, None
    else:
        short = {"data.source": data, "model.max_delay": max_delay, "seed": seed, "protocol": protocol}
        more = [override_of(key, value) for key, value in short.items() if value is not None]
        if gradient_checkpointing:
            more.append("trainer.gradient_checkpointing=true")
        loaded = load_recipe(recipe or "digits", [*overrides, *more])
        folder = output or Path("runs") / loaded.name
    try:
        with TrainingProgress(folder) as progress:
            train(loaded, folder, resume=resume is not None, reporter=progress)
    except KeyboardInterrupt:
        echo(f"\nstopped; go on with: delaytool train --resume {folder}", err=True)
        sys.exit(130)
