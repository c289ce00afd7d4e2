"""Curves over a run's epochs, one function each. They draw their arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from delaytool.figure_style import (
    BLUE,
    FAINT,
    HALF,
    MUTED,
    PAPER,
    SERIES,
    SKY,
    VERMILLION,
    new_figure,
    plain_name,
    styled,
    unclutter,
)

# One dictionary per epoch, as a run's metrics.jsonl has them.
Metrics = Sequence[Mapping[str, Any]]


@styled
def loss(metrics: Sequence[Mapping[str, Any]], chosen_on: str, best: int | None) -> Figure:
    """Cross-entropy over epochs, in training and on the part that the epoch was chosen on."""
    figure, axes = _over_epochs(metrics, "Loss (cross-entropy)", best)
    _curve(axes, metrics, "train_loss", color=BLUE, label="train")
    _curve(axes, metrics, "validation_loss", color=VERMILLION, label=chosen_on)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right")
    return figure


@styled
def accuracy(metrics: Sequence[Mapping[str, Any]], chosen_on: str, best: int | None) -> Figure:
    """Accuracy over epochs; the chosen epoch is marked."""
    figure, axes = _over_epochs(metrics, "Accuracy (%)", best)
    _curve(axes, metrics, "train_accuracy", 100, color=BLUE, label="train")
    _curve(axes, metrics, "validation_accuracy", 100, color=VERMILLION, label=chosen_on)
    if any(line.get("test_accuracy") not in (None, line["validation_accuracy"]) for line in metrics):
        _curve(axes, metrics, "test_accuracy", 100, color=MUTED, linewidth=1, label="test, decides nothing")
    values = {line["epoch"]: line["validation_accuracy"] for line in metrics}
    if best is not None and values.get(best) is not None:
        value = 100 * values[best]
        axes.plot(
            [best], [value], "o", color=VERMILLION, markersize=5.5, markeredgecolor=PAPER, zorder=4,
            label=f"epoch {best}: {value:.2f} %",
        )  # fmt: skip
    axes.set_ylim(0, 102)
    axes.legend(loc="lower right")
    return figure


def _curve(axes: Axes, metrics: Metrics, key: str, factor: float = 1.0, **style: Any) -> None:
    """A metric over epochs, where it was measured: without a validation part there is no validation accuracy."""
    known = [(line["epoch"], factor * line[key]) for line in metrics if line.get(key) is not None]
    if known:
        axes.plot(*zip(*known, strict=True), **style)


@styled
def fold_means(record: Mapping[str, Any]) -> Figure:
    """Mean validation accuracy of the folds over epochs, the chosen epoch, and those that each fold alone would choose.

    record: of a cross-validation, as folds.json holds it.
    """
    means = [100 * value for value in record["mean_accuracy"]]
    epochs = list(range(1, len(means) + 1))
    chosen = record["chosen_epoch"]
    figure, axes = _over_epochs([{"epoch": epochs[0]}, {"epoch": epochs[-1]}], "Mean accuracy of the folds (%)", chosen)
    axes.plot(epochs, means, color=VERMILLION, label="mean of the folds")
    alone = [fold["best_epoch"] for fold in record["folds"]]
    own = [100 * fold["accuracy"] for fold in record["folds"]]
    axes.plot(alone, own, "o", color=BLUE, markersize=4, label="a fold's own best epoch")
    axes.set_ylim(0, 102)
    axes.legend(loc="lower right")
    return figure


@styled
def sigma(metrics: Sequence[Mapping[str, Any]], best: int | None) -> Figure:
    """Width of the delay kernels over epochs; None are epochs with rounded delays and single taps."""
    figure, axes = _over_epochs(metrics, "σ (steps)", best)
    known = [(line["epoch"], line["sigma"]) for line in metrics if line["sigma"] is not None]
    single = [line["epoch"] for line in metrics if line["sigma"] is None]
    if known:
        axes.plot(*zip(*known, strict=True), color=BLUE, marker="o", markersize=2.5 if len(known) < 60 else 0)
        values = [value for _, value in known]
        if min(values) > 0:
            axes.set_yscale("log", base=2)
            axes.set_ylim(min(values) / 1.3, max(values) * 1.3)
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_yticks([])
    if single:
        axes.axvspan(single[0] - 0.5, single[-1] + 0.5, color=SKY, alpha=0.2, linewidth=0)
        axes.text(
            (single[0] + single[-1]) / 2, 0.95, "single taps", transform=axes.get_xaxis_transform(),
            ha="center", va="top", color=MUTED, fontsize=7.5, rotation=0 if len(single) > len(metrics) / 6 else 90,
        )  # fmt: skip
    return figure


@styled
def delay_movement(metrics: Sequence[Mapping[str, Any]], best: int | None) -> Figure:
    """Mean distance that a layer's delays moved in each epoch."""
    figure, axes = _over_epochs(metrics, "Movement of a delay (steps per epoch)", best)
    epochs = [line["epoch"] for line in metrics]
    for index, name in enumerate(metrics[0]["delay_moved"]):
        moved = [line["delay_moved"][name] for line in metrics]
        axes.plot(epochs, moved, color=SERIES[index % len(SERIES)], label=name)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right")
    return figure


@styled
def learning_curves(curves: Mapping[str, Sequence[Metrics]], key: str, title: str, factor: float = 1.0) -> Figure:
    """One color per name: the mean of its runs over epochs, and where there are several, each of them as a thin line.

    curves   by name, the metrics of each run; the mean at an epoch is of the runs that have it
    key      the metric, which is drawn `factor` times
    """
    figure = new_figure(HALF[0], HALF[1] + 0.16 * -(-len(curves) // 2))
    axes = figure.subplots()
    for index, (name, runs) in enumerate(curves.items()):
        color = SERIES[index % len(SERIES)]
        values: dict[int, list[float]] = {}
        for metrics in runs:
            for line in metrics:
                if line[key] is not None:
                    values.setdefault(int(line["epoch"]), []).append(factor * line[key])
            if len(runs) > 1:
                _curve(axes, metrics, key, factor, color=color, linewidth=0.7, alpha=0.4)
        epochs = sorted(values)
        means = [float(np.mean(values[epoch])) for epoch in epochs]
        dashes = "-" if index < len(SERIES) else "--"
        axes.plot(epochs, means, color=color, linestyle=dashes, label=plain_name(name, 30))
    axes.set_title(title)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    figure.legend(loc="outside lower center", ncols=2)
    unclutter(axes)
    return figure


def _over_epochs(metrics: Sequence[Mapping[str, Any]], title: str, best: int | None) -> tuple[Figure, Axes]:
    """Axes over epochs, the chosen one marked by a thin line in every figure."""
    figure = new_figure(*HALF)
    axes = figure.subplots()
    axes.set_title(title)
    axes.set_xlabel("epoch")
    last = metrics[-1]["epoch"]
    axes.set_xlim(metrics[0]["epoch"] - 0.5, last + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if best is not None:
        axes.axvline(best, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    unclutter(axes)
    return figure, axes
