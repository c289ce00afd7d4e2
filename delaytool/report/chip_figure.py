"""The mesh of a chip: tiles, cores by layer and fill, and the spikes between them."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from delaytool.figure_style import FAINT, FULL_WIDTH, GRID, INK, MUTED, PAPER, SERIES, new_figure, styled
from delaytool.mapping.fit import Fit
from delaytool.mapping.placement import Placement, Traffic

LINES_SHOWN = 400
# Opacity of what fills a core: its number is readable on it, on a light and on a dark page.
FILL = 0.5


@styled
def mesh_figure(result: Fit, placement: Placement, traffic: Traffic) -> Figure:
    """Tiles of the mesh; a core's box is filled from below as its synaptic memory is, in its layer's color.

    The lines join the centers of cores on different tiles; of very many only those with most messages are drawn.
    """
    mesh, room = placement.mesh, result.target.limits.synapse_bytes_per_core
    side = math.ceil(math.sqrt(mesh.cores_per_tile))
    last_row = int(placement.slots.max()) // mesh.cores_per_tile // mesh.columns
    rows = last_row + 1
    height = 0.8 + FULL_WIDTH * rows / mesh.columns * 0.86
    figure = new_figure(FULL_WIDTH, height)
    axes = figure.add_subplot()
    for column in range(mesh.columns):
        for row in range(rows):
            axes.add_patch(Rectangle((column + 0.05, row + 0.05), 0.9, 0.9, facecolor="none", edgecolor=GRID))
    cell = 0.8 / side
    corners = []
    for number, slot in enumerate(placement.slots.tolist()):
        tile, inside = divmod(slot, mesh.cores_per_tile)
        x = tile % mesh.columns + 0.1 + inside % side * cell
        y = tile // mesh.columns + 0.1 + inside // side * cell
        size = cell * 0.86
        corners.append((x + size / 2, y + size / 2))
        axes.add_patch(Rectangle((x, y), size, size, facecolor=PAPER, edgecolor=FAINT, zorder=3))
        filled = 0.0
        for part in result.packing.cores[number].parts:
            share = size * min(1.0, part.n_bytes / room)
            color = SERIES[part.layer % len(SERIES)]
            # Rows count downwards, so the bottom of a box is its largest y.
            axes.add_patch(
                Rectangle((x, y + size - filled - share), size, share, facecolor=color, alpha=FILL, zorder=4)
            )
            filled += share
        axes.text(*corners[-1], str(number), ha="center", va="center", fontsize=9, color=INK, zorder=6)
    _lines(axes, placement, traffic, np.array(corners))
    axes.set_xlim(0, mesh.columns)
    axes.set_ylim(rows, 0)
    axes.set_aspect("equal")
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    empty = f", and {mesh.rows - rows} empty below" if rows < mesh.rows else ""
    axes.set_title(f"Cores on the mesh: {rows} {'rows' if rows > 1 else 'row'} of tiles{empty}", fontsize=10.5)
    handles = [
        Patch(facecolor=SERIES[index % len(SERIES)], alpha=FILL, label=layer.name)
        for index, layer in enumerate(result.shape.layers)
    ]
    axes.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=min(6, len(handles)), fontsize=9.5
    )
    return figure


def _lines(axes: Axes, placement: Placement, traffic: Traffic, corners: np.ndarray) -> None:
    columns, rows = placement.hops()
    both = (traffic.between + traffic.between.T) * (columns + rows > 0)
    pairs = [(a, b) for a, b in np.argwhere(np.triu(both)).tolist()]
    pairs = sorted(pairs, key=lambda pair: -both[pair])[:LINES_SHOWN]
    most = max((both[pair] for pair in pairs), default=1.0)
    for pair in pairs:
        ends = corners[list(pair)]
        axes.plot(*ends.T, color=MUTED, linewidth=0.3 + 2.2 * both[pair] / most, alpha=0.35, zorder=5)
