"""The link check finds what leads nowhere; links of README.md and its like hold in the repository, too."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

from check_links import check_links, main

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "tests/golden/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?\)")
# Pages that exist in the site alone, made by docs/site_hooks.py.
WRITTEN = {"docs/reference/commands.md", "docs/reference/recipe-keys.md", "docs/reference/errors.md"}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_links_to_files_that_are_there(path) -> None:
    """As a reader of the repository follows them. `make docs` checks those of the site, with their anchors."""
    for target, _ in LINK.findall(path.read_text(encoding="utf-8")):
        found = (path.parent / target).resolve()
        assert found.exists() or found.relative_to(ROOT).as_posix() in WRITTEN, f"{path.name}: {target}"


def test_messages_of_the_code_name_pages_that_are_there() -> None:
    named = {
        page
        for path in [
            *(ROOT / "delaytool").rglob("*.py"),
            *(ROOT / "delaytool").rglob("*.toml"),
            *ROOT.glob("benchmarks/*.py"),
        ]
        for page in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8"))
    }
    assert len(named) >= 8
    assert {page for page in named if not (ROOT / page).is_file()} == set()


def test_links_that_lead_nowhere_are_found(tmp_path, capsys) -> None:
    (tmp_path / "a.html").write_text('<h1 id="top">A</h1><a href="b.html#here">b</a><img src="b.png" alt="">')
    (tmp_path / "b.png").write_bytes(b"")
    (tmp_path / "b.html").write_text('<p id="here"></p><a href="a.html#top">a</a><a href="https://example.org/x">x</a>')
    result = check_links(tmp_path)
    assert (result.n_checked, result.broken) == (3, [])
    assert result.external == {"https://example.org/x": ["b.html"]}
    assert main(tmp_path) == 0
    assert "not followed: https://example.org/x (b.html)" in capsys.readouterr().out

    (tmp_path / "c.html").write_text(
        '<a href="d.html">d</a><a href="b.html#there">b</a><script src="https://example.org/s.js"></script>'
    )
    assert check_links(tmp_path).broken == [
        ("c.html", "d.html"),
        ("c.html", "b.html#there"),
        ("c.html", "https://example.org/s.js is loaded from elsewhere"),
    ]
    assert main(tmp_path) == 1


def test_a_site_without_links_has_not_been_checked(tmp_path) -> None:
    assert main(tmp_path) == 1
