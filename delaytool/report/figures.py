"""Figures, one function each. They draw their arguments and know neither files nor pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from delaytool.contract.layer import IntegerLayer
from delaytool.contract.network import IntegerNetwork
from delaytool.figure_style import BLUE, FAINT, GRID, INK, MUTED, SERIES, SKY, VERMILLION, new_figure, styled, unclutter
from delaytool.printable import printable
from delaytool.report.content import SampleTrace

HALF = (5.4, 2.9)
FULL_WIDTH = 11.2
# With more marks than this, a raster image keeps the page small.
MANY_MARKS = 4000


@styled
def loss(metrics: Sequence[Mapping[str, Any]], chosen_on: str, best: int | None) -> Figure:
    """Cross-entropy over epochs, in training and on the part that the epoch was chosen on."""
    figure, axes = _over_epochs(metrics, "Loss (cross-entropy)", best)
    epochs = [line["epoch"] for line in metrics]
    axes.plot(epochs, [line["train_loss"] for line in metrics], color=BLUE, label="train")
    if metrics[0]["validation_loss"] is not None:
        axes.plot(epochs, [line["validation_loss"] for line in metrics], color=VERMILLION, label=chosen_on)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right")
    return figure


@styled
def accuracy(metrics: Sequence[Mapping[str, Any]], chosen_on: str, best: int | None) -> Figure:
    """Accuracy over epochs; the chosen epoch is marked."""
    figure, axes = _over_epochs(metrics, "Accuracy (%)", best)
    epochs = [line["epoch"] for line in metrics]
    validation = [100 * line["validation_accuracy"] for line in metrics if line["validation_accuracy"] is not None]
    axes.plot(epochs, [100 * line["train_accuracy"] for line in metrics], color=BLUE, label="train")
    if validation:
        axes.plot(epochs, validation, color=VERMILLION, label=chosen_on)
    if any(line.get("test_accuracy") not in (None, line["validation_accuracy"]) for line in metrics):
        tested = [(line["epoch"], 100 * line["test_accuracy"]) for line in metrics if "test_accuracy" in line]
        axes.plot(*zip(*tested, strict=True), color=MUTED, linewidth=1, label="test, decides nothing")
    if validation and best is not None and best in epochs:
        value = validation[epochs.index(best)]
        axes.plot([best], [value], "o", color=VERMILLION, markersize=5.5, markeredgecolor="white", zorder=4)
        late = best > np.mean(epochs)
        axes.annotate(
            f"epoch {best}: {value:.2f} %", (best, value), xytext=(-7 if late else 7, -16),
            textcoords="offset points", ha="right" if late else "left", va="top", color=VERMILLION, fontsize=8.5,
        )  # fmt: skip
    axes.set_ylim(0, 102)
    axes.legend(loc="lower right")
    return figure


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
            ha="center", va="top", color=MUTED, fontsize=8.5, rotation=0 if len(single) > len(metrics) / 6 else 90,
        )  # fmt: skip
    return figure


@styled
def delay_movement(metrics: Sequence[Mapping[str, Any]], best: int | None) -> Figure:
    """Mean distance that a layer's delays moved in each epoch."""
    figure, axes = _over_epochs(metrics, "Mean movement of a delay (steps per epoch)", best)
    epochs = [line["epoch"] for line in metrics]
    for index, name in enumerate(metrics[0]["delay_moved"]):
        moved = [line["delay_moved"][name] for line in metrics]
        axes.plot(epochs, moved, color=SERIES[index % len(SERIES)], label=name)
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right")
    return figure


@styled
def delays(layers: Sequence[IntegerLayer], before: Mapping[str, np.ndarray] | None) -> Figure:
    """Delay histograms, one panel per layer: integers of the network as bars, the checkpoint's floats as a line."""
    figure = new_figure(HALF[0] * len(layers), HALF[1])
    for axes, layer in zip(np.ravel(figure.subplots(1, len(layers))), layers, strict=True):
        _delay_panel(axes, layer, None if before is None else before.get(layer.name))
    return figure


def _delay_panel(axes: Axes, layer: IntegerLayer, before: np.ndarray | None) -> None:
    after = np.concatenate([group.listed()[3] for group in layer.synapses] or [np.zeros(0, np.int32)])
    counts = np.bincount(after, minlength=1)
    largest = len(counts) - 1
    axes.bar(np.arange(len(counts)), counts, width=0.82, color=SKY, label="integer, on the chip")
    if before is not None and before.size:
        largest = max(largest, int(np.ceil(before.max())))
        fine = 4 if largest <= 40 else 2
        # Bins end on halves as rounding does, and heights are per whole step, to compare with the bars.
        edges = np.arange(-0.5, largest + 0.5 + 1e-9, 1 / fine)
        heights = np.histogram(before, edges)[0] * fine
        axes.stairs(heights, edges, color=INK, linewidth=1.1, label="learned, before rounding", baseline=None)
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, borderaxespad=0)
    axes.set_xlim(-0.7, largest + 0.7)
    axes.set_title(f"{layer.name}: {len(after):,} synapses")
    axes.set_xlabel("delay (steps)", labelpad=2)
    axes.set_ylabel("synapses per step")
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    unclutter(axes)


