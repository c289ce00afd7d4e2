"""`delaytool export`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from delaytool.commands.console import PlainConsole, echo

if TYPE_CHECKING:
    from delaytool.exporter.compile import Export


@click.command("export")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--target", default="loihi2", show_default=True, help="Chip: loihi2 or loihi2-netx; ideal for no chip's limits."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Network file; default: RUN/network-TARGET.h5.")
@click.option("--clip-delays", is_flag=True, help="Cut longer delays to the target's limit, and count them.")
@click.option(
    "--checkpoint", type=click.Choice(["best", "last"]), default="best", show_default=True, help="Which one to export."
)
@click.option("--data", help="Where the run's data are now, if not where its recipe names them.")
@click.option("--calibration-samples", type=click.IntRange(min=1), default=128, show_default=True,
              help="Validation samples on which scales are chosen.")  # fmt: skip
def command(
    run: Path,
    target: str,
    output: Path | None,
    clip_delays: bool,
    checkpoint: str,
    data: str | None,
    calibration_samples: int,
) -> None:
    """Compile the trained network of RUN for a chip.

    Scales are chosen by how well the integers follow the float network on validation samples. A value beyond the
    chip's limits is an error that names it; no value is cut unless you ask for it (--clip-delays).
    """
    from delaytool.experiments.export_run import ExportOptions, export_run
    from delaytool.files import require_writable_file
    from delaytool.hw_configs import load_target
    from delaytool.progress import StepBars

    chip = load_target(target)
    if output is None:
        output = run / f"network-{target}.h5"
        if run.exists():  # otherwise the missing run is the error
            require_writable_file(output)
    else:
        require_writable_file(output)
    with StepBars() as progress:
        done = export_run(
            run, chip, output, ExportOptions(checkpoint, clip_delays, data, calibration_samples), progress
        )
    _print(done, chip.title, output)
    if target.startswith("loihi2"):
        _write_netx(done, output)
    echo(f"next: delaytool verify {quote(str(output))} --run {quote(str(run))}{_data_option(done, data)}")


def _data_option(done: Export, data: str | None) -> str:
    """The option that `verify` needs where the run's data are not built in."""
    from delaytool.experiments.verify_run import BUILT_IN, RECORDED

    if data is not None:
        return f" --data {quote(data)}"
    source = (done.network.provenance.get("recipe") or {}).get("data", {}).get("source")
    return "" if source in BUILT_IN else f" --data {RECORDED}"


def _print(done: Export, title: str, output: Path) -> None:
    from delaytool.commands.tables import export_table

    console = PlainConsole()
    console.print(export_table([layer.as_dict() for layer in done.layers], f"exported for {title}"))
    for layer in done.layers:
        if layer.clipped_delays:
            console.print(f"layer {layer.name}: {layer.clipped_delays:,} delays were cut to the target's limit")
        if layer.current_reach >= 1:
            console.print(
                f"layer {layer.name}: its current can reach {layer.current_reach:.1f} times the 24-bit range, "
                "so it could wrap for some input"
            )
    memory, cores = sum(layer.synapse_bytes for layer in done.layers), sum(layer.cores for layer in done.layers)
    console.print(f"chip: about {memory / 1024:.1f} KiB of synapses on {cores} cores (an estimate)")
    readout = done.layers[-1].membrane_reach
    if readout < 1:
        console.print(
            f"readout: v reaches at most {100 * readout:.0f} % of its threshold, for any input: it never fires"
        )
    else:
        console.print(f"readout: v could reach {readout:.2f} times its threshold; it is not proven that it never fires")
    wished = (done.network.provenance.get("recipe") or {}).get("trainer", {}).get("quantize")
    if done.quantized_for is not None:
        console.print(
            f"these are the integers of {done.quantized_for} that training ended on: none was rounded for this"
        )
    elif wished is not None:
        console.print(
            f"this checkpoint is from before training through {wished}'s integers began: they were made after training"
        )
    console.print(f"network: {output}")


def _write_netx(done: Export, output: Path) -> None:
    """The same network for lava-dl, where its format can hold it."""
    from delaytool.errors import ExportError
    from delaytool.formats.netx import write_netx

    path = output.with_suffix(".net")
    try:
        write_netx(done.network, path)
    except ExportError as error:
        path.unlink(missing_ok=True)  # an earlier export's file would hold another network
        echo(f"no netx file for lava-dl: {error}")
        if done.network.target != "loihi2-netx":
            echo("integers that netx can hold: --target loihi2-netx")
    else:
        echo(f"netx file for lava-dl: {path}")
