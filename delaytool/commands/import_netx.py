"""`delaytool import`."""

from __future__ import annotations

from pathlib import Path

import click

from delaytool.commands.console import echo


@click.command("import")
@click.argument("netx", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Network file; default: beside it, as .h5.")
@click.option("--steps", type=click.IntRange(min=1), help="Steps of a sample, which other tools' files do not say.")
@click.option("--time-step-ms", type=float, default=1.0, show_default=True, help="Length of a step, likewise.")
@click.option("--clip-delays", is_flag=True, help="Cut delays over 62 to 62, as netx does silently.")
def command(netx: Path, output: Path | None, steps: int | None, time_step_ms: float, clip_delays: bool) -> None:
    """Read NETX, a .net file that lava-dl or delaytool wrote, into a network file that can be verified."""
    from delaytool.exporter.targets.netx import read_netx

    network = read_netx(netx, n_steps=steps, time_step_ms=time_step_ms, clip_delays=clip_delays)
    output = output or netx.with_suffix(".h5")
    network.save(output)
    sizes = "-".join(
        str(size) for size in (network.encoding.n_channels, *(layer.n_neurons for layer in network.layers))
    )
    echo(f"{netx}: {sizes}, {network.n_synapses:,} synapses, delays up to {network.max_delay}, {network.n_steps} steps")
    echo(f"network: {output}    next: delaytool verify {output} --data … --no-drop")
