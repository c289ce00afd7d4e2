"""Tables that verbs print; their rows are made in `report`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from delaytool.commands.plain_table import plain_table
from delaytool.printable import printable
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
from delaytool.runtime.neurobench import rows as neurobench_rows
from delaytool.verification.verdict import Verdict

if TYPE_CHECKING:
    from delaytool.analysis.layer_structure import LayerStructure
    from delaytool.contract.network import IntegerNetwork
    from delaytool.experiments.sweep.results import Results
    from delaytool.inference.prediction import Prediction
    from delaytool.report.comparison import MethodComparison


def export_table(layers: list[dict[str, Any]], title: str) -> Table:
    """Of the exported layers."""
    return plain_table(title, EXPORT_HEADINGS, export_rows(layers))


def verdict_table(verdict: Verdict) -> Table:
    """Accuracies and bit mismatches."""
    return plain_table(f"{verdict.samples} samples, {verdict.steps} steps", VERDICT_HEADINGS, verdict_rows(verdict))


def cost_table(verdict: Verdict) -> Table:
    """Cost per sample, by layer."""
    return plain_table("mean cost per sample", COST_HEADINGS, cost_rows(verdict))


def neurobench_table(verdict: Verdict) -> Table:
    """NeuroBench's metrics of the first backend's run."""
    rows = neurobench_rows(verdict.static, verdict.operations)
    return plain_table("NeuroBench 2.3, means per sample", ("metric", "value"), rows)


def prediction_table(predictions: Sequence[Prediction], network: IntegerNetwork) -> Table:
    """One row per sample: its source, class and margin, and the class that the data name, if they do."""
    from delaytool.inference.prediction import name_of_class

    several = len({one.source for one in predictions}) < len(predictions)
    labeled = any(one.true_label is not None for one in predictions)
    headings = ("input", *(("sample",) if several else ()), "class", "margin", *(("labeled",) if labeled else ()))
    table = plain_table("", headings)
    table.columns[0].no_wrap = False
    table.columns[0].overflow = "fold"
    for one in predictions:
        truth = "" if one.true_label is None else name_of_class(network, one.true_label)
        sample = (str(one.sample),) if several else ()
        labels = (printable(truth),) if labeled else ()
        table.add_row(printable(one.source), *sample, printable(one.class_name), f"{one.margin:.3f}", *labels)
    return table


def table_of_objects(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row per object; all have the same keys."""
    cells = (tuple(f"{cell:,}" if type(cell) is int else printable(cell) for cell in row.values()) for row in rows)
    return plain_table("", tuple(rows[0]), cells)


def sweep_table(results: Results) -> Table:
    """One row per setting: validation and test accuracy."""
    return plain_table("", sweep_headings(results), sweep_rows(results))


def comparison_tables(comparison: MethodComparison) -> list[Table]:
    """Accuracies and costs, one row per method."""
    from delaytool.report.comparison_tables import narrow_tables

    tables = []
    for headings, rows in narrow_tables(comparison):
        table = plain_table("", headings, rows)
        _fold_names(table, rows)
        tables.append(table)
    return tables


def pair_table(comparison: MethodComparison) -> Table:
    """Differences of pairs of methods, and whether they could be chance."""
    from delaytool.report.comparison_pairs import HEADINGS, pair_rows

    rows = pair_rows(comparison)
    table = plain_table("", tuple("\n".join(textwrap.wrap(heading, 10)) for heading in HEADINGS), rows)
    _fold_names(table, rows)
    return table


def _fold_names(table: Table, rows: Sequence[tuple[str, ...]]) -> None:
    """Where a terminal is too narrow, break the names in the first column rather than cut the figures."""
    names = table.columns[0]
    names.no_wrap, names.overflow = False, "fold"
    names.min_width = min(6, max((len(row[0]) for row in rows), default=0)) or None


def structure_table(stages: Mapping[str, LayerStructure], title: str) -> Table:
    """Structure before and after training, against shuffled fields."""
    return plain_table(title, STRUCTURE_HEADINGS, structure_rows(stages))
