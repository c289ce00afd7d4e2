"""A comparison as rows: for a terminal, a page, Markdown and CSV."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeAlias

from delaytool.accuracy_errors import SeedMean, format_points
from delaytool.digests import write_signed_json
from delaytool.experiments.measure_run import FALLBACK
from delaytool.experiments.sweep.results import write_csv
from delaytool.experiments.sweep.same_data import changed_data
from delaytool.files import write_text_atomically
from delaytool.report.comparison import Accuracy, Method, MethodComparison
from delaytool.report.comparison_choice import describe_choice
from delaytool.report.comparison_pairs import describe_pairs


def note_on_accuracies(comparison: MethodComparison) -> str:
    """What the figures of accuracy are."""
    note = "Accuracies are mean ± standard error over runs, in percent; in brackets the test set's binomial error."
    if all(method.test_parts < 2 for method in comparison.methods):
        return note
    return f"{note} Test accuracies are over all speakers' samples: a run counts as many times as it has test samples."


# NeuroBench's metrics: the field of `Measured`, and how its mean over runs is written.
NEUROBENCH = {
    "footprint, KiB": ("footprint_bytes", 1 / 1024, "{:,.1f}"),
    "connection sparsity": ("connection_sparsity", 1, "{:.3f}"),
    "activation sparsity": ("activation_sparsity", 1, "{:.3f}"),
    "effective ACs": ("effective_acs", 1, "{:,.0f}"),
    "effective MACs": ("effective_macs", 1, "{:,.0f}"),
    "membrane updates": ("membrane_updates", 1, "{:,.0f}"),
}


HEADING_NOTES = {
    "runs": "seeds, times the speakers where each is held out in turn",
    "validation": "accuracy of the chosen epoch; the other accuracies are on the test part",
    "parameters": "that training moves: weights, delays where they are learned, batch norm",
    "synapses": "of nonzero weight in the exported network, mean over runs",
    "float, rounded": "the trained network with whole delays, which the integers should reproduce",
    "integer": "the exported network on the whole test part; for a target without limits where the chip cannot hold it",
    "drop": "points of accuracy that the integers cost against the float network with rounded delays",
    "values differ": "spikes, currents and membranes in which engine and reference differ, all runs together",
    "spikes": "that the network fires for one sample, mean; without integers, the float network's",
    "footprint, KiB": "NeuroBench: 32-bit parameters, states and delay buffers of the integer network",
    "connection sparsity": "NeuroBench: share of the pairs of neurons without a synapse",
    "activation sparsity": "NeuroBench: share of the outputs of all layers and steps that are no spike",
    "effective ACs": "NeuroBench: synaptic events of spikes, mean of a sample; MACs: those of input that can exceed 1",
    "membrane updates": "NeuroBench: membranes that change from one step to the next, mean of a sample",
    "synaptic events": "synapses that take up a spike for one sample, mean; a chip's energy is estimated from them",
}


def format_test_accuracy(accuracy: Accuracy | None) -> str:
    """'96.84 ± 0.40 (0.92)'."""
    if accuracy is None:
        return "-"
    return f"{_percent(accuracy.over_runs)} ({100 * accuracy.binomial:.2f})"


def _percent(mean: SeedMean | None) -> str:
    if mean is None:
        return "-"
    return f"{100 * mean.mean:.2f}" + ("" if mean.standard_error is None else f" ± {100 * mean.standard_error:.2f}")


def format_fit(method: Method) -> str:
    """Whether the chip holds it, and in how much of it."""
    if not method.measured:
        return "-"
    if method.fitting < len(method.measured):
        fit = "no" if method.fitting == 0 else f"{method.fitting} of {len(method.measured)} fit"
        return f"{fit}; integers for {FALLBACK}" if FALLBACK in method.integers_for else fit
    cores = max(one.cores or 0 for one in method.measured)
    size = max(one.synapse_bytes or 0 for one in method.measured) / 1024
    if not cores:
        return "fits"
    return f"fits: {cores} core{'s' * (cores != 1)}, {size:,.1f} KiB"


def _count(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _mean(mean: SeedMean | None) -> str:
    return "-" if mean is None else f"{mean.mean:,.0f}"


def _drop(mean: SeedMean | None) -> str:
    if mean is None:
        return "-"
    drop = format_points(mean.mean)
    return drop if mean.standard_error is None else f"{drop} ± {mean.standard_error:.2f}"


def _neurobench(name: str, factor: float, form: str, method: Method) -> str:
    mean = method.mean(attrgetter(name))
    return "-" if mean is None else form.format(mean.mean * factor)


# What a method has in each column; a last one, `columns`, is of the target.
COLUMNS: dict[str, Callable[[Method], str]] = {
    "method": lambda method: method.name,
    "runs": lambda method: method.result.runs_finished,
    "parameters": lambda method: _count(method.parameters),
    "synapses": lambda method: _mean(method.mean(lambda one: one.synapses)),
    "validation": lambda method: _percent(method.validation),
    "float, as trained": lambda method: format_test_accuracy(method.as_trained),
    "float, rounded": lambda method: format_test_accuracy(method.rounded),
    "integer": lambda method: format_test_accuracy(method.integer),
    "drop": lambda method: _drop(method.drop),
    "values differ": lambda method: _count(method.differing),
    "spikes": lambda method: _mean(method.spikes),
    "synaptic events": lambda method: _mean(method.mean(lambda one: one.synaptic_events)),
    **{heading: partial(_neurobench, *how) for heading, how in NEUROBENCH.items()},
}
ACCURACY_COLUMNS = ("method", "runs", "validation", "float, rounded", "integer")
_NOT_COSTS = (*ACCURACY_COLUMNS[1:], "float, as trained", "parameters", "synapses", "spikes", *NEUROBENCH)
_COSTS = ("method", "parameters", "synapses", "spikes", "synaptic events", *NEUROBENCH)
# Headings and rows.
_Table: TypeAlias = tuple[tuple[str, ...], list[tuple[str, ...]]]


def columns(comparison: MethodComparison) -> dict[str, Callable[[Method], str]]:
    """All of them, in order, by heading."""
    return {**COLUMNS, f"on {comparison.target}": format_fit}


def page_tables(comparison: MethodComparison) -> list[_Table]:
    """A page's two tables: accuracies and the fit, and costs."""
    accuracies = tuple(name for name in columns(comparison) if name not in _COSTS[1:])
    return [_table(comparison, headings) for headings in (accuracies, _COSTS)]


