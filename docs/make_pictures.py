"""The README's pictures, from an exported run: python docs/make_pictures.py RUN [SAMPLE]."""

from __future__ import annotations

import sys
from pathlib import Path

from delaytool.analysis.figures import receptive_fields
from delaytool.analysis.run_analysis import RunAnalysis
from delaytool.figure_style import save_png
from delaytool.report import figures
from delaytool.report.content import PageRequest, gather

PICTURES = Path(__file__).parent / "pictures"


def main(run: Path, sample: int = 0) -> None:
    content = gather(run, PageRequest(samples=1, sample=sample))
    if content.file is None or content.sample is None:
        raise SystemExit(f"{run}: {content.why_not_verified}")
    network = content.file.network
    PICTURES.mkdir(exist_ok=True)
    save_png(figures.raster(network, content.sample), PICTURES / "raster.png")
    save_png(figures.delays(network.layers, content.float_delays.by_layer), PICTURES / "delays.png")
    if content.analysis is not None:
        save_receptive_fields(content.analysis)


def save_receptive_fields(analysis: RunAnalysis, neurons: int = 12) -> None:
    """The first layer's neurons of largest Moran's I, for docs/analysis.md."""
    ((layer, stages),) = analysis.structure.items()
    chosen = stages["after"].most_tuned(neurons).tolist()
    title = f"{analysis.name}, {layer}: {neurons} neurons of largest Moran's I after training (p: weights shuffled)"
    figure = receptive_fields(stages["after"], chosen, title=title, time_step_ms=analysis.time_step_ms)
    save_png(figure, PICTURES / "receptive_fields.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
