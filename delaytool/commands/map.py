"""`delaytool map`."""

from __future__ import annotations

import json
import sys

import click

from delaytool.commands.console import PlainConsole, echo
from delaytool.commands.recipe_verb import RecipeVerb


@click.command("map", cls=RecipeVerb)
@click.argument("subject", metavar="RECIPE|RUN|NETWORK")
@click.option(
    "--target", default="loihi2", show_default=True, help="Chip: loihi2, loihi2-netx, ideal, or a TOML file of yours."
)
@click.option("--cores", type=click.IntRange(min=1), metavar="N", help="A budget below the chip's own number.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of a recipe.")
@click.option("--classes", type=click.IntRange(min=2), help="Classes of the data, where the recipe does not say.")
@click.option("--units", type=click.IntRange(min=1), help="Units of the data, where the recipe does not say.")
@click.option("--frames", type=click.IntRange(min=1), help="Frames of a sample, where the recipe does not say.")
@click.option("--limits", "all_limits", is_flag=True, help="List every limit with its source.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(
    subject: str,
    target: str,
    cores: int | None,
    overrides: tuple[str, ...],
    classes: int | None,
    units: int | None,
    frames: int | None,
    all_limits: bool,
    as_json: bool,
) -> None:
    """Fit a recipe (before it is trained), a run or a network on a chip: cores, memory, limits, ways out.

    Exit codes: 0, it fits; 1, it does not; 2, it cannot be done as asked.
    """
    from delaytool.commands.map_tables import fit_as_dict, print_fit
    from delaytool.experiments.chip_fit import Sizes, checked_ways_out, find_subject, fit_subject
    from delaytool.hw_configs import target_from

    chip = target_from(target)
    found = find_subject(subject, chip, overrides, Sizes(units, classes, frames))
    result = fit_subject(found, chip, cores)
    ways = [] if result.fits else checked_ways_out(found, chip, cores)
    if as_json:
        echo(json.dumps(fit_as_dict(found, result, ways), indent=2))
    else:
        print_fit(PlainConsole(), found, result, ways, all_limits=all_limits)
    sys.exit(0 if result.fits else 1)
