"""What a file or a user named, made safe to show: the one place for it."""

from __future__ import annotations


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
