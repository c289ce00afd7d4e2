"""Options that would have no effect: the command line that gives one is refused, so that nobody relies on it."""

from __future__ import annotations

from collections.abc import Mapping

import click
from click.core import ParameterSource

# Options that are short for a key.
SHORT = {
    "data": "data.source",
    "max_delay": "model.max_delay",
    "seed": "seed",
    "protocol": "protocol",
    "gradient_checkpointing": "trainer.gradient_checkpointing",
}


def given_options(*names: str) -> list[str]:
    """Those of the parameters `names` that the running command's line gives, as options: '--trace'."""
    context = click.get_current_context()
    return [
        max(parameter.opts, key=len)
        for parameter in context.command.params
        if parameter.name in names and context.get_parameter_source(parameter.name) is ParameterSource.COMMANDLINE
    ]


def refuse_idle(*names: str, why: str) -> None:
    """Raise UsageError where the command line gives one of the parameters `names`; why: a clause with the reason."""
    idle = given_options(*names)
    if idle:
        verb = "has" if len(idle) == 1 else "have"
        raise click.UsageError(f"{' and '.join(idle)} {verb} no effect: {why}; leave {_it(idle)} out")


def refuse_key_given_twice(overrides: tuple[str, ...], short: Mapping[str, str] = SHORT) -> None:
    """Raise UsageError where two `--set`, or `--set` and an option that is short for a key, set the same key."""
    keys: dict[str, str] = {}
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in keys:
            raise click.UsageError(f"--set {keys[key]} and --set {override} set the same key; leave one of them out")
        keys[key] = override
    for name, key in short.items():
        option = given_options(name)
        if option and key in keys:
            raise click.UsageError(f"{option[0]} and --set {keys[key]} set the same key; leave one of them out")


def settings_with_data(overrides: tuple[str, ...], data: str | None) -> list[str]:
    """`--set` and `--data`, each as `key=value`. Raises UsageError for a key that is set twice."""
    from delaytool.trainer.recipe import override_of

    refuse_key_given_twice(overrides)
    return [*overrides, *([] if data is None else [override_of("data.source", data)])]


def _it(options: list[str]) -> str:
    return "it" if len(options) == 1 else "them"
