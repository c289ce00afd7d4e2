"""`-q` of every verb that shows progress."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def quiet_option(meaning: str = "Show no progress, only results and warnings.") -> Callable[[F], F]:
    """The option `-q`, `--quiet`; the command gets it as `quiet`."""
    return click.option("-q", "--quiet", is_flag=True, help=meaning)