def narrow_tables(comparison: MethodComparison) -> list[_Table]:
    """Accuracies, costs and NeuroBench's metrics: tables that a terminal of 80 columns holds."""
    costs = tuple(name for name in columns(comparison) if name not in _NOT_COSTS)
    names = tuple(NEUROBENCH)
    tables = (ACCURACY_COLUMNS, costs, ("method", *names[:3]), ("method", *names[3:]))
    return [_table(comparison, headings) for headings in tables]


def _table(comparison: MethodComparison, headings: tuple[str, ...]) -> _Table:
    cells = columns(comparison)
    return headings, [tuple(cells[name](method) for name in headings) for method in comparison.methods]


def reasons(comparison: MethodComparison) -> list[str]:
    """Why methods did not fit or failed, and which runs were tested on other samples than the rest."""
    of_methods = [f"{method.name} {reason}" for method in comparison.methods for reason in method.reasons]
    return [*of_methods, *changed_data(comparison.runs)]


def as_markdown(comparison: MethodComparison) -> str:
    """The table, what its figures are, and the reasons."""
    names, rows = _table(comparison, tuple(columns(comparison)))
    lines = ["| " + " | ".join(names) + " |", "|---" + "|---:" * (len(names) - 1) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines += ["", note_on_accuracies(comparison), ""]
    sentences = (describe_choice(comparison), *describe_pairs(comparison), *reasons(comparison))
    lines += [f"- {sentence}" for sentence in sentences if sentence]
    return "\n".join(lines).rstrip() + "\n"


def write_tables(comparison: MethodComparison, folder: Path) -> list[Path]:
    """comparison.md; comparison.csv, with accuracies as shares (0..1), the drop in points; comparison.json, with that
    and the tests of all pairs.
    """
    markdown, table, data = (folder / f"comparison.{ending}" for ending in ("md", "csv", "json"))
    write_text_atomically(markdown, as_markdown(comparison))
    rows_of_csv = [_csv_row(method) for method in comparison.methods]
    write_csv(table, rows_of_csv)
    write_signed_json(data, _as_json(comparison, rows_of_csv))
    return [table, markdown, data]


def _as_json(comparison: MethodComparison, methods: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "target": comparison.target,
        "best": comparison.best,
        "highest_on_test": comparison.highest_on_test,
        "methods": [{key: None if value == "" else value for key, value in row.items()} for row in methods],
        "pairs": [test.as_dict() for test in comparison.pairs.tests],
        "pairs_not_tested": list(comparison.pairs.untested),
        "mcnemar": [
            {"one": test.one, "other": test.other, **asdict(each)}
            for test in comparison.pairs.tests
            for each in test.mcnemar
        ],
    }


def _csv_row(method: Method) -> dict[str, Any]:
    row: dict[str, Any] = {
        "method": method.name, "runs": len(method.result.runs), "finished": len(method.finished),
        "parameters": method.parameters,
    }  # fmt: skip
    row["validation_accuracy"] = method.validation and method.validation.mean
    row["validation_standard_error"] = method.validation and method.validation.standard_error
    accuracies = {
        "float_as_trained": method.as_trained, "float_rounded": method.rounded, "integer": method.integer,
    }  # fmt: skip
    for name, accuracy in accuracies.items():
        row[f"{name}_accuracy"] = accuracy and accuracy.over_runs.mean
        row[f"{name}_standard_error"] = accuracy and accuracy.over_runs.standard_error
        row[f"{name}_binomial_error"] = accuracy and accuracy.binomial
    row |= {
        "test_samples": method.result.test_samples,
        "integers_for": method.integers_for,
        "drop_points": method.drop and method.drop.mean,
        "drop_standard_error": method.drop and method.drop.standard_error,
        "differing_values": method.differing,
        "compared_values": method.compared,
    }
    means = {
        "synapses": method.mean(lambda one: one.synapses),
        "spikes": method.spikes,
        "input_spikes": method.mean(lambda one: one.input_spikes),
        "synaptic_events": method.mean(lambda one: one.synaptic_events),
        **{name: method.mean(attrgetter(name)) for name, _, _ in NEUROBENCH.values()},
    }
    row |= {name: mean and mean.mean for name, mean in means.items()}
    # As in the table: what the largest run takes.
    row |= {
        name: max((getattr(one, name) or 0 for one in method.measured), default=0) or None
        for name in ("cores", "synapse_bytes")
    }
    row |= {"runs_that_fit": method.fitting, "reasons": "; ".join(method.reasons)}
    return {key: "" if value is None else round(value, 6) if isinstance(value, float) else value
            for key, value in row.items()}  # fmt: skip
