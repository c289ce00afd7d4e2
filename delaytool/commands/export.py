"""`delaytool export`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from delaytool.commands.completion import complete_targets
from delaytool.commands.console import echo, print_wrapped
from delaytool.commands.export_format import FORMATS, ONNX_FLOAT, export_format, write_format
from delaytool.commands.export_report import data_option, print_export
from delaytool.commands.idle_options import refuse_idle
from delaytool.commands.quiet import quiet_option
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import CheckpointError

if TYPE_CHECKING:
    from delaytool.exporter.compile import Export


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--target", default="loihi2", show_default=True, shell_complete=complete_targets,
    help="Chip: loihi2, loihi2-netx, or ideal (no limits). Format: onnx or nir (of --chip's integers), onnx-float.",
)  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Network file. Default: network-TARGET.h5 in RUN."
)
@click.option("--chip", default="loihi2", show_default=True, help="Of the targets onnx and nir: whose integers.")
@click.option("--trace", is_flag=True, help="Of onnx: the graph also gives out every spike, current and membrane.")
@click.option("--clip-delays", is_flag=True, help="Cut longer delays to the target's limit, and count them.")
@click.option(
    "--checkpoint", type=click.Choice(["best", "last"]), default="best", show_default=True, help="Which one to export."
)
@click.option("--data", help="Where the run's data are now, if not where its recipe names them.")
@click.option("--calibration-samples", type=click.IntRange(min=1), default=128, show_default=True,
              help="Validation samples on which scales are chosen.")  # fmt: skip
@quiet_option()
def command(
    run: Path,
    target: str,
    output: Path | None,
    chip: str,
    trace: bool,
    clip_delays: bool,
    checkpoint: str,
    data: str | None,
    calibration_samples: int,
    quiet: bool,
) -> None:
    """Compile the trained network of RUN for a chip.

    Scales are chosen by how well the integers follow the float network on validation samples. A value beyond the
    chip's limits is an error that names it; no value is cut unless --clip-delays is given.

    With --target onnx or nir, RUN may also be a network file, which is written in that format as it is; of a run, the
    network for --chip is written beside it. --target onnx-float writes the float network, its delays rounded.
    """
    _refuse_idle_options(target, run)
    if target in FORMATS and run.is_file():
        write_format(target, IntegerNetwork.load(run), run, output, trace=trace)
        return
    from delaytool.experiments.export_run import ExportOptions, export_run
    from delaytool.files import require_writable_file
    from delaytool.hw_configs import load_target
    from delaytool.progress import StepBars
    from delaytool.trainer.run_folder import RunFolder

    options = ExportOptions(checkpoint, clip_delays, data, calibration_samples)
    if target in FORMATS or target == ONNX_FLOAT:
        export_format(target, run, output, chip, options, trace=trace, quiet=quiet)
        return
    if run.is_file():
        raise CheckpointError(
            f"{run}: this is a file; give the run folder that `delaytool train` made. A network file is written in "
            "another format by --target onnx or nir"
        )
    made_for = load_target(target)
    is_given = output is not None
    output = output or run / f"network-{target}.h5"
    if is_given or run.exists():  # otherwise the missing run is the error
        copies = [output.with_suffix(".net")] if target.startswith("loihi2") else []
        for copy in copies:
            _refuse_foreign(copy)
        require_writable_file(output, reads=(*RunFolder(run).files, data), writes=copies)
    with StepBars(not quiet) as progress:
        done = export_run(run, made_for, output, options, progress)
    print_export(done, made_for.title, output)
    if target.startswith("loihi2"):
        _write_netx(done, output)
    echo(f"next: delaytool verify {quote(str(output))} --run {quote(str(run))}{data_option(done, data)}")


def _refuse_idle_options(target: str, run: Path) -> None:
    """Raise UsageError for options that this target, or a network file, does nothing with."""
    if target != ONNX_FLOAT and not (target in FORMATS and FORMATS[target].is_graph):
        refuse_idle("trace", why=f"--target {target} writes no graph that could give anything out; onnx does")
    if target not in FORMATS:
        refuse_idle("chip", why=f"the integers are those of --target {target}; --chip is of the targets onnx and nir")
    if target == ONNX_FLOAT:
        refuse_idle("clip_delays", why="the float network has no chip whose limit would cut its delays")
    if run.is_file():
        names = ("chip", "clip_delays", "checkpoint", "data", "calibration_samples")
        refuse_idle(*names, why=f"{run} is a network file, whose integers are written as they are")


def _refuse_foreign(copy: Path) -> None:
    """Raise OutputError where the netx copy, which nobody names, would take the place of a file of another origin."""
    from delaytool.errors import OutputError
    from delaytool.formats.netx import is_of_delaytool

    if copy.exists() and not is_of_delaytool(copy):
        raise OutputError(
            f"{copy}: the netx copy of the network would take the place of this file, which no export wrote; give "
            "another name with -o, or move the file"
        )


def _write_netx(done: Export, output: Path) -> None:
    """The same network for lava-dl, where its format can hold it; where it cannot, what a user can do with that."""
    from delaytool.errors import ExportError
    from delaytool.formats.netx import has_netx_structure, write_netx

    path, network = output.with_suffix(".net"), done.network
    try:
        write_netx(network, path)
    except ExportError as error:
        is_wanted, is_former = network.target == "loihi2-netx", path.exists()
        if is_wanted or is_former:
            print_wrapped(
                "no netx file for Intel's lava-dl was written beside it, because that format cannot hold this network: "
                f"{error}"
            )
        if is_former:
            path.unlink()
            print_wrapped(f"{path}, which was written by an earlier export, is removed")
        # Other integers help where only weights or biases exceed netx, unless training has decided them.
        if not is_wanted and done.quantized_for is None and has_netx_structure(network):
            print_wrapped(
                f"to get a netx file (.net) for Intel's lava-dl, whose limits are narrower than {network.target}'s: "
                "export with --target loihi2-netx"
            )
    else:
        echo(f"netx file for lava-dl: {path}")
