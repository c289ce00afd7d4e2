"""Rows of tables, made once for terminals and pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from delaytool.accuracy_errors import format_seed_mean, wilson_interval
from delaytool.printable import printable
from delaytool.verification.verdict import ClassAccuracy, Figures, Verdict

if TYPE_CHECKING:
    from delaytool.analysis.layer_structure import LayerStructure
    from delaytool.experiments.sweep.results import Results
    from delaytool.experiments.verify_run import TwoPartVerification
    from delaytool.report.activity import LayerActivity

EXPORT_HEADINGS = (
    "layer", "synapses", "unit", "exp", "threshold", "error", "clipped", "differ", "|u|", "|v|",
)  # fmt: skip

EXPORT_HEADING_NOTES = {
    "synapses": "those of nonzero weight",
    "unit": "integer units (weight · 2^exp) that a weight of 1.0 became",
    "exp": "exponent that all weights of the layer share",
    "threshold": "mantissa; the neuron fires where v > threshold · 2⁶",
    "error": "root mean square error of the weights, relative to theirs",
    "clipped": "share of the weights beyond the range",
    "differ": "share of the spikes that differ from the float network's on the calibration samples; "
    "of the readout, its membrane's relative error",
    "|u|": "largest current that any input could cause, as a share of the 24-bit range; below 100 % it cannot wrap",
    "|v|": "the same of the membrane if the layer never reset; of the readout, as a share of its threshold, "
    "below which it never fires",
}


def export_rows(layers: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row per layer of an export (`exporter.record.LayerSummary` as a dictionary)."""
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
        for what, accuracy in figures.floats.by_network().items():
            rows.append((what, *_accuracy(figures, accuracy), "", "", "", ""))
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
    """Means per sample, by layer; a chip's energy is estimated from them."""
    counters = figures.counters
    rows: list[tuple[str, ...]] = [("input", f"{counters.input_spikes.mean():,.1f}", "", "")]
    for index, name in enumerate(figures.layer_names):
        values = (counters.spikes, counters.synaptic_events, counters.neuron_updates)
        rows.append((name, *(f"{array[:, index].mean():,.1f}" for array in values)))
    return rows


TIME_HEADINGS = ("simulation", "samples", "ms per sample")


def time_rows(verification: TwoPartVerification, decision_seconds: float | None) -> list[tuple[str, str, str]]:
    """What each backend took for a sample, all of its samples together, and the first one for a single decision."""
    whole, bits = verification.whole, verification.bits
    runs = [(whole.backend, whole.samples, whole.seconds[whole.backend])]
    runs += [(name, bits.samples_of(name), bits.seconds[name]) for name in bits.comparisons]
    rows = [(name, f"{samples:,}", _milliseconds(seconds / samples)) for name, samples, seconds in runs]
    if decision_seconds is not None:
        rows.append((f"{whole.backend}, one decision alone", "1", _milliseconds(decision_seconds)))
    return rows


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g}"


def class_rows(classes: Sequence[ClassAccuracy]) -> list[dict[str, Any]]:
    """Per class its name, samples, accuracy and Wilson's 95 % interval as texts, and the percentage as a number."""
    rows = []
    for one in classes:
        known = one.accuracy is not None
        low, high = wilson_interval(one.accuracy, one.samples) if one.accuracy is not None else (0.0, 0.0)
        rows.append(
            {
                "name": printable(one.name),
                "samples": f"{one.samples:,}",
                "accuracy": f"{100 * (one.accuracy or 0.0):.1f} %" if known else "-",
                "interval": f"{100 * low:.1f} to {100 * high:.1f}" if known else "-",
                "percent": round(100 * (one.accuracy or 0.0), 1) if known else None,
            }
        )
    return rows


ACTIVITY_HEADINGS = (
    "layer", "neurons", "spikes per neuron and sample", "steps with a spike", "rate", "busiest neuron", "dead",
    "saturated",
)  # fmt: skip


