"""`delaytool report`."""

from __future__ import annotations

from pathlib import Path

import click

from delaytool.commands.console import print_wrapped
from delaytool.commands.idle_options import refuse_idle
from delaytool.commands.max_drop_option import max_drop_option
from delaytool.commands.quiet import quiet_option


@click.command("report")
@click.argument("run_or_net", metavar="RUN_OR_NET", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Page to write; default: report.html in the same folder."
)
@click.option(
    "--samples",
    type=click.IntRange(min=1),
    default=200,
    show_default=True,
    help="Compare bits on this many samples, evenly spaced; accuracies are of all.",
)
@click.option(
    "--data", metavar="SOURCE",
    help="Samples to run: a source or path, or 'recorded' for the data that the file names. Default: recorded, if they "
    "are built in.",
)  # fmt: skip
@click.option("--sample", type=click.IntRange(min=0), default=0, show_default=True,
              help="Number of the sample that is shown spike by spike.")  # fmt: skip
@click.option(
    "--torch", "with_torch", is_flag=True, help="Compare with a second simulation of the same file, the trainer's."
)
@max_drop_option
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

    For a run folder, its exported network (network-loihi2.h5 if it is there) is verified as by `verify`, with the run
    if PyTorch is installed. For a network file in a run folder, the page shows the run's curves too. Exits with 0 once
    the page is written, whatever its verdict.
    """
    from delaytool.files import require_writable_file
    from delaytool.progress import StepBars
    from delaytool.report.content import PageRequest, gather_content
    from delaytool.report.page import write_page
    from delaytool.report.sentences import describe_verdict
    from delaytool.trainer.run_folder import RunFolder

    folder = RunFolder(run_or_net if run_or_net.is_dir() else run_or_net.parent)
    output = output or folder.path / "report.html"
    if run_or_net.exists():  # otherwise the missing file is the error
        of_run = (*folder.files, *folder.networks()) if folder.is_run else ()
        require_writable_file(output, reads=(run_or_net, data, *of_run))
        if run_or_net.is_dir() and folder.is_run and not folder.networks():
            names = ("samples", "data", "sample", "with_torch", "max_drop")
            refuse_idle(*names, why=f"{run_or_net} has not been exported yet, so that there is nothing to run")
    with StepBars(not quiet) as progress:
        content = gather_content(run_or_net, PageRequest(samples, data, sample, with_torch, max_drop), progress)
    write_page(content, output)
    verdict = describe_verdict(content)
    print_wrapped(f"{verdict.word}: {verdict.sentence}")
    for warning in verdict.warnings:
        print_wrapped(f"WARNING: {warning}")
    print_wrapped(verdict.bound)
    print_wrapped(f"page: {output}")
