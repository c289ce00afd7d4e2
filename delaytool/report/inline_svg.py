"""A figure as part of a page: text that can be searched, in the page's fonts, in its colors, light or dark."""

from __future__ import annotations

import hashlib
import io
import re
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib.figure import Figure

from delaytool.figure_style import ON_DARK_PAGE, styled
from delaytool.printable import printable

_DROPPED = ("metadata", "style")
_DECIMALS = re.compile(r"(\d\.\d\d)\d+")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FAMILY = re.compile(r"font-family: [^;]+; ?|'DejaVu Sans'[^;]*")
# A raster part has a pixel or more for each CSS pixel of a full-width figure.
_DPI = 110


@styled
def inline_svg(figure: Figure, description: str) -> Markup:
    """The figure as an `svg` element for HTML, with `description` as its accessible name.

    Colors of `figure_style` become the page's CSS variables. Names that the element refers to begin with a digest, so
    that those of two figures of a page differ.
    """
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", dpi=_DPI, transparent=True, metadata={"Date": None, "Creator": None})
    text = printable(buffer.getvalue(), keep="\n\t")  # XML has no control characters
    digest = hashlib.sha256(f"{description}\n{text}".encode()).hexdigest()[:8]
    root = ElementTree.fromstring(text)
    kept = set(_REFERENCE.findall(text)) | set(re.findall(r'href="#([^"]+)"', text))
    for element in root.iter():
        _rewrite(element, kept, digest)
    view = root.attrib["viewBox"]
    root.attrib = {"role": "img", "aria-label": printable(description), "viewBox": view}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _rewrite(element: ElementTree.Element, kept: set[str], digest: str) -> None:
    """Without namespaces, unused names and needless digits; colors as variables."""
    element.tag = _local(element.tag)
    for child in list(element):
        if _local(child.tag) in _DROPPED:
            element.remove(child)
    if element.tag not in ("text", "tspan"):
        element.text = None
    element.tail = None
    attributes: dict[str, str] = {}
    for name, value in element.attrib.items():
        name = _local(name)
        if name == "id":
            if value not in kept:
                continue
            value = f"{digest}-{value}"
        elif name == "href" and value.startswith("#"):
            value = f"#{digest}-{value[1:]}"
        elif name in ("d", "x", "y", "points"):
            value = _DECIMALS.sub(r"\1", " ".join(value.split()))
        elif name == "transform" and value.startswith("rotate(-0 "):
            continue
        elif name == "style":
            value = _with_variables(value)
        attributes[name] = _REFERENCE.sub(rf"url(#{digest}-\1)", value)
    element.attrib = attributes


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _with_variables(style: str) -> str:
    """matplotlib's colors as CSS variables, and the page's font for its own."""
    for color, (name, _) in ON_DARK_PAGE.items():
        style = style.replace(color.lower(), f"var(--{name})")
    return _FAMILY.sub("", style)
