"""Composes a comparison's page: one HTML file that needs no other."""

from __future__ import annotations

from pathlib import Path

from delaytool.figure_style import FONTS, as_data_uri
from delaytool.files import atomic_path
from delaytool.report import comparison_figures as figures
from delaytool.report import comparison_pairs as pairs
from delaytool.report import comparison_tables as tables
from delaytool.report.comparison import MethodComparison
from delaytool.report.page import template_named
from delaytool.version import __version__


def write_page(comparison: MethodComparison, output: Path) -> None:
    """Compose the page and write it, whole or not at all."""
    page = compose(comparison)
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def compose(comparison: MethodComparison) -> str:
    """The page as text."""
    shown = []
    if any(method.rounded for method in comparison.methods):
        shown.append(("Test accuracy of each method", figures.accuracies(comparison)))
    if (costs := figures.accuracy_against_events(comparison)) is not None:
        shown.append(("Test accuracy against synaptic events", costs))
    finished = sum(run.state == "finished" for run in comparison.runs)
    return template_named("comparison.html.j2").render(
        fonts=FONTS,
        version=__version__,
        title=f"{len(comparison.methods)} methods compared",
        subtitle=f"{finished} of {len(comparison.runs)} runs finished, exported for {comparison.target} and verified",
        protocols=comparison.protocols,
        headings=tables.headings(comparison),
        rows=tables.rows(comparison),
        accuracies=tables.ACCURACIES,
        notes=tables.HEADING_NOTES,
        reasons=tables.reasons(comparison),
        pair_headings=pairs.HEADINGS,
        pair_rows=pairs.pair_rows(comparison),
        pair_note=pairs.pair_note(comparison),
        pair_sentences=pairs.describe_pairs(comparison),
        compared=sum(method.compared for method in comparison.methods),
        differing=sum(method.differing or 0 for method in comparison.methods),
        figures=[{"alt": alt, "uri": as_data_uri(figure)} for alt, figure in shown],
        names=[method.name for method in comparison.methods],
        differences=[(key, *values) for key, values in comparison.differences],
    )