def activity_rows(layers: Sequence[LayerActivity], steps: int, time_step_ms: float) -> list[tuple[str, ...]]:
    """One row per hidden layer. steps: of a sample, on the chip."""
    return [
        (
            layer.name,
            f"{layer.rates.size:,}",
            f"{layer.rates.mean() * steps:.2f}",
            f"{100 * layer.rates.mean():.1f} %",
            f"{1000 * layer.rates.mean() / time_step_ms:,.1f} Hz",
            f"{100 * layer.rates.max():.0f} % of the steps",
            f"{layer.dead:,}",
            f"{layer.saturated:,}",
        )
        for layer in layers
    ]


STRUCTURE_HEADINGS = ("part", "training", "Moran's I", "cells", "p < 5 %", "weights", "p < 5 %")


def structure_rows(stages: Mapping[str, LayerStructure]) -> list[tuple[str, ...]]:
    """Moran's I of a layer's receptive fields, one row for each part and stage of training."""
    summaries = {stage: structure.summary() for stage, structure in stages.items()}
    rows: list[tuple[str, ...]] = []
    for part in next(iter(summaries.values())):
        for stage, summary in summaries.items():
            figures = summary[part]
            count = figures["neurons"]
            if count == 0:
                rows.append((part, stage, "-", "-", "-", "-", "-"))
                continue
            deviation = figures["morans_i_deviation"]
            error = "" if deviation is None else f" ± {deviation / count**0.5:.4f}"
            row = [part, stage, f"{figures['morans_i_mean']:.4f}{error}"]
            for null in ("cells", "weights"):
                shuffled = figures[f"{null}_shuffled"]
                row += [f"{shuffled['morans_i_mean']:.4f}", f"{100 * shuffled['share_significant']:.1f} %"]
            rows.append(tuple(row))
    return rows


def sweep_headings(results: Results) -> tuple[str, ...]:
    """Of `sweep_rows`; the first column has none where runs are only repeated."""
    from delaytool.experiments.sweep.setting import short_names

    names = short_names(list(results.keys)).values() if results.keys else ("",)
    validation = "mean of folds" if results.are_cross_validated else "validation"
    if results.chose_on_test:
        alone = all(setting.chose_on_test for setting in results.settings if setting.validation is not None)
        validation = "chosen on test" if alone else "validation or test"
    return (*names, "runs", validation, "test, rounded", "test set's error")


def sweep_note(results: Results) -> str:
    """What the accuracies of `sweep_rows` are, and which of them may choose a setting."""
    if results.are_cross_validated:
        return (
            "The mean of folds is that of the epoch that it chooses, over seeds; test is that of the chosen setting "
            "alone, trained on all samples. Both are means ± standard errors."
        )
    optimistic = "the best of many test accuracies is optimistic."
    if results.chose_on_test:
        choice = f"Epochs were chosen on the test part, so that no column may choose a setting: {optimistic}"
    elif all(setting.validation is None for setting in results.settings):
        choice = f"Nothing was validated, so that no column may choose a setting: {optimistic}"
    else:
        choice = f"To choose a setting, look at the validation column: {optimistic}"
    return f"Means ± standard errors over the runs of each setting. {choice}"


def sweep_rows(results: Results) -> list[tuple[str, ...]]:
    """One row per setting: validation and test accuracy, with their means and standard errors over repeats."""
    from delaytool.experiments.sweep.setting import format_value

    rows: list[tuple[str, ...]] = []
    for setting in results.settings:
        cells = [format_value(value) for value in setting.values.values()] or ["all runs"]
        binomial = "" if setting.binomial is None else f"± {100 * setting.binomial:.2f}"
        accuracies = map(format_seed_mean, (setting.validation, setting.test))
        rows.append((*cells, setting.runs_finished, *accuracies, binomial))
    return rows


def confusion_rows(matrix: np.ndarray, most: int = 8, class_names: Sequence[str] = ()) -> list[tuple[str, str, str]]:
    """The most frequent mistakes as (class, predicted, share of the class's samples); classes by name, if any."""
    names = [printable(name) for name in class_names] or [str(number) for number in range(len(matrix))]
    misses = matrix * ~np.eye(len(matrix), dtype=bool)
    order = np.argsort(-misses, axis=None, kind="stable")[:most]
    rows = []
    for label, prediction in zip(*np.unravel_index(order, matrix.shape), strict=True):
        if misses[label, prediction]:
            share = f"{misses[label, prediction]:,} of {matrix[label].sum():,}"
            rows.append((names[label], names[prediction], share))
    return rows
