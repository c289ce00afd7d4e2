"""`delaytool analyze`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from delaytool.commands.quiet import quiet_option

if TYPE_CHECKING:
    from delaytool.analysis.run_analysis import RunAnalysis


@click.command("analyze")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to write; default: RUN/analysis.")
@click.option("--layer", "layers", multiple=True, help="Layer to analyze; may be repeated. Default: the first.")
@click.option("--contiguity", type=click.Choice(["queen", "rook"]), default="queen", show_default=True,
              help="Which cells are neighbors: with diagonal ones (queen), or without (rook).")  # fmt: skip
@click.option("--permutations", type=click.IntRange(19, 20_000), default=999, show_default=True,
              help="Shuffles for each test; with fewer than 19 no p could be 5 % or less.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the shuffles.")
@click.option("--neurons", type=click.IntRange(1, 120), default=24, show_default=True, help="Neurons in a picture.")
@click.option("--checkpoint", type=click.Choice(["best", "last"]), default="best", show_default=True,
              help="Which checkpoint of the run to analyze.")  # fmt: skip
@quiet_option()
def command(
    run: Path,
    output: Path | None,
    layers: tuple[str, ...],
    contiguity: str,
    permutations: int,
    seed: int,
    neurons: int,
    checkpoint: str,
    quiet: bool,
) -> None:
    """Draw the receptive fields of the neurons of RUN over delays, and measure their structure.

    A neuron's receptive field has a row per presynaptic unit and a column per delay; its cells are weights. Moran's I
    measures whether neighboring cells hold similar weights, before and after training, against shuffled fields.
    """
    from delaytool.analysis.layer_structure import MoranSettings
    from delaytool.analysis.run_analysis import analyze_run
    from delaytool.analysis.write import write_analysis
    from delaytool.commands.console import PlainConsole
    from delaytool.commands.tables import structure_table
    from delaytool.files import require_writable_folder
    from delaytool.progress import StepBars

    folder = output or run / "analysis"
    if run.exists():  # otherwise the missing run is the error
        require_writable_folder(folder)
    settings = MoranSettings(contiguity, permutations, seed)  # type: ignore[arg-type]  # click has checked it
    with StepBars(not quiet) as progress:
        analysis = analyze_run(run, layers=layers, settings=settings, checkpoint=checkpoint, progress=progress)
    written = write_analysis(analysis, folder, neurons)
    console = PlainConsole()
    for layer, stages in analysis.structure.items():
        neurons_, units, delays = next(iter(stages.values())).fields.shape
        console.print(
            structure_table(stages, f"{layer}: {neurons_} neurons, fields of {units} units x {delays} delays")
        )
    console.print(_describe_test(analysis))
    for note in analysis.notes:
        console.print(f"note: {note}")
    console.print(f"written: {', '.join(path.name for path in written)} in {folder}")


def _describe_test(analysis: RunAnalysis) -> str:
    test = analysis.settings
    return (
        f"Moran's I: mean over neurons ± its standard error, {test.contiguity} contiguity. cells: its mean with all "
        "cells of a field shuffled;\nweights: with weights shuffled among the field's synapses, which keep their "
        f"places ({test.permutations} shuffles, seed {test.seed}).\np < 5 %: share of the neurons whose I is larger "
        "than of 95 % of the shuffles; by chance it is 5 %."
    )
