"""`--max-drop` of the verbs that verify: `verify` and `report`."""

from __future__ import annotations

import click

max_drop_option = click.option(
    "--max-drop", type=float, default=0.5, show_default=True,
    help="Points of accuracy that the integers may cost, 0 or more.",
)  # fmt: skip
