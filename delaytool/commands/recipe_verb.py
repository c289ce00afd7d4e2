"""Verbs that take a recipe: the error for a key given as an option or as an argument names the --set to give."""

from __future__ import annotations

import click


class RecipeVerb(click.Command):
    """The errors for `--epochs 5` and `trainer.epochs=5` name `--set trainer.epochs=5`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            raise _with_hint(error, _of_option(error.option_name, given)) from None
        except click.UsageError as error:
            words = [word for word in given if not word.startswith("-") and _names_key(word)]
            after_set = {given[index + 1] for index, word in enumerate(given[:-1]) if word in ("--set", "--over")}
            alone = [word for word in words if word not in after_set]
            raise _with_hint(error, f"--set {alone[0]}" if alone else None) from None


def _with_hint(error: click.UsageError, hint: str | None) -> click.UsageError:
    return (
        error
        if hint is None
        else click.UsageError(f"{error.format_message()} Give a recipe's key with: {hint}", error.ctx)
    )


def _of_option(option: str, given: list[str]) -> str | None:
    """`--set` of the key that an option is named after, with its value where one was given."""
    keys = _keys_named(option.lstrip("-").split(".")[-1])
    if not keys:
        return None
    for index, word in enumerate(given):
        name, equals, value = word.partition("=")
        if name == option:
            following = given[index + 1] if not equals and index + 1 < len(given) else value
            return f"--set {keys[0]}={following or '…'}"
    return f"--set {keys[0]}=…"


def _names_key(word: str) -> bool:
    key, equals, _ = word.partition("=")
    return bool(equals) and bool(_keys_named(key.split(".")[-1]))


def _keys_named(name: str) -> list[str]:
    from delaytool.trainer.recipe import keys_named

    return keys_named(name)
