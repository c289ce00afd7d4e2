"""Settings that no training on these data can carry out: found before anything is written."""

from __future__ import annotations

from delaytool.contract.encoding import InputEncoding
from delaytool.trainer.augmentation import refuse_impossible_shifts
from delaytool.trainer.integer_training import refuse_what_the_chip_lacks
from delaytool.trainer.recipe import Recipe


def refuse_impossible_settings(recipe: Recipe, encoding: InputEncoding) -> None:
    """Raise RecipeError for what the data's encoding makes impossible."""
    refuse_what_the_chip_lacks(recipe, encoding)
    refuse_impossible_shifts(recipe.trainer, encoding)
