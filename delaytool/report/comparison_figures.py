"""A comparison's figures."""

from __future__ import annotations

from matplotlib.figure import Figure

from delaytool.figure_style import BLUE, FAINT, HALF, SERIES, VERMILLION, new_figure, plain_name, styled, unclutter
from delaytool.report.comparison import MethodComparison

MARKERS = "os^Dv<>P"


@styled
def accuracies(comparison: MethodComparison) -> Figure:
    """One row per method: float with rounded delays, and integers. Error bars are over runs, bands the test set's."""
    methods = [method for method in comparison.methods if method.rounded]
    figure = new_figure(HALF[0], 1.3 + 0.42 * len(methods))
    axes = figure.subplots()
    for place, method in enumerate(methods):
        for accuracy, color, marker, shift in (
            (method.rounded, BLUE, "o", -0.13),
            (method.integer, VERMILLION, "s", 0.13),
        ):
            if accuracy is None:
                continue
            mean, error = 100 * accuracy.over_runs.mean, 100 * (accuracy.over_runs.standard_error or 0)
            binomial = 100 * accuracy.binomial
            axes.plot([mean - binomial, mean + binomial], [place + shift] * 2, color=FAINT, linewidth=5, zorder=1)
            axes.errorbar([mean], [place + shift], xerr=[error], color=color, marker=marker, markersize=5, capsize=2.5)
    axes.errorbar([], [], xerr=[], color=BLUE, marker="o", markersize=5, label="float, rounded delays")
    axes.errorbar([], [], xerr=[], color=VERMILLION, marker="s", markersize=5, label="integers")
    axes.plot([], [], color=FAINT, linewidth=5, label="binomial")
    figure.legend(loc="outside lower center", ncols=3)
    axes.set_yticks(range(len(methods)), [plain_name(method.name, 20) for method in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xlabel("test accuracy (%)")
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    unclutter(axes)
    return figure


@styled
def accuracy_against_events(comparison: MethodComparison) -> Figure | None:
    """Accuracy of the integers over their synaptic events per sample; None where no method has integers."""
    known = [
        (method, method.integer, events)
        for method in comparison.methods
        if method.integer and (events := method.mean(lambda one: one.synaptic_events))
    ]
    if not known:
        return None
    figure = new_figure(HALF[0], 3.0)
    axes = figure.subplots()
    for index, (method, accuracy, events) in enumerate(known):
        axes.errorbar(
            [events.mean], [100 * accuracy.over_runs.mean], yerr=[100 * (accuracy.over_runs.standard_error or 0)],
            color=SERIES[index % len(SERIES)], marker=MARKERS[index // len(SERIES) % len(MARKERS)], markersize=6,
            capsize=2.5, linestyle="none", label=plain_name(method.name, 24),
        )  # fmt: skip
    least, most = (pick(events.mean for _, _, events in known) for pick in (min, max))
    if least > 0 and most / least > 5:
        axes.set_xscale("log")
    figure.legend(loc="outside lower center", ncols=min(2, len(known)))
    axes.set_xlabel("synaptic events per sample")
    axes.set_ylabel("test accuracy of the integers (%)")
    unclutter(axes)
    return figure
