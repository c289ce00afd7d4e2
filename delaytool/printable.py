"""What a file or a user named, made safe to show: the one place for it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


def printable(text: object, *, keep: str = "") -> str:
    r"""The text with every character that is not printed as itself written as an escape, those in `keep` left alone.

    Escape sequences that would steer a terminal, characters that turn the direction of writing, line ends: a name that
    holds them is shown with `\x1b`, `\u202e`, `\n` in their places.

        >>> printable("layer\x1b[2J")
        'layer\\x1b[2J'
    """
    return "".join(one if one.isprintable() or one in keep else _escaped(one) for one in str(text))


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]


def html_table(caption: object, head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """A table for a notebook; every text in it is made printable and escaped, whatever a file named.

    >>> html_table("network", ["layer"], [["<b>"]])
    '<table><caption>network</caption><tr><th>layer</th></tr><tr><td>&lt;b&gt;</td></tr></table>'
    """
    body = "".join(_html_row("td", row) for row in rows)
    return f"<table><caption>{html.escape(printable(caption))}</caption>{_html_row('th', head)}{body}</table>"


def _html_row(cell: str, texts: Sequence[object]) -> str:
    return "<tr>" + "".join(f"<{cell}>{html.escape(printable(text))}</{cell}>" for text in texts) + "</tr>"
