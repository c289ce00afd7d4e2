"""Options that a command gets as one argument."""

from __future__ import annotations

from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner

from delaytool.commands.option_groups import option_group


@dataclass(frozen=True)
class Range:
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise click.UsageError("--low is above --high")


@click.command()
@click.option("--first")
@option_group("between", Range, click.option("--low", default=1, help="L"), click.option("--high", default=5, help="H"))
@click.option("--last")
def command(first: str | None, between: Range, last: str | None) -> None:
    click.echo(f"{first} {between} {last}")


@pytest.mark.parametrize(
    ("arguments", "code", "output"),
    [
        ([], 0, "None Range(low=1, high=5) None"),
        (["--high", "3", "--last", "x", "--low", "2"], 0, "None Range(low=2, high=3) x"),
        (["--low", "6"], 2, "--low is above --high"),
        (["--low", "a"], 2, "Invalid value for '--low'"),
    ],
)
def test_a_group_is_one_argument(arguments: list[str], code: int, output: str) -> None:
    result = CliRunner().invoke(command, arguments)
    assert (result.exit_code, output in result.output) == (code, True), result.output


def test_options_are_listed_in_the_order_in_which_they_stand() -> None:
    assert [parameter.name for parameter in command.params] == ["first", "low", "high", "last"]
