"""The pictures of the docs, from an exported run: python docs/make_pictures.py RUN [SAMPLE].

Of the page itself there are pictures where a Chromium and the package playwright are found (pip install -e '.[dev]').
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from delaytool.analysis.figures import receptive_fields
from delaytool.analysis.run_analysis import RunAnalysis
from delaytool.figure_style import save_png
from delaytool.report.content import PageRequest, gather_content
from delaytool.report.page import write_page
from delaytool.report.sample_figure import raster

PICTURES = Path(__file__).parent / "pictures"
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "chrome")


def main(run: Path, sample: int = 0) -> None:
    content = gather_content(run, PageRequest(sample=sample))
    if content.file is None or not content.samples:
        raise SystemExit(f"{run}: {content.why_not_verified}")
    network = content.file.network
    PICTURES.mkdir(exist_ok=True)
    save_png(raster(network, content.samples[0]), PICTURES / "raster.png")
    if content.analysis is not None:
        save_receptive_fields(content.analysis)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_page(content, page)
        save_page_top(page)


def save_receptive_fields(analysis: RunAnalysis, neurons: int = 12) -> None:
    """The first layer's neurons of largest Moran's I, for docs/analysis.md."""
    ((layer, stages),) = analysis.structure.items()
    chosen = stages["after"].most_tuned(neurons).tolist()
    title = f"{analysis.name}, {layer}: {neurons} neurons of largest Moran's I after training (p: weights shuffled)"
    figure = receptive_fields(stages["after"], chosen, title=title, time_step_ms=analysis.time_step_ms)
    save_png(figure, PICTURES / "receptive_fields.png")


def save_page_top(page: Path) -> None:
    """What is seen of the page first, on a light and on a dark desktop: report-light.png, report-dark.png."""
    found = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if found is None:
        print(f"no pictures of the page: none of {', '.join(CHROMIUM)} is installed")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        for scheme in ("light", "dark"):
            opened = browser.new_page(viewport={"width": 1280, "height": 1000}, color_scheme=scheme)
            opened.goto(page.as_uri())
            opened.screenshot(path=PICTURES / f"report-{scheme}.png")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:3]))
