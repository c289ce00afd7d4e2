"""The options of the verbs that train many runs: `sweep` and `compare`."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

OPTIONS = (
    click.option(
        "--jobs",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Number of runs at the same time on this machine.",
    ),
    click.option("--fits", metavar="CHIP", help="Leave out what does not fit this chip (a name or a TOML file)."),
    click.option("--cores", type=click.IntRange(min=1), metavar="N", help="Of --fits: at most so many cores."),
    click.option("--retry-failed", is_flag=True, help="Train failed runs again."),
)


def many_runs_options(command: F) -> F:
    """Add `--jobs`, `--fits`, `--cores` and `--retry-failed`, in this order."""
    return reduce(lambda decorated, option: option(decorated), reversed(OPTIONS), command)
