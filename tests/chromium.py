"""A headless Chromium, and what is measured in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
VARIABLE = "DELAYTOOL_CHROMIUM"


@contextmanager
def browser() -> Iterator[Any]:
    """$DELAYTOOL_CHROMIUM, or the first of `NAMES` on the path. Skips the test where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    path = os.environ.get(VARIABLE) or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed; install Debian's chromium, or set {VARIABLE}")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@contextmanager
def open_page(
    browser: Any, path: Path, width: int = 1280, scheme: str = "light", script: bool = True
) -> Iterator[tuple[Any, list[str]]]:
    """A page of playwright, and the list in which its console's messages and its errors are gathered."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script, offline=True
    )
    page = context.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.goto(path.absolute().as_uri())
    yield page, messages
    context.close()


# All that a reader can unfold: folded parts, and every panel of the chooser.
UNFOLD = """() => {
  for (const details of document.querySelectorAll("details")) details.open = true;
  const style = document.createElement("style");
  style.textContent = ".panels > div { display: block !important; }";
  document.head.append(style);
}"""

WIDTHS = "() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]"

# What is wider than the window and in no box that scrolls by itself.
TOO_WIDE = """() => [...document.querySelectorAll("main *, header *, nav *")].filter((element) => {
  if (element.closest(".scroll, pre, svg") || element.checkVisibility() === false) return false;
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.left >= 0 && box.right > document.documentElement.clientWidth + 1;
}).map((element) => element.outerHTML.slice(0, 120))"""

PICTURES_WITHOUT_NAMES = """() => [...document.querySelectorAll("img, svg")].filter((picture) =>
  picture.tagName === "IMG"
    ? !picture.alt.trim()
    : picture.getAttribute("role") !== "img" || !(picture.getAttribute("aria-label") || "").trim()
).map((picture) => picture.outerHTML.slice(0, 120))"""

# CSS pixels of the smallest text in a figure, as it is seen.
SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll("figure svg text")].map((text) =>
  parseFloat(getComputedStyle(text).fontSize) * Math.hypot(text.getScreenCTM().a, text.getScreenCTM().b)))"""

# WCAG 2's contrast of each text with what lies beneath its middle: backgrounds, and shapes of figures.
# The window must show the whole page, because only there it can be asked what lies at a point.
CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parse = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const opacity = (element) => {
    let product = 1;
    for (let at = element; at instanceof Element; at = at.parentElement) product *= +getComputedStyle(at).opacity;
    return product;
  };
  const paint = (element, asText) => {
    const style = getComputedStyle(element);
    const inFigure = element instanceof SVGElement;
    if (inFigure && !asText && !(element instanceof SVGGeometryElement)) return [0, 0, 0, 0];
    const name = inFigure ? style.fill : asText ? style.color : style.backgroundColor;
    if (name === "none") return [0, 0, 0, 0];
    const [r, g, b, a] = parse(name);
    return [r, g, b, a * (inFigure ? +style.fillOpacity : 1) * opacity(element)];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const luminance = (color) => {
    const [r, g, b] = color.slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || element.closest("script, style")) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const box = range.getClientRects()[0];
    if (!box || box.width < 2) continue;
    const stack = document.elementsFromPoint(box.left + box.width / 2, box.top + box.height / 2);
    const place = stack.indexOf(element);
    if (place < 0) continue;  // scrolled out of its box
    const beneath = stack.slice(element instanceof SVGElement ? place + 1 : place);
    const ground = beneath.reduceRight((below, each) => over(paint(each, false), below), [255, 255, 255, 1]);
    const [light, dark] = [luminance(over(paint(element, true), ground)), luminance(ground)].sort((a, b) => b - a);
    found.push([Math.round(100 * (light + 0.05) / (dark + 0.05)) / 100, node.data.trim().slice(0, 60)]);
  }
  return found;
}"""


def contrasts(page: Any) -> list[tuple[float, str]]:
    """(contrast, text) of every text that is seen."""
    height = page.evaluate("document.documentElement.scrollHeight")
    page.set_viewport_size({"width": page.viewport_size["width"], "height": min(height, 30_000)})
    return [(ratio, text) for ratio, text in page.evaluate(CONTRASTS)]
