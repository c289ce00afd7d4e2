"""The pages of the reference that the code writes show what the program does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from delaytool.cli import VERBS, main

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from reference_pages import HELP_WIDTH, commands_page


@pytest.mark.parametrize("verb", VERBS)
def test_the_page_shows_what_a_verbs_help_prints(verb: str) -> None:
    printed = CliRunner().invoke(main, [verb, "--help"], prog_name="delaytool", terminal_width=HELP_WIDTH).output
    assert f"## {verb}\n\n```text\n{printed}```\n" in commands_page()


def test_no_line_of_help_is_wider_than_the_page() -> None:
    blocks = commands_page().split("```")[1::2]
    assert len(blocks) == len(VERBS)
    assert max(len(line) for block in blocks for line in block.splitlines()) <= HELP_WIDTH
