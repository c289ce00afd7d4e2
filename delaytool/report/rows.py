"""Rows of tables, made once for terminals and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from delaytool.verification.verdict import Figures, Verdict

if TYPE_CHECKING:
    from delaytool.analysis.layer_structure import LayerStructure

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


def verdict_rows(figures: Figures) -> list[tuple[str, ...]]:
    """(what, accuracy, error, spikes, u, v that differ, seconds) of each line."""
    comparisons = figures.comparisons if isinstance(figures, Verdict) else {}
    rows: list[tuple[str, ...]] = []
    if figures.floats is not None:
        for name, accuracy in (("as trained", figures.floats.as_trained), ("delays rounded", figures.floats.rounded)):
            rows.append((f"float, {name}", *_accuracy(figures, accuracy), "", "", "", ""))
    for name, accuracy in figures.accuracy.items():
        comparison = comparisons.get(name)
        if comparison is None:
            differ: tuple[str, ...] = ("-", "-", "-")
        else:
            differ = tuple(f"{comparison.count(quantity):,}" for quantity in ("spikes", "u", "v"))
        how = f" ({figures.methods[name]})" if name in figures.methods else ""
        samples = figures.samples_of(name)
        few = "" if samples == figures.samples else f", {samples} sample{'s' * (samples != 1)}"
        what = f"integer, {name}{how}{few}"
        rows.append((what, *_accuracy(figures, accuracy, samples), *differ, f"{figures.seconds[name]:.2f}"))
    return rows


def _accuracy(figures: Figures, accuracy: float, samples: int | None = None) -> tuple[str, str]:
    return f"{100 * accuracy:.2f} %", f"± {100 * figures.error(accuracy, samples):.2f}"


VERDICT_HEADINGS = ("network", "accuracy", "std err", "spikes differ", "u", "v", "seconds")
COST_HEADINGS = ("layer", "spikes", "synaptic events", "neuron updates")


def cost_rows(figures: Figures) -> list[tuple[str, ...]]:
    """Means a sample, by layer: what energy on a chip is counted from."""
    counters = figures.counters
    rows: list[tuple[str, ...]] = [("input", f"{counters.input_spikes.mean():,.1f}", "", "")]
    for index, name in enumerate(figures.layer_names):
        values = (counters.spikes, counters.synaptic_events, counters.neuron_updates)
        rows.append((name, *(f"{array[:, index].mean():,.1f}" for array in values)))
    return rows


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
