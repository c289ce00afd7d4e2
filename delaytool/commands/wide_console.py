"""A console for tables."""

from __future__ import annotations

from rich.console import Console

REDIRECTED_WIDTH = 200


def wide_console() -> Console:
    """As wide as the terminal; wide enough for any table of ours where the output goes to a file or a pipe."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(highlight=False, soft_wrap=True, width=REDIRECTED_WIDTH)
