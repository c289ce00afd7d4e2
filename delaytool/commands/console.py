"""Where verbs print. What files and users named is shown as it is: nothing in it is markup or steers the terminal."""

from __future__ import annotations

import click
from rich.console import Console, RenderableType
from rich.style import Style
from rich.text import Text

from delaytool.printable import printable

REDIRECTED_WIDTH = 200


class PlainConsole(Console):
    """A console on which a text is only a text: markup and emoji are off, control characters are written out.

    A terminal's lines are wrapped between words; a file or a pipe gets every line whole, and room for any table.
    Styles are given apart from texts: `console.print("PASS", style="bold green")`, or `rich.text.Text.assemble`.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None, quiet: bool = False) -> None:
        super().__init__(stderr=stderr, width=width, quiet=quiet, markup=False, emoji=False, highlight=False)
        if not self.is_terminal:
            self.soft_wrap, self.width = True, width or REDIRECTED_WIDTH

    def render_str(self, text: str, **options: object) -> Text:  # type: ignore[override]
        """As rich does, with control characters written out, the line's own ends left alone."""
        return super().render_str(printable(text, keep="\n\t"), **options)  # type: ignore[arg-type]

    def on_broken_pipe(self) -> None:
        """Raise, so that the command line handles every closed pipe in one place; rich would exit with 1."""
        raise BrokenPipeError from None


def styled(style: str, status: str, rest: str = "") -> RenderableType:
    """A status in a style of its own, and the rest of its line."""
    return Text.assemble((printable(status), Style.parse(style)), printable(rest, keep="\n\t"))


def print_wrapped(text: str, *, err: bool = False) -> None:
    """Print a sentence, which a terminal shows wrapped between words; for a command to copy, or JSON, use `echo`."""
    PlainConsole(stderr=err).print(text)


def echo(text: str, *, err: bool = False) -> None:
    """Print a line as it is, control characters written out: a terminal breaks it at its edge, if it is longer."""
    click.echo(printable(text, keep="\n\t"), err=err)
