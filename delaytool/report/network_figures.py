"""Histograms of a network's integers and of its activity, one function each. They draw their arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from delaytool.contract.layer import IntegerLayer
from delaytool.figure_style import BLUE, HALF, INK, MUTED, SKY, VERMILLION, new_figure, styled, unclutter

BINS_PER_SIGN = 24


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
def weights(layer: IntegerLayer) -> Figure:
    """Histogram of a layer's integer weights as the chip adds them (weight times 2^exponent), excitation in orange."""
    parts = [group.listed()[2].astype(np.int64) << group.exponent for group in layer.synapses]
    values = np.concatenate(parts or [np.zeros(0, np.int64)])
    figure = new_figure(*HALF)
    axes = figure.subplots()
    if values.size:
        # Bins begin at 0, so that none holds both signs, and are the same on both sides.
        width = max(1, -(-int(np.abs(values).max()) // BINS_PER_SIGN))
        for sign, color, name in ((1, VERMILLION, "excite"), (-1, BLUE, "inhibit")):
            sizes = np.abs(values[np.sign(values) == sign])
            counts = np.bincount((sizes - 1) // width, minlength=1)
            places = sign * (np.arange(len(counts)) + 0.5) * width
            axes.bar(places, counts, width=0.9 * width, color=color, label=f"{name}: {len(sizes):,}")
        axes.margins(y=0.2)
        axes.legend(loc="upper center", ncols=2)
    axes.set_title(f"{layer.name}: {len(values):,} synapses")
    axes.set_xlabel("weight (integer units)", labelpad=2)
    axes.set_ylabel("synapses")
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    unclutter(axes)
    return figure


@styled
def firing_rates(name: str, rates: np.ndarray, saturated: float) -> Figure:
    """Histogram of how often neurons fire. rates (neuron,): share of the steps; a dashed line stands at `saturated`."""
    figure = new_figure(*HALF)
    axes = figure.subplots()
    most = float(rates.max(initial=0.0))
    upper = 1.0 if most > 0.5 * saturated else max(most, 0.01)
    edges = np.linspace(0, upper, 31)
    fires = rates[rates > 0]
    axes.stairs(np.histogram(fires, edges)[0], 100 * edges, color=SKY, fill=True)
    dead = int((rates == 0).sum())
    if dead:
        axes.bar([0], [dead], width=100 * edges[1] / 2, color=VERMILLION, align="edge", label=f"never fire: {dead:,}")
    if upper == 1.0:
        axes.axvline(100 * saturated, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), label="saturated from here")
    if dead or upper == 1.0:
        axes.legend(loc="upper right")
    axes.set_title(f"{name}: {len(rates):,} neurons")
    axes.set_xlabel("steps in which the neuron fires (%)", labelpad=2)
    axes.set_ylabel("neurons")
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    unclutter(axes)
    return figure
