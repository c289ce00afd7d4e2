"""What the shell offers on Tab for recipes, targets and keys; `docs/training.md` shows how to switch it on."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


def complete_recipes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The presets, and files."""
    from delaytool.trainer.recipe import preset_names

    found = [CompletionItem(name) for name in preset_names() if name.startswith(incomplete)]
    return [*found, CompletionItem(incomplete, type="file")]


def complete_targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    from delaytool.hw_configs import target_names

    return [name for name in target_names() if name.startswith(incomplete)]


def complete_settings(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """`key=`, and after the sign the words that the key admits."""
    from delaytool.trainer.recipe import Recipe
    from delaytool.trainer.recipe_keys import recipe_keys

    keys = recipe_keys(Recipe())
    key, equals, begun = incomplete.partition("=")
    if not equals:
        return [CompletionItem(f"{one.key}=", help=one.description) for one in keys if one.key.startswith(key)]
    chosen = next((one for one in keys if one.key == key), None)
    if chosen is None:
        return []
    words = chosen.choices or (("true", "false") if isinstance(chosen.default, bool) else ())
    return [CompletionItem(f"{key}={word}") for word in words if word.startswith(begun)]
