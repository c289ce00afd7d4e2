"""What the site's pages get besides: pictures that open, and figures that stay on one line."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mkdocs")
sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))

import site_hooks


def content(html: str, source: str = "results.md") -> str:
    page = SimpleNamespace(file=SimpleNamespace(src_uri=source))
    return site_hooks.on_page_content(html, page, None, None)  # type: ignore[arg-type]


def test_a_picture_leads_to_its_file() -> None:
    picture = '<img alt="curves" src="pictures/curves.png" />'
    assert content(f"<p>{picture}</p>") == f'<p><a href="pictures/curves.png">{picture}</a></p>'
    of_notebook = '<img src="data:image/png;base64,AAAA">'
    assert content(of_notebook, "notebooks/hearing.ipynb") == of_notebook


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("76.17 ± 0.45 %", "76.17~±~0.45~%"),
        ("26.0 to 28.7", "26.0~to~28.7"),
        ("-2.00 (-8.77 to +4.77)", "-2.00 (-8.77~to~+4.77)"),
        ("fits to a core", "fits to a core"),
    ],
)
def test_figures_of_a_cell_are_not_parted(cell: str, shown: str) -> None:
    kept = "<p>76.17 ± 0.45 %</p>"
    expected = shown.replace("~", "\N{NO-BREAK SPACE}")
    assert content(f"<td>{cell}</td>{kept}") == f"<td>{expected}</td>{kept}"


def test_links_of_a_notebook_lead_to_pages() -> None:
    html = '<a href="../training.md#protocols">x</a> <a href="https://example.org/a.md">y</a>'
    assert content(html, "notebooks/quickstart.ipynb") == html.replace("training.md", "training.html")
    assert content(html) == html
