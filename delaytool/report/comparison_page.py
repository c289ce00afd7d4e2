"""Composes a comparison's page: one HTML file that needs no other."""

from __future__ import annotations

from pathlib import Path

from markupsafe import Markup

from delaytool.accuracy_errors import SeedMean
from delaytool.files import write_text_atomically
from delaytool.report import comparison_figures as figures
from delaytool.report import comparison_pairs as pairs
from delaytool.report import comparison_tables as tables
from delaytool.report.comparison import MethodComparison
from delaytool.report.comparison_choice import describe_choice, format_common_runs
from delaytool.report.inline_svg import inline_svg
from delaytool.report.learning_curves import draw_learning_curves
from delaytool.report.render import render
from delaytool.report.sentences import Figure

SECTIONS = {
    "accuracies": "Accuracies",
    "significance": "Which differences could be chance",
    "fit": "What does not fit, and what failed",
    "figures": "Accuracy and its cost",
    "curves": "Learning curves",
    "costs": "Costs",
    "recipes": "What differs between the recipes",
}


def write_page(comparison: MethodComparison, output: Path) -> None:
    """Compose the page and write it, whole or not at all."""
    write_text_atomically(output, compose(comparison))


def compose(comparison: MethodComparison) -> str:
    """The page as text."""
    accuracies, costs = tables.page_tables(comparison)
    shown = _figures(comparison)
    curves = _curves(comparison)
    sentences = pairs.describe_pairs(comparison)
    absent = {"significance": not sentences, "figures": not shown, "curves": not curves}
    return render(
        "comparison.html.j2",
        {id: heading for id, heading in SECTIONS.items() if not absent.get(id)},
        title=f"{len(comparison.methods)} methods compared",
        subtitle=_subtitle(comparison),
        protocols=comparison.protocols,
        key_figures=_key_figures(comparison),
        accuracies=accuracies,
        choice=describe_choice(comparison),
        note=tables.note_on_accuracies(comparison),
        pair_headings=pairs.HEADINGS,
        pair_rows=pairs.pair_rows(comparison),
        pair_note=pairs.pair_note(comparison),
        pair_sentences=sentences,
        reasons=tables.reasons(comparison),
        target=comparison.target,
        figures=shown,
        curves=curves,
        costs=costs,
        notes=list(tables.HEADING_NOTES.items()),
        names=[method.name for method in comparison.methods],
        differences=[(key, *values) for key, values in comparison.differences],
    )


def _subtitle(comparison: MethodComparison) -> str:
    finished = sum(run.state == "finished" for run in comparison.runs)
    return f"{finished} of {len(comparison.runs)} runs finished, exported for {comparison.target} and verified"


def _key_figures(comparison: MethodComparison) -> list[Figure]:
    """The method that is best by validation, or the highest on test; bits; what fits."""
    figures = []
    of_name = {method.name: method for method in comparison.methods}
    if comparison.best is not None and (mean := of_name[comparison.best].validation):
        note = _of_runs(mean)
        if not comparison.compares_all_runs:
            note = f"over the {format_common_runs(comparison)}"
        figures.append(Figure("best by validation", comparison.best, note, "name"))
    if comparison.highest_on_test is not None and (accuracy := of_name[comparison.highest_on_test].integer):
        note = f"{_of_runs(accuracy.over_runs)}; no choice"
        figures.append(Figure("highest on test", comparison.highest_on_test, note, "name"))
    compared = sum(method.compared for method in comparison.methods)
    if compared:
        differing = sum(method.differing or 0 for method in comparison.methods)
        mood = "bad" if differing else "good"
        figures.append(Figure("values that differ", f"{differing:,}", f"of {compared:,}, engine and reference", mood))
    measured = [method for method in comparison.methods if method.measured]
    if measured:
        fitting = sum(method.fitting == len(method.measured) for method in measured)
        figures.append(
            Figure(f"methods that fit {comparison.target}", f"{fitting} of {len(measured)}", "all their runs")
        )
    return figures


def _of_runs(mean: SeedMean) -> str:
    return f"{100 * mean.mean:.2f} %, mean of {mean.seeds} run{'s' * (mean.seeds != 1)}"


def _figures(comparison: MethodComparison) -> list[Markup]:
    shown = []
    if any(method.rounded for method in comparison.methods):
        shown.append(inline_svg(figures.accuracies(comparison), "Test accuracy of each method"))
    if (costs := figures.accuracy_against_events(comparison)) is not None:
        shown.append(inline_svg(costs, "Test accuracy against synaptic events"))
    return shown


def _curves(comparison: MethodComparison) -> list[Markup]:
    curves = {method.name: method.curves for method in comparison.methods if any(method.curves)}
    on_test = [method.name for method in comparison.methods if method.chose_on_test]
    return draw_learning_curves(curves, on_test) if curves else []
