"""Reference pages that the code writes: verbs, keys of recipes, errors."""

from __future__ import annotations

import click

from delaytool import errors
from delaytool.cli import VERBS, main
from delaytool.errors import DelaytoolError
from delaytool.runtime.backends.loihi import MissingLoihiError
from delaytool.trainer.recipe import Recipe
from delaytool.trainer.recipe_keys import RecipeKey, format_setting, recipe_keys

# What a page shows at 1280 pixels beside its two columns of contents.
HELP_WIDTH = 88


def commands_page() -> str:
    """Every verb with all its options, as `delaytool VERB --help` prints them."""
    parts = [
        "# Command line\n",
        "What `delaytool VERB --help` prints. [Errors and exit codes](errors.md) are the same for every verb.\n",
    ]
    with click.Context(main, info_name="delaytool", terminal_width=HELP_WIDTH, **main.context_settings) as context:
        for verb in VERBS:
            command = main.get_command(context, verb)
            assert command is not None
            with click.Context(command, parent=context, info_name=verb) as inner:
                parts.append(f"## {verb}\n\n```text\n{command.get_help(inner)}\n```\n")
    return "\n".join(parts)


def recipe_keys_page() -> str:
    """Every key of a recipe, section by section."""
    parts = [
        "# Recipe keys\n",
        "Every key of a recipe. `delaytool recipes NAME --keys` prints the same with the values of a recipe.",
        "A key is set in a TOML file, by `--set KEY=VALUE`, or in Python by `dt.train(overrides={KEY: VALUE})`;",
        "[Training](../training.md#recipes) explains recipes.\n",
    ]
    sections: dict[str, list[RecipeKey]] = {}
    for one in recipe_keys(Recipe()):
        sections.setdefault(one.key.rpartition(".")[0], []).append(one)
    for section, keys in sections.items():
        parts.append(f"## {f'[{section}]' if section else 'At the top of a file'}\n")
        parts.append("| key | default | what it does |\n| --- | --- | --- |")
        parts += [_key_row(one) for one in keys]
        parts.append("")
    return "\n".join(parts)


def _key_row(one: RecipeKey) -> str:
    choices = f" One of {', '.join(f'`{choice}`' for choice in one.choices)}." if one.choices else ""
    text = one.description.strip()
    sentence = text[:1].upper() + text[1:] + ("" if text.endswith(".") or not text else ".")
    return f"| `{one.key}` | `{format_setting(one.default)}` | {sentence}{choices} |"


def errors_page() -> str:
    """Every error with what it stands for, and every exit code."""
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, DelaytoolError) and value is not DelaytoolError
    ]
    rows = [f"| `{one.__name__}` | {_first_sentence(one)} | {one.exit_code} |" for one in [*classes, MissingLoihiError]]
    return "\n".join(
        [
            "# Errors and exit codes\n",
            "Every error that a user can cause is a `delaytool.DelaytoolError`. Its text is one line that names",
            "the thing, its value, the limit and what to do. The command line prints it, and exits with the error's",
            "`exit_code`. A command line that is wrong in itself (an unknown option, options that exclude each other)",
            "gets how the verb is used and one line, and the exit code 2. In Python:\n",
            "```python",
            "import delaytool as dt",
            "",
            "try:",
            '    dt.load("no-such-file.h5")',
            "except dt.DelaytoolError as error:",
            "    print(error)",
            "```\n",
            "| error, in `delaytool.errors` | what | exit code |\n| --- | --- | --- |",
            *rows,
            "",
            "## Exit codes\n",
            "| exit code | what |\n| --- | --- |",
            "| 0 | It is done; of `verify`: it passed; of `map`: it fits. |",
            "| 1 | `verify`: it failed. `map`: it does not fit. `sweep`, `compare`: a run failed. |",
            "| 2 | It cannot be done as asked; the last line says why. |",
            "| 3 | A system is missing that cannot be installed from here (Intel's extension for Loihi 2). |",
            "| 4 | `verify`: every bit is equal, but what the integers cost in accuracy is not known. |",
            "| 130 | Ctrl-C. What was written so far is whole, and the same command or `--resume` goes on. |",
            "| 141 | The reader of the output went away, as with <code>&#124; head</code>. |",
            "",
        ]
    )


def _first_sentence(one: type) -> str:
    text = " ".join((one.__doc__ or "").split())
    return text.partition(". ")[0].rstrip(".") + "."
