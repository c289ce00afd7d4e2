"""Docstrings as Markdown, for the reference in the site.

The package's docstrings are written to be read in an editor: arguments stand in rows, a name and its description with
two or more spaces between, and examples begin with >>>. Here rows become lists, and examples become code.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

ROW = re.compile(r"(?P<names>[\w*.]+(?:, [\w*.]+)*)(?P<gap>\s{2,})(?P<text>\S.*)")


def docstring_to_markdown(text: str) -> str:
    """The docstring, cleaned of its indentation, with its rows and examples as Markdown.

    >>> print(docstring_to_markdown("Add.\\n\\na    the first\\nb    the second\\n     and last"))
    Add.
    <BLANKLINE>
    - `a`: the first
    - `b`: the second
        and last
    """
    lines = text.splitlines()
    out: list[str] = []
    index, in_rows = 0, False
    while index < len(lines):
        if lines[index].startswith(">>>"):
            end = next((at for at in range(index, len(lines)) if not lines[at].strip()), len(lines))
            _begin_block(out)
            out += ["```pycon", *lines[index:end], "```", ""]
            index = end
        elif match := ROW.fullmatch(lines[index]):
            end = next((at for at in range(index + 1, len(lines)) if not lines[at].startswith(" ")), len(lines))
            if not in_rows:
                _begin_block(out)
            names = ", ".join(f"`{name}`" for name in match["names"].split(", "))
            out += _item([f"{names}: {match['text']}", *lines[index + 1 : end]])
            index, in_rows = end, True
            continue
        else:
            indented = lines[index].startswith("    ")
            if indented and out and out[-1].strip() and not out[-1].startswith("    "):
                out.append("")  # else Markdown takes an equation for a part of the paragraph
            if in_rows:
                _begin_block(out)
            out.append(lines[index])
            index += 1
        in_rows = False
    return re.sub(r"\n{3,}", "\n\n", "\n".join(out)).strip("\n")


def _begin_block(out: list[str]) -> None:
    if out and out[-1].strip():
        out.append("")


def _item(lines: list[str]) -> list[str]:
    """A row's lines as an item of a list; a list within it is set off by empty lines."""
    result = [f"- {lines[0].strip()}"]
    in_list, item_indent = False, 0
    for raw in lines[1:]:
        indent = len(raw) - len(raw.lstrip())
        begins = raw.lstrip().startswith("- ")
        continues_item = in_list and not begins and indent > item_indent
        if begins != in_list and not continues_item:
            result.append("")
        if begins:
            item_indent = indent
        in_list = begins or continues_item
        result.append(("        " if continues_item else "    ") + raw.strip())
    return result


class MarkdownDocstrings(Extension):
    """Rewrites every docstring that the reference shows."""

    def on_object(self, *, obj: Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = docstring_to_markdown(obj.docstring.value)
