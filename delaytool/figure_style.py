"""How figures look, and how they get into a page."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from delaytool.printable import printable

# Okabe and Ito's colors, which people with any color vision can distinguish.
BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
INK, MUTED, FAINT, GRID = "#1f2933", "#5f6b7a", "#c3cad3", "#e6e9ed"

# The page's own fonts, so that figures and text match.
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a name with $ in it is a name
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 8,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "legend.facecolor": "white",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.9,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",  # text stays text: it can be searched, and takes the page's font
    "svg.hashsalt": "delaytool",  # the same run gives the same page
}

styled = matplotlib.rc_context(STYLE)


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches; 96 CSS pixels an inch where the page shows it unscaled."""
    return Figure(figsize=(width, height), layout="constrained")


def unclutter(axes: Axes) -> None:
    """No tick marks: grid lines and labels show the same."""
    axes.tick_params(length=0)


@styled
def as_data_uri(figure: Figure) -> str:
    """The figure as an SVG inside an address, so that a page needs no second file."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=220, metadata={"Date": None, "Creator": None})
    svg = printable(buffer.getvalue(), keep="\n\t").replace("'DejaVu Sans'", FONTS)  # XML has no control characters
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


@styled
def save_png(figure: Figure, path: Path) -> None:
    """The figure as a picture for a README."""
    figure.savefig(
        path,
        format="png",
        dpi=160,
        facecolor="white",
        bbox_inches="tight",
        pad_inches=0.12,
        metadata={"Software": None},
    )
