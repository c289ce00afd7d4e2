"""Warnings of a run or of data, on the error stream."""

from __future__ import annotations

from collections.abc import Iterable

from delaytool.commands.console import print_wrapped


def show_warnings(sentences: Iterable[str]) -> None:
    """One line each, on stderr, so that tables and JSON on stdout stay what they are."""
    for sentence in sentences:
        print_wrapped(f"warning: {sentence}", err=True)
