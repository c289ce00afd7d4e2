"""The command line: it finds the verb, runs it, and turns errors into one line and an exit code."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from delaytool.commands.error_lines import error_line
from delaytool.errors import DelaytoolError, MissingExtraError
from delaytool.printable import printable
from delaytool.version import __version__

# A verb's module is imported when the verb is used: `verify` must start without PyTorch.
VERBS = {
    "train": "Train a network whose every synapse learns its own delay.",
    "sweep": "Train a recipe with every combination of some keys' values.",
    "compare": "Train several recipes with several seeds, export and verify each, and write one page.",
    "export": "Turn a trained network into a chip's integers.",
    "data": "Fetch recordings from their official place.",
    "encode": "Turn recordings into spikes with the inner ear behind SHD.",
    "verify": "Compare the integers with the trained run, and several backends bit for bit; measure accuracy.",
    "report": "Write one self-contained page about a run or a network.",
    "analyze": "Draw receptive fields over delays and measure their structure (Moran's I).",
    "recipes": "List the recipes that come with delaytool, or print one.",
    "import": "Read a netx file (.net) of lava-dl or delaytool into a network file.",
    "import-snn-delays": "Make a run of a state_dict that Thvnvtos/SNN-delays saved.",
}
# Earlier names of verbs, understood for one more version.
ALIASES = {"analyse": "analyze"}
# Names that Python does not take for a module.
MODULES = {"import": "import_netx", "import-snn-delays": "import_snn_delays"}
# Which extra brings the packages that a verb may lack.
EXTRAS = {"matplotlib": "plots", "jinja2": "plots", "tonic": "datasets", "optuna": "sweep", "filelock": "sweep"}


# As a shell has it for SIGINT and SIGPIPE.
EXIT_INTERRUPTED, EXIT_CLOSED_PIPE = 130, 141


@contextmanager
def _signals_as_exit_codes() -> Iterator[None]:
    """Ctrl-C ends with 130, a reader of our output that went away with 141: neither is a verdict."""
    try:
        yield
        sys.stdout.flush()  # while an error can still be answered
    except KeyboardInterrupt:
        click.echo("interrupted", err=True)
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # What is still buffered has nowhere to go; without this, Python complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_CLOSED_PIPE)


class Verbs(click.Group):
    """Loads a verb's module on use and prints a user's error as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = ALIASES.get(cmd_name, cmd_name)
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module(f"delaytool.commands.{MODULES.get(cmd_name, cmd_name)}")
        return module.command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        near = (
            difflib.get_close_matches(args[0], VERBS, n=1, cutoff=0.6)
            if args and args[0] not in {*VERBS, *ALIASES}
            else []
        )
        if near:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _signals_as_exit_codes():  # it prints --help
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> object:
        with _signals_as_exit_codes():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except DelaytoolError as error:
            click.echo(f"error: {printable(error)}", err=True)
            ctx.exit(error.exit_code)
        except ModuleNotFoundError as error:
            package = (error.name or "").split(".")[0]
            if package in ("", "delaytool"):
                raise
            click.echo(f"error: {MissingExtraError('this verb', package, EXTRAS.get(package, 'train'))}", err=True)
            ctx.exit(2)
        except Exception as error:
            line = error_line(error)
            if line is None:
                raise
            click.echo(f"error: {line}", err=True)
            ctx.exit(2)


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="delaytool")
def main() -> None:
    """Train spiking networks with learned delays, export them as integers, verify them bit for bit."""


if __name__ == "__main__":
    main()
