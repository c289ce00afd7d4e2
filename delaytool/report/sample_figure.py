"""One sample through the integer network: spikes of every layer and the readout's membranes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from delaytool.contract.network import IntegerNetwork
from delaytool.figure_style import (
    BLUE,
    FAINT,
    FULL_WIDTH,
    GRID,
    INK,
    MUTED,
    ON_ANY_PAGE,
    VERMILLION,
    new_figure,
    plain_name,
    styled,
)
from delaytool.report.samples import SampleTrace, class_name

# With more marks than this, a raster image keeps the page small.
MANY_MARKS = 1500


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
    is_raster = len(step) > MANY_MARKS
    payload = values[step, neuron].astype(float)
    strength = 1.0 if payload.size == 0 or payload.max() <= 1 else 0.4 + 0.6 * payload / payload.max()
    size = values.shape[1]
    axes.scatter(
        step, neuron, marker="|", s=max(1.2, 0.85 * height * 72 / size) ** 2,
        linewidths=float(np.clip(0.4 * FULL_WIDTH * 72 / len(values), 1, 4.5)),
        color=BLUE if name != "input" else ON_ANY_PAGE if is_raster else INK, alpha=strength, rasterized=is_raster,
    )  # fmt: skip
    axes.set_ylim(size - 0.3, -0.7)
    axes.set_ylabel("channel" if name == "input" else "neuron", fontsize=10.5)
    graded = "" if payload.size == 0 or payload.max() <= 1 else f", values up to {payload.max():.0f}"
    spikes = "spike" if len(step) == 1 else "spikes"
    kind = "channels" if name == "input" else "neurons"
    axes.set_title(f"{name}: {len(step):,} {spikes} of {size} {kind}{graded}", fontsize=10.5)
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
        axes.plot(v[:, cls], color=color, linewidth=2.2, label=f"{plain_name(class_name(network, cls), 24)} ({role})")
    axes.plot([], [], color=FAINT, linewidth=1, label="other classes")
    axes.axvspan(readout.start - 0.5, readout.stop - 0.5, color=GRID, alpha=0.45, linewidth=0, zorder=-1)
    axes.set_title(f"{network.layers[-1].name}: membranes, which never fire", fontsize=10.5)
    axes.set_ylabel("v (trained units)", fontsize=10.5)
    axes.legend(loc="upper left", ncols=3, fontsize=10, facecolor="none")
    low, high = float(v.min()), float(v.max())
    axes.set_ylim(low - 0.06 * (high - low or 1), high + 0.28 * (high - low or 1))
    axes.grid(visible=False)
