"""What `delaytool train --dry-run` prints."""

from __future__ import annotations

from delaytool.commands.chip_check import ChipCheck
from delaytool.commands.console import PlainConsole, styled
from delaytool.commands.warnings import show_warnings
from delaytool.progress import StepBars
from delaytool.trainer.dry_run import dry_run
from delaytool.trainer.recipe import Recipe


def print_dry_run(recipe: Recipe, chip: ChipCheck, quiet: bool) -> None:
    """Read, check the chip where it has not been checked, measure and print. Raises as `dry_run` and the check do."""
    with StepBars(not quiet) as progress:
        found = dry_run(recipe, progress, chip.before_training)
    show_warnings(found.data.warnings)
    data, encoding = found.data, found.data.encoding
    print_line = PlainConsole().print
    sizes = "-".join(map(str, found.sizes))
    print_line(styled("bold", recipe.name, f": {sizes}, {found.parameters:,} parameters, {found.synapses:,} synapses"))
    held_out = "no" if data.validation is None else f"{len(data.validation):,}"
    print_line(
        f"data: {len(data.train):,} training, {held_out} validation and {len(data.test):,} test samples "
        f"of {encoding.n_steps} steps of {encoding.time_step_ms:g} ms; frames {found.frame_bytes / 1e6:,.1f} MB"
    )
    print_line(f"split: {data.split}")
    print_line(
        f"a step on {found.device}, batch {found.batch_size}: {format_seconds(found.first_step_s)} in the first epoch, "
        f"{format_seconds(found.last_step_s)} in the last, by the width of taps"
    )
    print_line(
        f"an epoch: {found.batches} steps and {format_seconds(found.evaluation_s)} of validation; "
        f"{found.epochs} epochs: about {format_seconds(found.total_s)}"
    )
    for sentence in found.not_measured:
        print_line(f"not in that: {sentence}")
    print_line("nothing was written; leave out --dry-run to train")


def format_seconds(seconds: float) -> str:
    """'3.2 ms', '4.5 s', '12 min 5 s', '3 h 20 min'.

    >>> format_seconds(725)
    '12 min 5 s'
    """
    if seconds < 0.9995:
        return f"{1000 * seconds:.3g} ms"
    if seconds < 60:
        return f"{seconds:.3g} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
