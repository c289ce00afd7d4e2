"""An analysis as files: JSON and CSV for machines, pictures for people."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from delaytool.analysis import figures
from delaytool.analysis.layer_structure import LEVEL
from delaytool.analysis.run_analysis import AFTER, RunAnalysis
from delaytool.figure_style import save_png
from delaytool.files import atomic_path
from delaytool.version import __version__

SCHEMA = "delaytool-analysis"
SCHEMA_VERSION = 1


def write_analysis(analysis: RunAnalysis, folder: Path, neurons: int = 24) -> list[Path]:
    """Write every file, each whole or not at all; returns their paths.

    neurons   how many a picture of receptive fields shows: those with the largest Moran's I after training
    """
    written = [folder / "analysis.json", folder / "neurons.csv"]
    with atomic_path(written[0]) as path:
        path.write_text(json.dumps(as_dict(analysis), indent=1) + "\n")
    rows = neuron_rows(analysis)
    with atomic_path(written[1]) as path, path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    pictures: list[tuple[str, Any]] = []
    for layer, stages in analysis.structure.items():
        chosen = stages[AFTER].most_tuned(neurons).tolist()
        units = "input channel" if layer == next(iter(analysis.histograms)) else "neuron before"
        for stage, structure in stages.items():
            figure = figures.receptive_fields(
                structure, chosen, time_step_ms=analysis.time_step_ms, units=units,
                title=f"{analysis.name}, {layer}: "
                + (
                    f"{len(chosen)} neurons of largest Moran's I after training (p: weights shuffled)"
                    if stage == AFTER
                    else f"the same {len(chosen)} neurons before training"
                ),
            )  # fmt: skip
            pictures.append((f"receptive-fields-{layer}-{stage}.png", figure))
        pictures.append(
            (
                f"morans-i-{layer}.png",
                figures.structure_histograms(stages, title=f"{analysis.name}, {layer}: structure of receptive fields"),
            )
        )
    pictures.append(("delays.png", figures.delay_histograms(analysis.histograms, analysis.by_epoch)))
    for name, figure in pictures:
        written.append(folder / name)
        with atomic_path(written[-1]) as path:
            save_png(figure, path)
    return written


def neuron_rows(analysis: RunAnalysis) -> list[dict[str, Any]]:
    """Every neuron's figures: a row for each layer, stage, part and neuron."""
    return [
        {"layer": layer, "stage": stage, **row}
        for layer, stages in analysis.structure.items()
        for stage, structure in stages.items()
        for row in structure.neurons()
    ]


def as_dict(analysis: RunAnalysis) -> dict[str, Any]:
    """The whole analysis as JSON values."""
    return {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "tool": f"delaytool {__version__}",
        "name": analysis.name,
        "checkpoint": analysis.checkpoint,
        "epoch": analysis.epoch,
        "time_step_ms": analysis.time_step_ms,
        "test": {**vars(analysis.settings), "alternative": "greater", "significant_at": LEVEL},
        "notes": list(analysis.notes),
        "layers": {
            layer: {stage: structure.summary() for stage, structure in stages.items()}
            for layer, stages in analysis.structure.items()
        },
        "delay_histograms": {
            layer: {
                **stages,
                "by_epoch": [{"epoch": epoch, "synapses": counts} for epoch, counts in analysis.by_epoch[layer]],
            }
            for layer, stages in analysis.histograms.items()
        },
        "neurons": neuron_rows(analysis),
    }
