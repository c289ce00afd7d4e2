"""`delaytool recipes`."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import click
from rich.table import Table

from delaytool.commands.completion import complete_recipes
from delaytool.commands.console import PlainConsole, echo
from delaytool.datasets.spec import RECORDINGS

if TYPE_CHECKING:
    from delaytool.trainer.recipe import Recipe

WIDTH = 79


@click.command("recipes")
@click.argument("name", required=False, shell_complete=complete_recipes)
@click.option(
    "--keys", is_flag=True, help="Print every key with its default and what it does; NAME's own values marked."
)
def command(name: str | None, keys: bool) -> None:
    """List the recipes that come with delaytool, or print one with every key that has a value.

    Keys that are unset are left out; --keys shows them too. NAME may be a file, which this checks. `recipes --keys`
    alone lists the keys as they are by default.
    """
    from delaytool.trainer.recipe import Recipe, load_recipe, preset_names

    if keys:
        _print_keys(Recipe() if name is None else load_recipe(name))
        return
    if name is not None:
        click.echo(load_recipe(name).to_toml(), nl=False)
        return
    rows = [(preset, _described(load_recipe(preset))) for preset in preset_names()]
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    for row in rows:
        table.add_row(*row)
    PlainConsole().print(table)


def _described(recipe: Recipe) -> str:
    """Data, hidden layers, delays and epochs, in a line."""
    data, model = recipe.data, recipe.model
    how = " through the ear" if data.ear else " as mel frames" if data.source in RECORDINGS else ""
    taps = f", {model.kernel_count} taps per synapse" if model.kernel_count > 1 else ""
    return (
        f"{data.source}{how}: {' x '.join(str(size) for size in model.hidden)} neurons{taps}, "
        f"delays 0..{model.max_delay} steps of {data.time_step_ms:g} ms, {recipe.trainer.epochs} epochs"
    )


def _print_keys(recipe: Recipe) -> None:
    from delaytool.trainer.idle_keys import keys_without_effect
    from delaytool.trainer.recipe_keys import format_setting, recipe_keys

    rows, idle = recipe_keys(recipe), keys_without_effect(recipe)
    if any(row.is_changed for row in rows):
        echo(f"* differs from the default in recipe {recipe.name}")
    for row in rows:
        mark = "*" if row.is_changed else " "
        default = f"  (default: {format_setting(row.default)})" if row.is_changed else ""
        echo(f"{mark} {row.key} = {format_setting(row.value)}{default}")
        described = row.description
        if row.choices:
            described += f" [{', '.join(row.choices)}]"
        described += f"; without effect here, as {idle[row.key]}" if row.key in idle else ""
        for line in textwrap.wrap(described, WIDTH - 6):
            echo(f"      {line}")
