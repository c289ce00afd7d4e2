"""Tables that verbs print; their rows are made in `report`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from delaytool.report.rows import (
    COST_HEADINGS,
    EXPORT_HEADINGS,
    STRUCTURE_HEADINGS,
    VERDICT_HEADINGS,
    cost_rows,
    export_rows,
    structure_rows,
    sweep_headings,
    sweep_rows,
    verdict_rows,
)
from delaytool.verification.verdict import Verdict

if TYPE_CHECKING:
    from delaytool.analysis.layer_structure import LayerStructure
    from delaytool.experiments.sweep.results import Results
    from delaytool.report.comparison import MethodComparison


def _table(title: str, headings: tuple[str, ...]) -> Table:
    """Numbers right, names left, narrow enough for 80 columns."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True, header_style="dim")
    return table


def export_table(layers: list[dict[str, Any]], title: str) -> Table:
    """Of the exported layers."""
    table = _table(title, EXPORT_HEADINGS)
    for row in export_rows(layers):
        table.add_row(*row)
    return table


def verdict_table(verdict: Verdict) -> Table:
    """Accuracies and bit mismatches."""
    table = _table(f"{verdict.samples} samples, {verdict.steps} steps", VERDICT_HEADINGS)
    for row in verdict_rows(verdict):
        table.add_row(*row)
    return table


def cost_table(verdict: Verdict) -> Table:
    """Cost per sample, by layer."""
    table = _table("mean cost per sample", COST_HEADINGS)
    for row in cost_rows(verdict):
        table.add_row(*row)
    return table


def sweep_table(results: Results) -> Table:
    """One row per setting: validation and test accuracy."""
    table = _table("", sweep_headings(results))
    for row in sweep_rows(results):
        table.add_row(*row)
    return table


def comparison_tables(comparison: MethodComparison) -> list[Table]:
    """Accuracies and costs, one row per method."""
    from delaytool.report.comparison_tables import narrow_tables

    tables = []
    for headings, rows in narrow_tables(comparison):
        table = _table("", headings)
        table.columns[0].min_width = max((len(row[0]) for row in rows), default=None)
        for row in rows:
            table.add_row(*row)
        tables.append(table)
    return tables


def structure_table(stages: Mapping[str, LayerStructure], title: str) -> Table:
    """Structure before and after training, against shuffled fields."""
    table = _table(title, STRUCTURE_HEADINGS)
    for row in structure_rows(stages):
        table.add_row(*row)
    return table
