"""`delaytool map`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from delaytool.commands.console import PlainConsole, echo
from delaytool.commands.idle_options import refuse_idle, refuse_key_given_twice
from delaytool.commands.option_groups import option_group
from delaytool.commands.recipe_verb import RecipeVerb
from delaytool.commands.warnings import warn_if_unsigned
from delaytool.errors import TargetError

if TYPE_CHECKING:
    from delaytool.experiments.chip_costs import ChipCosts
    from delaytool.experiments.chip_fit import Sizes, Subject
    from delaytool.mapping.fit import Fit


def _sizes(classes: int | None, units: int | None, frames: int | None) -> Sizes:
    from delaytool.experiments.chip_fit import Sizes

    return Sizes(units, classes, frames)


size_options = option_group(
    "sizes", _sizes,
    click.option("--classes", type=click.IntRange(min=2),
                 help="Classes of the data, where the recipe does not set them."),
    click.option("--units", type=click.IntRange(min=1), help="Units of the data, where the recipe does not set them."),
    click.option("--frames", type=click.IntRange(min=1),
                 help="Frames of a sample, where the recipe does not set them."),
)  # fmt: skip


@click.command("map", cls=RecipeVerb)
@click.argument("subject", metavar="RECIPE|RUN|NETWORK")
@click.option(
    "--target", default="loihi2", show_default=True, help="Chip: loihi2, loihi2-netx, ideal, or a TOML file of yours."
)
@click.option("--cores", type=click.IntRange(min=1), metavar="N", help="A budget below the chip's own number.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of a recipe.")
@size_options
@click.option(
    "--activity", type=click.FloatRange(0, 1, min_open=True), metavar="SHARE",
    help="Estimate energy and time as if every neuron fired in this share of the steps, for example 0.05.",
)  # fmt: skip
@click.option(
    "--data", metavar="SOURCE",
    help="Of a network: run test samples and estimate from them. A source or path, or 'recorded'.",
)  # fmt: skip
@click.option("--samples", type=click.IntRange(min=1), default=50, show_default=True, help="Of --data.")
@click.option("--costs", metavar="NAME", help="Constants of energy and time: loihi1, or a TOML file of yours.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
    help="Of --data: write the network with its placement, which changes none of its integers.",
)  # fmt: skip
@click.option("--limits", "all_limits", is_flag=True, help="List every limit with its source.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def command(
    subject: str,
    target: str,
    cores: int | None,
    overrides: tuple[str, ...],
    sizes: Sizes,
    activity: float | None,
    data: str | None,
    samples: int,
    costs: str | None,
    output: Path | None,
    all_limits: bool,
    as_json: bool,
) -> None:
    """Fit a recipe (before it is trained), a run or a network on a chip: cores, memory, limits, ways out.

    Exit codes: 0, it fits; 1, it does not; 2, it cannot be done as asked.
    """
    from delaytool.commands.map_tables import costs_as_dict, fit_as_dict, print_costs, print_fit
    from delaytool.experiments.chip_fit import checked_ways_out, find_subject, fit_subject
    from delaytool.files import require_writable_file
    from delaytool.hw_configs import target_from
    from delaytool.mapping.kept import with_placement
    from delaytool.trainer.run_folder import RunFolder

    if activity is not None and data is not None:
        raise click.UsageError("--activity assumes what --data measures; leave one of them out")
    if costs is not None and activity is None and data is None:
        raise click.UsageError("--costs needs to know how much fires: add --activity SHARE, or --data of a network")
    if output is not None and data is None:
        raise click.UsageError("-o keeps a placement by measured traffic: add --data")
    refuse_key_given_twice(overrides, {})
    if data is None:
        refuse_idle("samples", why="nothing is run without --data")
    chip = target_from(target)
    found = find_subject(subject, chip, overrides, sizes)
    if output is not None:
        of_run = RunFolder(subject).files if found.kind == "run" else ()
        require_writable_file(output, reads=(found.path, target, costs, data, *of_run))
    result = fit_subject(found, chip, cores)
    ways = [] if result.fits else checked_ways_out(found, chip, cores)
    cost = None
    if activity is not None or data is not None:
        cost = _costs(found, result, activity, data, samples, costs)
    if output is not None and cost is not None:
        if cost.placement is None or found.network is None:
            raise TargetError(f"{chip.name}: its mesh is not known or too small, so there is no placement to keep")
        with_placement(found.network, result, cost.placement).save(output, chip_limits=False)
        warn_if_unsigned(found.network, found.path or subject)
    if as_json:
        echo(json.dumps({**fit_as_dict(found, result, ways), **costs_as_dict(cost)}, indent=2))
    else:
        print_fit(PlainConsole(), found, result, ways, all_limits=all_limits)
        if cost is not None:
            print_costs(PlainConsole(), cost)
        if output is not None:
            echo(f"network with its placement: {output}")
    sys.exit(0 if result.fits else 1)


def _costs(
    found: Subject, result: Fit, rate: float | None, data: str | None, samples: int, costs: str | None
) -> ChipCosts:
    from delaytool.experiments.chip_costs import chip_costs, measure_activity
    from delaytool.mapping.activity import assumed_activity

    if rate is not None:
        steps = result.shape.n_steps
        if steps is None:
            raise click.UsageError(
                "how many steps a sample has is known once the data are read: give the frames of a sample, --frames N"
            )
        return chip_costs(result, assumed_activity(result.shape, rate, steps), costs)
    if found.network is None or found.path is None:
        other = "export it, or give the network file" if found.kind == "run" else "train and export it"
        raise click.UsageError(f"--data: {found.name} is no exported network to run; {other}, or give --activity SHARE")
    return chip_costs(result, measure_activity(Path(found.path), found.network, data, samples), costs)
