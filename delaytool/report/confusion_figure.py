"""The confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from delaytool.figure_style import BLUE, HALF, INK, VERMILLION, new_figure, plain_name, styled, unclutter

# Opacities of a cell. Text is readable on the strongest one, on a light and on a dark page.
PALEST, STRONGEST = 0.08, 0.55


@styled
def confusion(matrix: np.ndarray, class_names: Sequence[str] = ()) -> Figure:
    """matrix (label, prediction): counts, shaded by their share of the label's samples; classes by name, if any."""
    classes = len(matrix)
    figure = new_figure(HALF[0], 3.7)
    axes = figure.subplots()
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    worst = share[~np.eye(classes, dtype=bool)].max(initial=0.0)
    for label, prediction in np.argwhere(matrix > 0):
        # A hit and a miss have colors of their own, so that few misses are seen beside many hits.
        is_hit = label == prediction
        color, strength = (BLUE, share[label, prediction]) if is_hit else (VERMILLION, share[label, prediction] / worst)
        corner = (prediction - 0.5, label - 0.5)
        axes.add_patch(Rectangle(corner, 1, 1, facecolor=color, alpha=PALEST + (STRONGEST - PALEST) * strength))
        if classes <= 20:
            axes.text(
                prediction, label, f"{matrix[label, prediction]:,}", ha="center", va="center", color=INK,
                fontsize=7.5 if classes <= 12 else 6,
            )  # fmt: skip
    axes.set_xlim(-0.5, classes - 0.5)
    axes.set_ylim(classes - 0.5, -0.5)
    axes.set_aspect("equal")
    ticks = range(0, classes, 1 if classes <= 20 else 5)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    if class_names:
        names = [plain_name(class_names[number], 12) for number in ticks]
        axes.set_xticklabels(names, rotation=90 if max(map(len, names)) > 2 else 0, fontsize=7.5)
        axes.set_yticklabels(names, fontsize=7.5)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("class of the sample")
    axes.grid(visible=False)
    for edge in axes.spines.values():
        edge.set_visible(True)
    unclutter(axes)
    return figure
