"""Notes on the error stream about keys that another key leaves without effect."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from delaytool.commands.console import print_wrapped
from delaytool.trainer.idle_keys import describe_idle_keys, keys_without_effect
from delaytool.trainer.recipe import Recipe, all_values

if TYPE_CHECKING:
    from delaytool.experiments.sweep.setting import Setting


def show_idle_keys(recipe: Recipe) -> None:
    """A note per reason why keys of the recipe have no effect."""
    for sentence in describe_idle_keys(keys_without_effect(recipe), all_values(recipe)):
        print_wrapped(f"note: {sentence}", err=True)


def show_idle_sweep(settings: list[Setting]) -> None:
    """A note for each swept key that has no effect in some of the runs, which are then the same training."""
    idle = Counter(
        (key, reason)
        for setting in settings
        for key, reason in keys_without_effect(setting.recipe).items()
        if key in setting.values
    )
    for (key, reason), count in idle.items():
        print_wrapped(f"note: {key} has no effect in {count} of {len(settings)} runs, as {reason}", err=True)
