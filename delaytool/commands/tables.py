"""Tables that verbs print."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from delaytool.verification.verdict import Verdict

if TYPE_CHECKING:
    from delaytool.analysis.layer_structure import LayerStructure
    from delaytool.report.comparison import Comparison
    from delaytool.sweep.results import Results


def _table(title: str, headings: tuple[str, ...]) -> Table:
    """Numbers right, names left, narrow enough for 80 columns."""
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), pad_edge=False)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="right" if index else "left", no_wrap=True, header_style="dim")
    return table


EXPORT_HEADINGS = (
    "layer", "synapses", "unit", "exp", "threshold", "error", "clipped", "differ", "|u|", "|v|",
)  # fmt: skip


def export_rows(layers: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row a layer of an export's report (`exporter.report.LayerReport` as a dictionary)."""
    return [
        (
            layer["name"],
            f"{layer['synapses']:,}",
            f"{layer['units_per_one']:.1f}",
            str(layer["exponent"]),
            f"{layer['threshold']:,}",
            f"{100 * layer['weight_error']:.2f}%",
            f"{100 * layer['clipped_weights']:.2f}%",
            f"{100 * layer['disagreement']:.2f}%",
            f"{100 * layer['current_reach']:.0f}%",
            f"{100 * layer['membrane_reach']:.0f}%",
        )
        for layer in layers
    ]


def export_table(layers: list[dict[str, Any]], title: str) -> Table:
    """What the exporter did to each layer."""
    table = _table(title, EXPORT_HEADINGS)
    for row in export_rows(layers):
        table.add_row(*row)
    return table


def verdict_rows(verdict: Verdict) -> list[tuple[str, ...]]:
    """(what, accuracy, error, spikes, u, v that differ, seconds) of each line of the verdict."""
    rows: list[tuple[str, ...]] = []
    if verdict.floats is not None:
        for name, accuracy in (("as trained", verdict.floats.as_trained), ("delays rounded", verdict.floats.rounded)):
            rows.append((f"float, {name}", *_accuracy(verdict, accuracy), "", "", "", ""))
    for name, accuracy in verdict.accuracy.items():
        comparison = verdict.comparisons.get(name)
        if comparison is None:
            differ: tuple[str, ...] = ("-", "-", "-")
        else:
            differ = tuple(f"{comparison.count(quantity):,}" for quantity in ("spikes", "u", "v"))
        how = f" ({verdict.methods[name]})" if name in verdict.methods else ""
        rows.append((f"integer, {name}{how}", *_accuracy(verdict, accuracy), *differ, f"{verdict.seconds[name]:.2f}"))
    return rows


def _accuracy(verdict: Verdict, accuracy: float) -> tuple[str, str]:
    return f"{100 * accuracy:.2f} %", f"± {100 * verdict.error(accuracy):.2f}"


VERDICT_HEADINGS = ("network", "accuracy", "std err", "spikes differ", "u", "v", "seconds")


def verdict_table(verdict: Verdict) -> Table:
    """Accuracies and bit mismatches."""
    table = _table(f"{verdict.samples} samples, {verdict.steps} steps", VERDICT_HEADINGS)
    for row in verdict_rows(verdict):
        table.add_row(*row)
    return table


COST_HEADINGS = ("layer", "spikes", "synaptic events", "neuron updates")


def cost_rows(verdict: Verdict) -> list[tuple[str, ...]]:
    """Means a sample, by layer: what energy on a chip is counted from."""
    counters = verdict.counters
    rows: list[tuple[str, ...]] = [("input", f"{counters.input_spikes.mean():,.1f}", "", "")]
    for index, name in enumerate(verdict.layer_names):
        values = (counters.spikes, counters.synaptic_events, counters.neuron_updates)
        rows.append((name, *(f"{array[:, index].mean():,.1f}" for array in values)))
    return rows


def cost_table(verdict: Verdict) -> Table:
    """Cost a sample, by layer."""
    table = _table("a sample costs, on average", COST_HEADINGS)
    for row in cost_rows(verdict):
        table.add_row(*row)
    return table


def sweep_table(results: Results) -> Table:
    """A row a setting: validation and test accuracy, means and standard errors over repeats where there are several."""
    from delaytool.accuracy_errors import told_over_seeds
    from delaytool.sweep.setting import short_names, told

    names = short_names(list(results.keys))
    headings = (*names.values(), "runs", "validation", "test, rounded", "test set's error")
    table = _table("", headings if results.keys else ("", *headings))
    for setting in results.settings:
        cells = [told(value) for value in setting.values.values()] or ["all runs"]
        done = setting.count("finished")
        runs = str(done) if done == len(setting.runs) else f"{done} of {len(setting.runs)}"
        binomial = "" if setting.binomial is None else f"± {100 * setting.binomial:.2f}"
        accuracies = ("-" if mean is None else told_over_seeds(mean) for mean in (setting.validation, setting.test))
        table.add_row(*cells, runs, *accuracies, binomial)
    return table


ACCURACY_COLUMNS = ("method", "runs", "validation", "float, rounded", "integer")
NOT_COSTS = (*ACCURACY_COLUMNS[1:], "float, as trained", "parameters", "synapses", "spikes")


def comparison_tables(comparison: Comparison) -> list[Table]:
    """Two tables of a row a method, accuracies and costs, because one would be too wide for a terminal."""
    from delaytool.report.comparison_tables import headings, rows

    names = headings(comparison)
    lines = rows(comparison)
    tables = []
    for shown in (ACCURACY_COLUMNS, tuple(name for name in names if name not in NOT_COSTS)):
        table = _table("", shown)
        table.columns[0].min_width = max((len(line[0]) for line in lines), default=None)
        for line in lines:
            table.add_row(*(line[names.index(name)] for name in shown))
        tables.append(table)
    return tables


STRUCTURE_HEADINGS = ("part", "training", "Moran's I", "cells", "p < 5 %", "weights", "p < 5 %")


def structure_rows(stages: Mapping[str, LayerStructure]) -> list[tuple[str, ...]]:
    """Moran's I of a layer's receptive fields, a row for each part and stage of training."""
    summaries = {stage: structure.summary() for stage, structure in stages.items()}
    rows: list[tuple[str, ...]] = []
    for part in next(iter(summaries.values())):
        for stage, summary in summaries.items():
            figures = summary[part]
            count = figures["neurons"]
            if count == 0:
                rows.append((part, stage, "-", "-", "-", "-", "-"))
                continue
            error = figures["morans_i_deviation"] / count**0.5
            row = [part, stage, f"{figures['morans_i_mean']:.4f} ± {error:.4f}"]
            for null in ("cells", "weights"):
                shuffled = figures[f"{null}_shuffled"]
                row += [f"{shuffled['morans_i_mean']:.4f}", f"{100 * shuffled['share_significant']:.1f} %"]
            rows.append(tuple(row))
    return rows


def structure_table(stages: Mapping[str, LayerStructure], title: str) -> Table:
    """Structure before and after training, against shuffled fields."""
    table = _table(title, STRUCTURE_HEADINGS)
    for row in structure_rows(stages):
        table.add_row(*row)
    return table
