"""The script that draws the README's commands in a terminal of 80 columns."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("pyte")
if sys.platform == "win32":
    pytest.skip("there are no pseudo-terminals", allow_module_level=True)


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs" / "make_terminal_pictures.py"))


def test_a_command_is_drawn_as_it_looks_at_80_columns(script: dict[str, Any], tmp_path: Path) -> None:
    screen = script["run"]("delaytool recipes", tmp_path)
    assert screen.exit_code == 0
    assert screen.too_wide == ()
    lines = screen.text.plain.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(re.match(r"gsc-3l-1kc +gsc as mel frames: 512 x 512 x 512 neurons", line) for line in lines)
    assert any(re.fullmatch(r" {18}.*epochs", line) for line in lines)  # a second line stands below the first
    script["save_svg"](screen, "delaytool recipes", tmp_path / "recipes.svg")
    svg = (tmp_path / "recipes.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert "url(http" not in svg
    assert "gsc-3l-1kc" in svg


def test_bars_are_shown_as_they_end_and_what_is_too_wide_is_found(script: dict[str, Any], tmp_path: Path) -> None:
    code = "print('bar 1', end='\\r'); print('bar 2'); print('x' * 81); print('next: delaytool ' + 'y' * 90)"
    screen = script["run"](f'{sys.executable} -c "{code}"', tmp_path)
    assert screen.text.plain.splitlines()[0] == "bar 2"
    assert screen.too_wide == ("x" * 81,)


def test_sentences_wrap_between_words_on_a_terminal_alone(script: dict[str, Any], tmp_path: Path) -> None:
    words = " ".join(f"word{number}" for number in range(40))
    code = f"from delaytool.commands.console import print_wrapped; print_wrapped('{words}')"
    screen = script["run"](f'{sys.executable} -c "{code}"', tmp_path)
    lines = screen.text.plain.splitlines()
    assert screen.too_wide == ()
    assert len(lines) > 3
    assert " ".join(line.strip() for line in lines) == words
    piped = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert piped.stdout == f"{words}\n"


def test_the_verbs_of_the_readme_have_pictures(script: dict[str, Any]) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = "\n".join(re.findall(r"^```.*?^```", readme, flags=re.MULTILINE | re.DOTALL))
    verbs = set(re.findall(r"^(?:\$ )?delaytool ([a-z-]+)", blocks, flags=re.MULTILINE))
    assert {"train", "export", "verify", "report"} <= verbs
    assert verbs <= {command.split()[1] for command in script["COMMANDS"].values()}
