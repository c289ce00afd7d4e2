"""`delaytool recipes`."""

from __future__ import annotations

import click


@click.command("recipes")
@click.argument("name", required=False)
def command(name: str | None) -> None:
    """List the recipes that come with delaytool, or print one with every key and its value."""
    from delaytool.trainer.recipe import load_recipe, preset_names

    if name is not None:
        click.echo(load_recipe(name).to_toml(), nl=False)
        return
    for preset in preset_names():
        recipe = load_recipe(preset)
        model = recipe.model
        click.echo(
            f"{preset:14} {recipe.data.source}: {len(model.hidden)}L-{model.kernel_count}KC, "
            f"{' x '.join(str(size) for size in model.hidden)} neurons, delays 0..{model.max_delay} steps "
            f"of {recipe.data.time_step_ms:g} ms, {recipe.trainer.epochs} epochs"
        )
