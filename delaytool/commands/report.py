"""`delaytool report`."""

from __future__ import annotations

from pathlib import Path

import click

from delaytool.commands.console import echo
from delaytool.commands.quiet import quiet_option


@click.command("report")
@click.argument("run_or_net", metavar="RUN_OR_NET", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Page to write; default: report.html beside it.")
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Compare bits on so many, evenly spaced; accuracies take all.",
)
@click.option(
    "--data", metavar="SOURCE",
    help="Samples to run: a source or path, or 'recorded' to read what the file names. Default: that, if built in.",
)  # fmt: skip
@click.option("--sample", type=click.IntRange(min=0), default=0, show_default=True, help="Shown spike by spike.")
@click.option("--torch", "with_torch", is_flag=True, help="Add a second simulation of the same file.")
@click.option(
    "--max-drop", type=float, default=0.5, show_default=True, help="Points of accuracy integers may cost, 0 or more."
)
@quiet_option()
def command(
    run_or_net: Path,
    output: Path | None,
    samples: int,
    data: str | None,
    sample: int,
    with_torch: bool,
    max_drop: float,
    quiet: bool,
) -> None:
    """Write one self-contained HTML page about RUN_OR_NET, a run folder or a network file.

    Of a run folder the exported network (network-loihi2.h5 if there) is verified as `verify` does, with the run where
    PyTorch is installed; a network file that lies in a run folder gets the run's curves too. Exits 0 once the page is
    written, whatever its verdict.
    """
    from delaytool.files import require_writable_file
    from delaytool.progress import StepBars
    from delaytool.report.content import PageRequest, gather
    from delaytool.report.page import write_page
    from delaytool.report.words import status

    output = output or (run_or_net if run_or_net.is_dir() else run_or_net.parent) / "report.html"
    if run_or_net.exists():  # else it is this that is missing
        require_writable_file(output)
    with StepBars(not quiet) as tell:
        content = gather(run_or_net, PageRequest(samples, data, sample, with_torch, max_drop), tell)
    write_page(content, output)
    verdict = status(content)
    echo(f"{verdict.word}: {verdict.sentence}")
    for warning in verdict.warnings:
        echo(f"WARNING: {warning}")
    echo(verdict.bound)
    echo(f"page: {output}")
