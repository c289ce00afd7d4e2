"""Pictures of an analysis, one function each. They draw their arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from delaytool.figure_style import BLUE, INK, MUTED, SKY, VERMILLION, new_figure, styled, unclutter

if TYPE_CHECKING:
    from delaytool.analysis.layer_structure import LayerStructure  # brings PyTorch, which pictures do not need

# Excitation and inhibition in Okabe and Ito's vermillion and blue, which people with any color vision can distinguish.
EXCITATION, INHIBITION = VERMILLION, BLUE
# Weak weights are nearly transparent, so that a figure suits a light and a dark page.
DIVERGING = LinearSegmentedColormap.from_list(
    "delaytool",
    [(0, (INHIBITION, 1.0)), (0.5, (INHIBITION, 0.0)), (0.5, (EXCITATION, 0.0)), (1, (EXCITATION, 1.0))],
)
COLUMNS = 6
# Cells beyond this quantile of their sizes have the full color, so that one strong synapse does not pale the rest.
FULL_COLOR = 0.98


@styled
def receptive_fields(
    structure: LayerStructure, neurons: Sequence[int], *, title: str, time_step_ms: float, units: str = "input channel"
) -> Figure:
    """A panel per neuron: unit upwards, delay to the right, excitation orange and inhibition blue.

    Above it the neuron's number, its Moran's I, and p against its own weights shuffled among its synapses.
    """
    rows = -(-len(neurons) // COLUMNS)
    columns = min(COLUMNS, len(neurons))
    n_units, n_delays = structure.fields.shape[1:]
    height = float(np.clip(1.4 * n_units / n_delays / 4, 1.3, 2.6))
    figure = new_figure(1.85 * columns + 0.9, (height + 0.45) * rows + 0.9)
    panels = np.ravel(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False))
    tests = structure.tests["signed"]
    for axes, neuron in zip(panels, neurons, strict=False):
        field = structure.fields[neuron]
        _field(axes, field)
        i, p = tests["cells"].i[neuron], tests["weights"].p[neuron]
        shown = "no synapse" if not np.isfinite(i) else f"I {i:.3f}, p {p:.3f}".replace("I -", "I −")
        axes.set_title(f"{neuron}:  {shown}", fontweight="normal", fontsize=8.5, pad=3)
    for axes in panels[len(neurons) :]:
        axes.set_axis_off()
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    figure.supxlabel(f"delay (steps of {time_step_ms:g} ms)", fontsize=9, color=MUTED)
    figure.supylabel(units, fontsize=9, color=MUTED)
    bar = figure.colorbar(
        ScalarMappable(Normalize(-1, 1), DIVERGING), ax=list(panels), fraction=0.02, pad=0.01, ticks=[-1, 0, 1]
    )
    bar.ax.set_yticklabels(["inhibits", "0", "excites"])
    bar.ax.tick_params(length=0)
    bar.outline.set_visible(False)
    return figure


def _field(axes: Axes, field: np.ndarray) -> None:
    """field (unit, delay), on a color scale of its own."""
    sizes = np.abs(field[field != 0])
    full = float(np.quantile(sizes, FULL_COLOR)) if sizes.size else 1.0
    axes.imshow(
        field / full, cmap=DIVERGING, vmin=-1, vmax=1, aspect="auto", origin="lower", interpolation="nearest",
        extent=(-0.5, field.shape[1] - 0.5, -0.5, field.shape[0] - 0.5),
    )  # fmt: skip
    axes.grid(visible=False)
    for edge in axes.spines.values():
        edge.set_visible(True)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    unclutter(axes)


@styled
def structure_histograms(stages: Mapping[str, LayerStructure], *, title: str) -> Figure:
    """Moran's I of all neurons, a panel per part, before and after training; a dashed line at shuffled ones' mean."""
    parts = list(next(iter(stages.values())).tests)
    figure = new_figure(3.7 * len(parts), 3.1)
    for axes, part in zip(np.ravel(figure.subplots(1, len(parts), sharey=True)), parts, strict=True):
        values = {stage: structure.tests[part]["cells"].i for stage, structure in stages.items()}
        values = {stage: array[np.isfinite(array)] for stage, array in values.items()}
        together = np.concatenate(list(values.values()))
        axes.set_title(part)
        axes.set_xlabel("Moran's I")
        unclutter(axes)
        if together.size == 0:
            continue
        edges = np.histogram_bin_edges(together, bins=24)
        axes.hist(values["after"], edges, color=SKY, label="after training")
        if "before" in values:
            counts, _ = np.histogram(values["before"], edges)
            axes.stairs(counts, edges, color=INK, linewidth=1.1, label="before training")
        shuffled = stages["after"].tests[part]["weights"].mean
        if values["after"].size:
            mean = float(shuffled[np.isfinite(shuffled)].mean())
            axes.axvline(mean, color=VERMILLION, linewidth=1.2, linestyle=(0, (4, 3)), label="weights shuffled")
        axes.xaxis.set_major_locator(MaxNLocator(5))
    figure.axes[0].set_ylabel("neurons")
    figure.axes[0].legend(loc="upper right", fontsize=7.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, fontweight="bold")
    return figure


@styled
def delay_histograms(
    histograms: Mapping[str, Mapping[str, Sequence[int]]], by_epoch: Mapping[str, Sequence[tuple[int, Sequence[int]]]]
) -> Figure:
    """A row per layer: synapses on each delay before and after training, and their shares over epochs where kept."""
    with_epochs = any(by_epoch.values())
    columns = 2 if with_epochs else 1
    figure = new_figure(5.4 * columns, 2.7 * len(histograms))
    panels = figure.subplots(len(histograms), columns, squeeze=False)
    for row, (name, stages) in zip(panels, histograms.items(), strict=True):
        _delays(row[0], name, stages)
        if with_epochs:
            _over_epochs(figure, row[1], name, by_epoch[name])
    return figure


def _delays(axes: Axes, name: str, stages: Mapping[str, Sequence[int]]) -> None:
    after = np.asarray(stages["after"])
    axes.bar(np.arange(len(after)), after, width=0.82, color=SKY, label="after training")
    if "before" in stages:
        before = np.asarray(stages["before"])
        axes.stairs(before, np.arange(len(before) + 1) - 0.5, color=INK, linewidth=1.1, label="before", baseline=None)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=2, borderaxespad=0)
    axes.set_title(f"{name}: {after.sum():,} synapses")
    axes.set_xlabel("delay (steps)")
    axes.set_ylabel("synapses")
    axes.xaxis.set_major_locator(MaxNLocator(9, integer=True))
    unclutter(axes)


def _over_epochs(figure: Figure, axes: Axes, name: str, kept: Sequence[tuple[int, Sequence[int]]]) -> None:
    epochs = [epoch for epoch, _ in kept]
    counts = np.array([row for _, row in kept], dtype=float)  # (epoch, delay)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(
        shares.T, cmap="viridis", aspect="auto", origin="lower", interpolation="nearest",
        extent=(epochs[0] - 0.5, epochs[-1] + 0.5, -0.5, counts.shape[1] - 0.5),
    )  # fmt: skip
    axes.set_title(f"{name}: share of synapses by epoch")
    axes.set_xlabel("epoch")
    axes.set_ylabel("delay (steps)")
    axes.grid(visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, format=PercentFormatter(1.0, decimals=None))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0)
    unclutter(axes)
