"""Templates to pages: one HTML file each, which needs no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jinja2

from delaytool.figure_style import FONTS, ON_DARK_PAGE
from delaytool.printable import printable
from delaytool.version import __version__


def render(template: str, sections: Mapping[str, str], **values: Any) -> str:
    """A page from a template of this folder; a name that it uses without a value is an error.

    sections   its headings, by the id of the section, in order: the contents list
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("delaytool.report", ""), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    return environment.get_template(template).render(
        fonts=FONTS, theme=ON_DARK_PAGE, version=__version__, sections=sections, **values
    )


def _shown(value: object) -> object:
    """A text with its control characters written out; what the templates themselves made is left alone."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return printable(value, keep="\n\t") if is_text else value
