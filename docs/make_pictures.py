"""The README's pictures, from an exported run: python docs/make_pictures.py RUN [SAMPLE]."""

from __future__ import annotations

import sys
from pathlib import Path

from delaytool.report import figures
from delaytool.report.content import gather
from delaytool.report.style import save_png

PICTURES = Path(__file__).parent / "pictures"


def main(run: Path, sample: int = 0) -> None:
    content = gather(run, samples=1, sample=sample)
    if content.file is None or content.sample is None:
        raise SystemExit(f"{run}: {content.why_not_judged}")
    network = content.file.network
    PICTURES.mkdir(exist_ok=True)
    save_png(figures.raster(network, content.sample), PICTURES / "raster.png")
    save_png(figures.delays(network.layers, content.float_delays.by_layer), PICTURES / "delays.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
