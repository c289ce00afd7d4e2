"""`delaytool import`."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from delaytool.commands.console import echo, print_wrapped
from delaytool.commands.idle_options import refuse_idle, refuse_key_given_twice, settings_with_data
from delaytool.commands.quiet import quiet_option
from delaytool.commands.warnings import show_warnings, warn_if_unsigned
from delaytool.errors import OutputError
from delaytool.files import require_writable_file

if TYPE_CHECKING:
    from delaytool.contract.network import IntegerNetwork


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path),
    help="Network file; default: beside it, as .h5. Of a float NIR graph: the run folder to make.",
)  # fmt: skip
@click.option(
    "--steps", type=click.IntRange(min=1), help="Of netx: steps of a sample, if the file does not state them."
)
@click.option(
    "--time-step-ms", type=click.FloatRange(min=0, min_open=True),
    help="Length of a step, if the file does not state it, as other tools' do not; of netx 1 by default.",
)  # fmt: skip
@click.option("--clip-delays", is_flag=True, help="Of netx: cut delays over 62 to 62, as netx does silently.")
@click.option(
    "--time-unit", type=click.Choice(["s", "ms", "step"]), default="s", show_default=True,
    help="Of a float NIR graph: the unit of its time constants and delays.",
)  # fmt: skip
@click.option("--recipe", default="shd-2l-1kc", show_default=True, help="Of a float NIR graph: for its data.")
@click.option("--data", help="Of a float NIR graph: the data that it was trained on.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override a key of the recipe.")
@quiet_option()
def command(
    file: Path,
    output: Path | None,
    steps: int | None,
    time_step_ms: float | None,
    clip_delays: bool,
    time_unit: str,
    recipe: str,
    data: str | None,
    overrides: tuple[str, ...],
    quiet: bool,
) -> None:
    """Read FILE: netx (.net), of lava-dl or of ours, or NIR (.nir), of ours or of another tool.

    netx, and NIR that delaytool exported, become a network file that can be verified. A float graph of another tool
    becomes a run folder (-o), with --data and --time-step-ms: it is not calibrated to any chip until it is exported.
    """
    refuse_key_given_twice(overrides)
    from delaytool.formats.detection import format_of

    if format_of(file) == "NIR":
        _import_nir(file, output, time_step_ms, time_unit, recipe, overrides, data, quiet=quiet)
        return
    from delaytool.formats.netx import read_netx

    refuse_idle(
        "time_unit",
        "recipe",
        "data",
        "overrides",
        why=f"{file} is netx, and only a float NIR graph needs more to be read",
    )
    if output is not None:
        require_writable_file(output, reads=(file,))
    network = read_netx(file, n_steps=steps, time_step_ms=time_step_ms, clip_delays=clip_delays)
    _save(network, file, output)


def _import_nir(
    file: Path,
    output: Path | None,
    time_step_ms: float | None,
    time_unit: str,
    recipe: str,
    overrides: tuple[str, ...],
    data: str | None,
    *,
    quiet: bool,
) -> None:
    from delaytool.formats.nir.read import integers_of, read_graph

    graph = read_graph(file)
    network = integers_of(graph, file)
    refuse_idle("steps", "clip_delays", why=f"{file} is NIR, which states its steps and delays")
    if network is not None:
        refuse_idle(
            "time_step_ms", "time_unit", "recipe", "data", "overrides",
            why=f"{file} holds an integer network, whose steps and delays are written in it",
        )  # fmt: skip
        _save(network, file, output)
        return
    if output is None or time_step_ms is None:
        raise click.UsageError(
            f"{file} holds a float network of another tool, which becomes a run: give the run folder with -o, the "
            "length of a step with --time-step-ms, and its data with --data"
        )
    given = settings_with_data(overrides, data)
    _import_run(
        graph, file, output, recipe=recipe, overrides=given, time_step_ms=time_step_ms, time_unit=time_unit, quiet=quiet
    )


def _free(output: Path | None, file: Path) -> Path:
    """The network file to write: the one that is given, or one beside `file`, which must not be there yet.

    Raises OutputError: the network that the file was made of may lie there, and records more than the file does.
    """
    if output is not None:
        return output
    beside = file.with_suffix(".h5")
    if beside.exists():
        raise OutputError(f"{beside}: the file is already there; name the network file to write, with -o FILE")
    return beside


def _import_run(
    graph: Any, file: Path, output: Path, *, time_step_ms: float, time_unit: str, quiet: bool, **options: Any
) -> None:
    from delaytool.accuracy_errors import format_accuracy
    from delaytool.experiments.import_nir import import_nir_run
    from delaytool.progress import StepBars

    with StepBars(not quiet) as progress:
        done = import_nir_run(
            graph, output, time_step_ms=time_step_ms, time_unit=time_unit, progress=progress, **options
        )  # fmt: skip
    show_warnings(done.warnings)
    last = done.network.layers[-1]
    print_wrapped(f"{file}: {done.sizes}, {', '.join(layer.kind for layer in done.network.layers)}")
    echo(
        f"read with steps of {time_step_ms:g} ms, times in {time_unit}, forward Euler, reset to 0, "
        + ("a step from layer to layer" if done.timing == "chip" else "spikes without a delay arrive in their own step")
    )
    print_wrapped(f"the class is read from the membrane of {last.name} ({last.kind}), as if it never fired")
    print_wrapped(
        f"test accuracy with rounded delays: {format_accuracy(done.accuracy, done.samples)} ({done.samples} samples)"
    )
    print_wrapped("it is a float network: export calibrates it, choosing scales on validation samples of these data")
    echo(f"run: {output}    next: delaytool export {quote(str(output))} --target loihi2")


def _save(network: IntegerNetwork, file: Path, output: Path | None) -> None:
    output = _free(output, file)
    require_writable_file(output, reads=(file,))
    network.save(output)
    warn_if_unsigned(network, file)
    sizes = "-".join(
        str(size) for size in (network.encoding.n_channels, *(layer.n_neurons for layer in network.layers))
    )
    echo(f"{file}: {sizes}, {network.n_synapses:,} synapses, delays up to {network.max_delay}, {network.n_steps} steps")
    echo(f"network: {output}    next: delaytool verify {quote(str(output))} --data … --no-drop")