@styled
def raster(network: IntegerNetwork, sample: SampleTrace) -> Figure:
    """Input, every hidden layer's spikes and the readout's membranes of one sample, over chip steps."""
    hidden = network.layers[:-1]
    populations = [("input", sample.frames)]
    populations += [(layer.name, sample.trace.spikes[index][0]) for index, layer in enumerate(hidden)]
    heights = [1.1 + 0.6 * float(np.log2(values.shape[1] / 32 + 1)) for _, values in populations] + [2.5]
    figure = new_figure(FULL_WIDTH, 0.6 + 0.25 * len(heights) + sum(heights))
    panels = list(np.ravel(figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)))
    for panel, height, (name, values) in zip(panels, heights, populations, strict=False):
        _spike_panel(panel, name, values, height)
    _readout_panel(panels[-1], network, sample)
    frames = network.encoding.n_steps
    for panel in panels:
        panel.set_xlim(-0.7, network.n_steps - 0.3)
        panel.tick_params(length=0, labelsize=10)
        if frames is not None and frames < network.n_steps:
            panel.axvline(frames - 0.5, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    if frames is not None and frames < network.n_steps:
        panels[0].annotate(
            "input ends", (frames - 0.5, 1), xycoords=panels[0].get_xaxis_transform(), xytext=(4, -2),
            textcoords="offset points", va="top", color=MUTED, fontsize=9.5,
        )  # fmt: skip
    panels[-1].xaxis.set_major_locator(MaxNLocator(14, integer=True))
    panels[-1].set_xlabel("chip step", fontsize=10.5)
    figure.align_ylabels(panels)
    return figure


def _spike_panel(axes: Axes, name: str, values: np.ndarray, height: float) -> None:
    """values (step, neuron): spikes, or counts, which are drawn the darker the higher. height in inches, about."""
    step, neuron = np.nonzero(values)
    payload = values[step, neuron].astype(float)
    strength = 1.0 if payload.size == 0 or payload.max() <= 1 else 0.25 + 0.75 * payload / payload.max()
    size = values.shape[1]
    axes.scatter(
        step, neuron, marker="|", s=max(1.2, 0.85 * height * 72 / size) ** 2,
        linewidths=float(np.clip(0.4 * FULL_WIDTH * 72 / len(values), 1, 4.5)),
        color=INK if name == "input" else BLUE, alpha=strength, rasterized=len(step) > MANY_MARKS,
    )  # fmt: skip
    axes.set_ylim(size - 0.3, -0.7)
    axes.set_ylabel("channel" if name == "input" else "neuron", fontsize=10.5)
    graded = "" if payload.size == 0 or payload.max() <= 1 else f", values up to {payload.max():.0f}"
    spikes = "spike" if len(step) == 1 else "spikes"
    axes.set_title(f"{name}: {len(step):,} {spikes} of {size} {'channels' if name == 'input' else 'neurons'}{graded}")
    axes.title.set_fontsize(10.5)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(visible=False)


def _readout_panel(axes: Axes, network: IntegerNetwork, sample: SampleTrace) -> None:
    readout = network.readout
    v = sample.trace.v[-1][0] / readout.scale  # (step, class)
    for cls in range(v.shape[1]):
        axes.plot(v[:, cls], color=FAINT, linewidth=1)
    right = sample.label == sample.prediction
    marked = [(sample.prediction, BLUE if right else VERMILLION, "label and prediction" if right else "prediction")]
    if not right:
        marked.append((sample.label, BLUE, "label"))
    for cls, color, role in marked:
        axes.plot(v[:, cls], color=color, linewidth=2.2, label=f"{_class(network, cls)} ({role})")
    axes.plot([], [], color=FAINT, linewidth=1, label="other classes")
    axes.axvspan(readout.start - 0.5, readout.stop - 0.5, color=GRID, alpha=0.45, linewidth=0, zorder=-1)
    axes.set_title(f"{network.layers[-1].name}: membranes, which never fire")
    axes.title.set_fontsize(10.5)
    axes.set_ylabel("v (trained units)", fontsize=10.5)
    axes.legend(loc="upper left", ncols=3, fontsize=10, facecolor="none")
    low, high = float(v.min()), float(v.max())
    axes.set_ylim(low - 0.06 * (high - low or 1), high + 0.28 * (high - low or 1))
    axes.grid(visible=False)


def _class(network: IntegerNetwork, number: int) -> str:
    return _shown(network.class_names[number], 24) if network.class_names else f"class {number}"


def _shown(name: str, longest: int) -> str:
    """A name that a file gave, as plain text on a picture: `$` would begin a formula."""
    text = printable(name)
    return (text if len(text) <= longest else text[: longest - 1] + "…").replace("$", r"\$")


@styled
def confusion(matrix: np.ndarray, class_names: Sequence[str] = ()) -> Figure:
    """matrix (label, prediction): counts, shaded by their share of the label's samples; classes by name, if any."""
    classes = len(matrix)
    side = 5.0 if classes <= 20 else 5.4
    figure = new_figure(HALF[0], side)
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    right = np.eye(classes, dtype=bool)
    # A hit and a miss have colors of their own, so that few misses are seen beside many hits.
    axes.imshow(np.where(right, share, np.nan), cmap="Blues", vmin=0, vmax=1.15)
    worst = share[~right].max(initial=0.0)
    misses = np.where(~right & (matrix > 0), share, np.nan)
    axes.imshow(misses, cmap="Oranges", vmin=-0.25 * worst, vmax=1.6 * max(worst, 1e-9))
    if classes <= 20:
        for label, prediction in np.argwhere(matrix > 0):
            light = label == prediction and share[label, prediction] > 0.55
            axes.text(
                prediction, label, f"{matrix[label, prediction]:,}", ha="center", va="center",
                color="white" if light else INK, fontsize=8.5 if classes <= 12 else 6.5,
            )  # fmt: skip
    ticks = range(0, classes, 1 if classes <= 20 else 5)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    if class_names:
        names = [_shown(class_names[number], 12) for number in ticks]
        axes.set_xticklabels(names, rotation=90, fontsize=8.5)
        axes.set_yticklabels(names, fontsize=8.5)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class of the sample")
    axes.grid(visible=False)
    for edge in axes.spines.values():
        edge.set_visible(True)
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
