"""Tables that verbs print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from delaytool.commands.plain_table import plain_table as _table
from delaytool.report.rows import (
    COST_HEADINGS,
    EXPORT_HEADINGS,
    STRUCTURE_HEADINGS,
    VERDICT_HEADINGS,
    cost_rows,
    export_rows,
    structure_rows,
    verdict_rows,
)
from delaytool.runtime.neurobench import rows as neurobench_rows
from delaytool.verification.verdict import Verdict

if TYPE_CHECKING:
    from delaytool.analysis.layer_structure import LayerStructure
    from delaytool.experiments.sweep.results import Results
    from delaytool.report.comparison import Comparison


def export_table(layers: list[dict[str, Any]], title: str) -> Table:
    """What the exporter did to each layer."""
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
    """Cost a sample, by layer."""
    table = _table("a sample costs, on average", COST_HEADINGS)
    for row in cost_rows(verdict):
        table.add_row(*row)
    return table


def neurobench_table(verdict: Verdict) -> Table:
    """NeuroBench's metrics of the first backend's run."""
    table = _table("NeuroBench 2.3, means per sample", ("metric", "value"))
    for row in neurobench_rows(verdict.static, verdict.operations):
        table.add_row(*row)
    return table


def sweep_table(results: Results) -> Table:
    """A row a setting: validation and test accuracy, means and standard errors over repeats where there are several."""
    from delaytool.accuracy_errors import told_over_seeds
    from delaytool.experiments.sweep.setting import format_value, short_names

    names = short_names(list(results.keys))
    headings = (*names.values(), "runs", "validation", "test, rounded", "test set's error")
    table = _table("", headings if results.keys else ("", *headings))
    for setting in results.settings:
        cells = [format_value(value) for value in setting.values.values()] or ["all runs"]
        done = setting.count("finished")
        runs = str(done) if done == len(setting.runs) else f"{done} of {len(setting.runs)}"
        binomial = "" if setting.binomial is None else f"± {100 * setting.binomial:.2f}"
        accuracies = ("-" if mean is None else told_over_seeds(mean) for mean in (setting.validation, setting.test))
        table.add_row(*cells, runs, *accuracies, binomial)
    return table


ACCURACY_COLUMNS = ("method", "runs", "validation", "float, rounded", "integer")
NOT_COSTS = (*ACCURACY_COLUMNS[1:], "float, as trained", "parameters", "synapses", "spikes")


def comparison_tables(comparison: Comparison) -> list[Table]:
    """Tables of a row per method, accuracies, costs and NeuroBench's metrics: one would be too wide for a terminal."""
    from delaytool.report.comparison_tables import NEUROBENCH, headings, rows

    names = headings(comparison)
    lines = rows(comparison)
    tables = []
    costs = tuple(name for name in names if name not in NOT_COSTS and name not in NEUROBENCH)
    for shown in (ACCURACY_COLUMNS, costs, ("method", *NEUROBENCH)):
        table = _table("", shown)
        table.columns[0].min_width = max((len(line[0]) for line in lines), default=None)
        for line in lines:
            table.add_row(*(line[names.index(name)] for name in shown))
        tables.append(table)
    return tables


def structure_table(stages: Mapping[str, LayerStructure], title: str) -> Table:
    """Structure before and after training, against shuffled fields."""
    table = _table(title, STRUCTURE_HEADINGS)
    for row in structure_rows(stages):
        table.add_row(*row)
    return table
