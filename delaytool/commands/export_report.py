"""What `delaytool export` prints of a compiled run."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from delaytool.commands.console import PlainConsole
from delaytool.commands.warnings import show_warnings

if TYPE_CHECKING:
    from delaytool.exporter.compile import Export


def data_option(done: Export, data: str | None) -> str:
    """What `verify` needs where the run's data are not built in."""
    from delaytool.experiments.evaluated_samples import BUILT_IN, RECORDED

    if data is not None:
        return f" --data {quote(data)}"
    source = (done.network.provenance.get("recipe") or {}).get("data", {}).get("source")
    return "" if source in BUILT_IN else f" --data {RECORDED}"


def print_export(done: Export, title: str, output: Path) -> None:
    from delaytool.commands.tables import export_table

    show_warnings(done.warnings)
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
        console.print(f"readout: v could reach {readout:.2f} times its threshold: not proven that it never fires")
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
