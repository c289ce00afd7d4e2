"""Names from files in terminals and figures: markup, formulas and escape sequences are only text."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import Result
from rich.table import Table

from delaytool.commands.console import PlainConsole, styled
from delaytool.contract.network import IntegerNetwork
from delaytool.progress import StepBars

NASTY = ["[bold]x[/]", "[/]", "a[x].h5", "[true, false]", ":smile:", "$\\frac$", "\x1b[2J\x1b]0;owned\x07", "$x_1$"]


def printed(*things: object) -> str:
    console = PlainConsole(width=200)
    console.file = io.StringIO()
    console.print(*things)
    return console.file.getvalue()


@pytest.mark.parametrize("name", NASTY)
def test_a_name_is_printed_as_it_is(name: str) -> None:
    shown = name.replace("\x1b", "\\x1b").replace("\x07", "\\x07")
    assert printed(name) == f"{shown}\n"
    assert printed(styled("bold red", "FAIL", f": {name}")) == f"FAIL: {shown}\n"
    table = Table(title=name)
    table.add_column(name)
    table.add_row(name)
    output = printed(table)
    assert output.count(shown) == 3
    assert "\x1b" not in output


@pytest.mark.parametrize("name", NASTY)
def test_a_bar_of_any_name_is_drawn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {"FORCE_COLOR": "1", "TERM": "xterm"}.items():  # to rich a terminal
        monkeypatch.setenv(variable, value)
    bars = StepBars()
    console = bars.progress.live.console
    console.file, console.width = io.StringIO(), 200
    with bars as progress:
        progress(name, 1, 2)
        bars.progress.refresh()
    output = console.file.getvalue()
    assert name.replace("\x1b", "\\x1b").replace("\x07", "\\x07") in output
    assert "\x1b]" not in output


def test_a_network_whose_layers_have_such_names_is_verified(
    network: Path, call: Callable[..., Result], tmp_path: Path
) -> None:
    loaded = IntegerNetwork.load(network)
    names = ("[bold]hid[/][/]", "$\\frac$\x1b[2J")
    layers = (replace(layer, name=name) for layer, name in zip(loaded.layers, names, strict=True))
    path = tmp_path / "a[x].h5"
    report = [{**one, "name": name} for one, name in zip(loaded.provenance["layers"], names, strict=True)]
    replace(loaded, layers=tuple(layers), provenance={**loaded.provenance, "layers": report}).save(path)
    result = call("verify", path, "--no-drop", "--samples", 40)
    assert result.exit_code == 0, result.output
    assert "a[x].h5 on digits" in result.output
    for shown in ("[bold]hid[/][/]", "$\\frac$\\x1b[2J"):
        assert shown in result.output
    assert "\x1b" not in result.output
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    result = call("report", path, "--samples", 5)
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize("name", NASTY)
def test_figures_draw_any_name(name: str) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    from delaytool.figure_style import new_figure, styled
    from delaytool.report.inline_svg import inline_svg

    @styled
    def draw() -> str:
        figure = new_figure(3, 2)
        axes = figure.subplots()
        axes.plot([0, 1], np.arange(2), label=name)
        axes.set_title(name)
        axes.set_xticks([0], [name])
        axes.legend()
        return inline_svg(figure, name)

    svg = draw()
    assert ElementTree.fromstring(svg).tag.endswith("svg")  # well-formed
    assert name.replace("\x1b", "\\x1b").replace("\x07", "\\x07") in svg
