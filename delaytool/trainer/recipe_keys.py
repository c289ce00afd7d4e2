"""Every key of a recipe: its default, what it admits and what it does. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from delaytool.trainer.recipe import Recipe


@dataclass(frozen=True)
class RecipeKey:
    """A key of a recipe.

    key          dotted: 'trainer.epochs'
    value        as the recipe has it; None where it is unset
    default      as a recipe has it that does not name the key
    choices      the words that it admits, true and false among them where it admits those too; or empty
    description  what it does
    """

    key: str
    value: Any
    default: Any
    choices: tuple[str, ...]
    description: str

    @property
    def is_changed(self) -> bool:
        return bool(self.value != self.default)


def recipe_keys(recipe: Recipe) -> list[RecipeKey]:
    """All keys, in the order of the sections.

    >>> [one.default for one in recipe_keys(Recipe()) if one.key == "trainer.epochs"]
    [150]
    """
    return list(_keys(recipe, ""))


def format_setting(value: Any) -> str:
    """A value as it is written with --set, and in a TOML file where it is no word.

    >>> format_setting((256, 256)), format_setting(None), format_setting(0.005), format_setting(1.0000004)
    ('[256,256]', 'none', '0.005', '1.0000004')
    """
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(format_setting, value))}]"
    if isinstance(value, float):
        return short if float(short := f"{value:g}") == value else repr(value)
    return str(value)


def _keys(section: BaseModel, prefix: str) -> Iterator[RecipeKey]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _keys(value, f"{prefix}{name}.")
        else:
            kinds = (field.annotation, *get_args(field.annotation))
            words = [word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)]
            choices = tuple(dict.fromkeys(word for word in words if isinstance(word, str)))
            if choices and bool in kinds:
                choices = ("true", "false", *choices)
            yield RecipeKey(prefix + name, value, field.default, choices, field.description or "")
