"""One run of a sweep: its name, the values of the swept keys, its recipe."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from delaytool.errors import SweepError
from delaytool.trainer.recipe import Recipe, all_values

# A file system takes names of up to 255 bytes, and files of the run have longer ones.
LONGEST_NAME = 100
# Of the keys that two recipes differ in, so many are named.
SHOWN = 3


@dataclass(frozen=True)
class Setting:
    """A run that is asked for.

    values   what is swept, by key, as the recipe has it; names that are no keys of a recipe only sort runs
    family   runs of one family have the same recipe but for the swept keys
    """

    values: dict[str, Any]
    recipe: Recipe
    family: str = ""

    @property
    def name(self) -> str:
        """Its folder's name: 'max_delay=10,seed=0'."""
        return run_name(self.values)

    def kept(self) -> dict[str, Any]:
        """The recipe's other keys, dotted, and their values: what may not change while a sweep goes on."""
        return {key: value for key, value in all_values(self.recipe).items() if key not in self.values}


def describe_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first keys of `now` that had another value, as 'KEY was VALUE and is VALUE now'; '' where none had."""
    changed = [
        f"{key} was {format_value(before.get(key))} and is {format_value(value)} now"
        for key, value in now.items()
        if before.get(key) != value
    ]
    return "; ".join(changed[:SHOWN]) + (f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else "")


def format_value(value: Any) -> str:
    """A value as a table shows it."""
    return value if isinstance(value, str) else "none" if value is None else json.dumps(value)


def short_names(keys: list[str]) -> dict[str, str]:
    """Each key's last part where no other key ends in the same."""
    last = [key.split(".")[-1] for key in keys]
    return {key: part if last.count(part) == 1 else key for key, part in zip(keys, last, strict=True)}


def run_name(values: Mapping[str, Any]) -> str:
    """A folder's name that any file system takes; a digest is added where characters had to be replaced or cut."""
    short = short_names(list(values))
    plain = ",".join(f"{short[key]}={format_value(value)}" for key, value in values.items())
    name = re.sub(r"[^A-Za-z0-9._=,+-]+", "_", plain)
    if name == plain and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}-{hashlib.sha256(plain.encode()).hexdigest()[:8]}"


def refuse_twins(settings: list[Setting]) -> None:
    """Raise SweepError where two settings are the same recipe, which would be trained twice."""
    seen: dict[tuple[str, str], Setting] = {}
    for setting in settings:
        twin = seen.setdefault((setting.family, setting.recipe.digest()), setting)
        if twin is not setting:
            raise SweepError(f"{twin.name} and {setting.name} are the same recipe; name each value once")
