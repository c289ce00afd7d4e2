"""The form of every table that a verb prints."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table


def plain_table(title: str, headings: tuple[str, ...], rows: Iterable[tuple[str, ...]] = ()) -> Table:
    """Numbers right, names left, narrow enough for 80 columns."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True, header_style="dim")
    for row in rows:
        table.add_row(*row)
    return table
