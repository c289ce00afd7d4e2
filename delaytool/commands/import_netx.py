"""`delaytool import`."""

from __future__ import annotations

from pathlib import Path

import click

from delaytool.commands.console import echo


@click.command("import")
@click.argument("netx", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Network file; default: NETX with the suffix .h5."
)
@click.option("--steps", type=click.IntRange(min=1), help="Steps of a sample; files of other tools do not hold them.")
@click.option(
    "--time-step-ms",
    type=float,
    default=1.0,
    show_default=True,
    help="Length of a step, in milliseconds; files of other tools do not hold it.",
)
@click.option("--clip-delays", is_flag=True, help="Cut longer delays to 62, as netx does without notice.")
def command(netx: Path, output: Path | None, steps: int | None, time_step_ms: float, clip_delays: bool) -> None:
    """Read NETX, a .net file that lava-dl or delaytool wrote, into a network file that can be verified."""
    from delaytool.files import require_writable_file
    from delaytool.formats.netx import read_netx

    output = output or netx.with_suffix(".h5")
    if netx.exists():  # otherwise the missing file is the error
        require_writable_file(output)
    network = read_netx(netx, n_steps=steps, time_step_ms=time_step_ms, clip_delays=clip_delays)
    network.save(output)
    sizes = "-".join(
        str(size) for size in (network.encoding.n_channels, *(layer.n_neurons for layer in network.layers))
    )
    echo(f"{netx}: {sizes}, {network.n_synapses:,} synapses, delays up to {network.max_delay}, {network.n_steps} steps")
    echo(f"network: {output}    next: delaytool verify {output} --data … --no-drop")
