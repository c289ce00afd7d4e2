"""`delaytool show`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click

from delaytool.commands.console import PlainConsole, echo, styled
from delaytool.datasets.spec import TIME_UNITS


@click.command("show")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--time-unit", type=click.Choice(list(TIME_UNITS)), help="Of event files' times; default: seconds.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(file: Path, time_unit: str | None, as_json: bool) -> None:
    """Print what is in FILE.

    FILE is a network (or golden vector), a run folder, a checkpoint, events, a recording, a .npy file, the state of a
    stream, a .net file of netx or a recipe; its content decides which. It is read as strictly as where it is used, so a
    damaged one is an error.
    """
    from delaytool.report.file_summary import summarize_file

    summary = summarize_file(file, time_unit=time_unit)
    if as_json:
        echo(json.dumps(summary.as_dict(), indent=2))
        return
    console = PlainConsole()
    console.print(styled("bold", str(file), f": {summary.kind}"))
    width = max(map(len, summary.facts), default=0)
    for name, value in summary.facts.items():
        _print(console, name.replace("_", " "), value, width)


def _print(console: PlainConsole, name: str, value: Any, width: int) -> None:
    if value is None or value in ([], {}):
        return
    if isinstance(value, list) and isinstance(value[0], dict):
        from delaytool.commands.tables import table_of_objects

        console.print(styled("dim", name))
        console.print(table_of_objects(value))
    elif isinstance(value, dict) and any(len(_text(one)) > 40 for one in value.values()):
        console.print(styled("dim", name))
        width = max(width, *(len(key) + 2 for key in value))
        for key, one in value.items():
            _print(console, f"  {key}", _shortened(one), width)
    else:
        from rich.table import Table
        from rich.text import Text

        from delaytool.printable import printable

        row = Table.grid(padding=(0, 1))
        row.add_column(min_width=width, no_wrap=True, style="dim")
        row.add_column(overflow="fold")
        row.add_row(Text(name), Text(printable(_text(value))))
        console.print(row)


def _shortened(value: Any) -> Any:
    """The beginning of a digest; --json has the whole."""
    return f"{value[:16]}…" if isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) else value


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(_text(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 100_000 else str(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
