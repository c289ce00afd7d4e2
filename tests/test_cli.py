"""Exit codes of the command line, for every verb, as a shell sees them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from delaytool.cli import VERBS, main
from delaytool.errors import DataError
from delaytool.runtime.backends.loihi import MissingLoihiError

VERB_NAMES = [*VERBS]


def run_verb(verb: str, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> tuple[int, str]:
    """The exit code and the output of a verb that raises at once."""

    def get_command(self: object, ctx: object, name: str) -> object:
        import click

        @click.command(name)
        def command() -> None:
            raise error

        return command

    monkeypatch.setattr("delaytool.cli.Verbs.get_command", get_command)
    result = CliRunner().invoke(main, [verb])
    return result.exit_code, result.output


@pytest.mark.parametrize("verb", VERB_NAMES)
def test_ctrl_c_is_130(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, output = run_verb(verb, monkeypatch, KeyboardInterrupt())
    assert code == 130
    assert output == "interrupted\n"


@pytest.mark.parametrize(("error", "code"), [(DataError("no such data"), 2), (MissingLoihiError("python"), 3)])
def test_errors_have_their_own_codes(error: Exception, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    found, output = run_verb("verify", monkeypatch, error)
    assert found == code
    assert output.startswith("error: ")


def test_what_was_named_does_not_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    _, output = run_verb("verify", monkeypatch, DataError("\x1b]0;owned\x07\x1b[2J[bold]x[/]\u202e: no such data"))
    assert output == "error: \\x1b]0;owned\\x07\\x1b[2J[bold]x[/]\\u202e: no such data\n"


@pytest.mark.parametrize("arguments", [["--help"], ["recipes"], ["recipes", "digits"], ["verify", "--help"]])
def test_a_closed_pipe_is_141(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)  # whoever reads has gone before anything is written
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "delaytool", *arguments]
    done = subprocess.run(
        command, stdout=writer, stderr=subprocess.PIPE, env=environment, timeout=300, check=False, text=True
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_table_into_a_closed_pipe_is_141() -> None:
    """Tables are printed by another library than lines, with an exit code of its own for this."""
    code = (
        "import sys; from delaytool.cli import main, Verbs; import click\n"
        "from delaytool.commands.console import PlainConsole\n"
        "Verbs.get_command = lambda *_: click.command('x')(lambda: PlainConsole().print('a' * 10))\n"
        "main(['verify'])"
    )
    reader, writer = os.pipe()
    os.close(reader)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writer, stderr=subprocess.PIPE, env=environment, timeout=300, check=False,
        text=True,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
