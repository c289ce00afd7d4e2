"""A run's recipe beside the preset that it is nearest to: first what differs, which is what a reader wants to know."""

from __future__ import annotations

from dataclasses import dataclass

from delaytool.experiments.sweep.setting import format_value
from delaytool.trainer.recipe import Recipe, all_values, load_recipe, preset_names


@dataclass(frozen=True)
class RecipeChanges:
    """rows: (key, the recipe's value, the preset's), of the keys in which they differ; the name does not count."""

    preset: str
    rows: tuple[tuple[str, str, str], ...]


def changes_from_preset(recipe: Recipe) -> RecipeChanges:
    """Against the preset of the recipe's own name, else against the one that differs in the fewest keys.

    >>> from delaytool.trainer.recipe import load_recipe
    >>> changes_from_preset(load_recipe("digits", ["trainer.epochs=5"]))
    RecipeChanges(preset='digits', rows=(('trainer.epochs', '5', '100'),))
    """
    names = preset_names()
    candidates = [recipe.name] if recipe.name in names else names
    return min((_changes(recipe, name) for name in candidates), key=lambda changes: len(changes.rows))


def _changes(recipe: Recipe, preset: str) -> RecipeChanges:
    own, other = all_values(recipe), all_values(load_recipe(preset))
    rows = [
        (key, format_value(value), format_value(other[key]))
        for key, value in own.items()
        if key != "name" and value != other[key]
    ]
    return RecipeChanges(preset, tuple(rows))
