"""How figures look, on paper, in a README and on a light or dark page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from delaytool.printable import printable

# Okabe and Ito's colors, which people with any color vision can distinguish.
BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
INK, MUTED, FAINT, GRID, PAPER = "#1f2933", "#5f6b7a", "#c3cad3", "#e6e9ed", "#ffffff"
# Spikes of the input where a raster image holds them: it cannot change its colors, so they are readable on any page.
ON_ANY_PAGE = "#7b8794"

# On a page every color is a CSS variable: its name, and the color that it has where the reader prefers a dark page.
ON_DARK_PAGE = {
    INK: ("ink", "#e6eaee"),
    MUTED: ("muted", "#a9b4c0"),
    FAINT: ("faint", "#566270"),
    GRID: ("grid", "#2b343e"),
    PAPER: ("paper", "#14191f"),
    BLUE: ("blue", "#4aa8e8"),
    VERMILLION: ("vermillion", "#ff8a4c"),
    GREEN: ("green", "#35c79a"),
    ORANGE: ("orange", "#f0b429"),
    SKY: ("sky", "#3f93c9"),
    PURPLE: ("purple", "#e29cc3"),
}

# The page's own fonts, so that figures and text match.
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# Inches: half of a page's width, and all of it. At half, text has the size of a caption on a desktop and on a phone.
HALF = (4.0, 2.5)
FULL_WIDTH = 11.2

STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "text.parse_math": False,  # a name with $ in it is a name
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 7,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "legend.facecolor": PAPER,
    "legend.edgecolor": "none",
    "legend.framealpha": 0.9,
    "legend.fontsize": 7.5,
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


def plain_name(name: str, longest: int) -> str:
    """A name that a file gave, on a picture: without control characters, and not too long."""
    text = printable(name)
    return text if len(text) <= longest else text[: longest - 1] + "…"


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
