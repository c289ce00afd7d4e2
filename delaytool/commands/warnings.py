"""Warnings of a run, of data or of a network file, on the error stream."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from delaytool.commands.console import print_wrapped

if TYPE_CHECKING:
    from delaytool.contract.network import IntegerNetwork


def show_warnings(sentences: Iterable[str]) -> None:
    """One line each, on stderr, so that tables and JSON on stdout stay what they are."""
    for sentence in sentences:
        print_wrapped(f"warning: {sentence}", err=True)


def warn_if_unsigned(network: IntegerNetwork, file: Path | str) -> None:
    """That `file`, from which the network was read, could have been damaged; what is written of it carries digests."""
    if not network.signed:
        show_warnings(
            [f"{file} carries no digests: those of the file that is written cover the numbers as they were read"]
        )
