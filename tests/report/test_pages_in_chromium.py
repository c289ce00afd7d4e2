"""The pages in a browser: nothing is cut off on a desktop or a phone, in light or dark, with script or without."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chromium
import pytest
from click.testing import Result

TINY = ("--set", "model.hidden=[12]", "--set", "trainer.epochs=2", "--set", "trainer.batch_size=128")
KINDS = ("report", "comparison", "sweep")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium.browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(browser: Any, page: str, delaytool: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory) -> dict:
    """A page of each kind: of a run, of a comparison in which a method does not fit, of a sweep with a failed run."""
    pytest.importorskip("optuna")
    folder = tmp_path_factory.mktemp("pages")
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "long.toml").write_text("extends = 'digits'\n[model]\nmax_delay = 80\ntail_steps = 4\n")
    out = folder / "comparison"
    done = delaytool("compare", "digits", folder / "long.toml", "--seeds", 1, "-o", out, "--samples", 5, *TINY)
    assert done.exit_code == 0, done.output
    over = ("--over", "trainer.lr=1e30,5e-3,1e-3", "--over", "seed=0..1")
    done = delaytool("sweep", "digits", *over, "-o", folder / "sweep", *TINY)
    assert done.exit_code == 1, done.output  # one rate is too large
    return {
        "report": folder / "report.html",
        "comparison": out / "comparison.html",
        "sweep": folder / "sweep" / "sweep.html",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("kind", KINDS)
def test_a_page_can_be_read_at_any_width_and_in_both_color_schemes(
    browser: Any, pages: dict[str, Path], kind: str, width: int, scheme: str
) -> None:
    with chromium.open_page(browser, pages[kind], width, scheme) as (page, messages):
        page.evaluate(chromium.UNFOLD)
        scrolled, seen = page.evaluate(chromium.WIDTHS)
        assert scrolled <= seen, page.evaluate(chromium.TOO_WIDE)
        assert page.evaluate(chromium.TOO_WIDE) == []
        assert page.evaluate(chromium.SMALLEST_TEXT) > 7
        found = chromium.contrasts(page)
        assert len(found) > {"report": 400, "comparison": 80, "sweep": 50}[kind]
        assert [each for each in found if each[0] < 4.5] == []
        assert messages == []


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_has_a_name_and_every_link_a_place(browser: Any, pages: dict[str, Path], kind: str) -> None:
    with chromium.open_page(browser, pages[kind]) as (page, _):
        assert page.locator("svg").count() >= {"report": 18, "comparison": 4, "sweep": 3}[kind]
        assert page.evaluate(chromium.PICTURES_WITHOUT_NAMES) == []
        links = page.evaluate("[...document.querySelectorAll('a')].map((each) => each.getAttribute('href'))")
        assert len(links) == page.locator("section").count() + 1  # and one past the contents
        for link in links:
            assert page.locator(link).count() == 1, link
        ids = page.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
        assert len(ids) == len(set(ids))


@pytest.mark.parametrize("kind", KINDS)
def test_without_script_a_page_reads_the_same(browser: Any, pages: dict[str, Path], kind: str) -> None:
    texts = []
    for script in (True, False):
        with chromium.open_page(browser, pages[kind], script=script) as (page, messages):
            texts.append(page.locator("body").inner_text())
            assert page.locator("th button").count() == 0 or script
            assert messages == []
    assert texts[0] == texts[1]
    assert len(texts[0]) > 1000


def test_samples_are_chosen_without_script(browser: Any, pages: dict[str, Path]) -> None:
    with chromium.open_page(browser, pages["report"], script=False) as (page, _):
        labels = page.locator(".choices label")
        assert labels.count() == 6
        assert page.locator(".choices .bad").count() >= 1  # so short a run errs
        for number in range(labels.count()):
            labels.nth(number).click()
            shown = [panel.is_visible() for panel in page.locator(".panels > div").all()]
            assert shown == [index == number for index in range(6)]
        page.keyboard.press("ArrowLeft")
        assert page.locator(".panels > div").nth(4).is_visible()


def test_a_table_is_sorted_by_the_column_that_is_pressed(browser: Any, pages: dict[str, Path]) -> None:
    with chromium.open_page(browser, pages["sweep"]) as (page, _):
        table = page.locator("#results table")
        heading = table.locator("th", has_text="validation")

        def column(number: int) -> list[str]:
            return [row.locator("td").nth(number).inner_text() for row in table.locator("tbody tr").all()]

        assert column(0) == ["0.001", "0.005", "1e+30"]
        heading.locator("button").click()
        accuracies = [float(cell.partition(" %")[0]) for cell in column(2)[:2]]
        assert accuracies == sorted(accuracies)
        assert heading.get_attribute("aria-sort") == "ascending"
        heading.locator("button").click()
        assert [float(cell.partition(" %")[0]) for cell in column(2)[:2]] == accuracies[::-1]
        assert column(2)[2] == "-"  # what is not known comes last, both ways
        table.locator("th", has_text="lr").locator("button").click()
        assert column(0) == ["0.001", "0.005", "1e+30"]
        assert heading.get_attribute("aria-sort") is None


def test_the_comparison_shows_pairs_and_what_does_not_fit(browser: Any, pages: dict[str, Path]) -> None:
    with chromium.open_page(browser, pages["comparison"]) as (page, _):
        (row,) = [row.locator("td").all_inner_texts() for row in page.locator("#significance tbody tr").all()]
        assert set(row[0].split(" - ")) == {"digits", "long"}
        assert row[-1] in ("yes", "no")
        assert "long does not fit loihi2" in page.locator("#fit").inner_text()
        assert page.locator("#curves svg").count() == 2


def test_the_contrast_is_that_of_wcag(browser: Any, tmp_path: Path) -> None:
    """Known ratios: gray 777777 on white is 4.48, black on white 21; half-transparent shapes are mixed."""
    path = tmp_path / "page.html"
    path.write_text(
        "<body style='background: #fff'><p style='color: #777777'>gray</p><p style='color: #000'>black</p>"
        "<svg viewBox='0 0 100 20' width='500'><rect width='100' height='20' style='fill: #000; fill-opacity: 0.5'/>"
        "<text x='20' y='12' style='fill: #fff; font-size: 8px'>white</text></svg></body>"
    )
    with chromium.open_page(browser, path) as (page, _):
        found = {text: ratio for ratio, text in chromium.contrasts(page)}
    assert found["gray"] == pytest.approx(4.48, abs=0.01)
    assert found["black"] == 21
    assert found["white"] == pytest.approx(3.98, abs=0.06)  # on 7f7f7f or 808080


def test_what_is_too_wide_is_found(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(f"<main><p style='width: 1500px'>wide</p></main><script>{json.dumps('x')}</script>")
    with chromium.open_page(browser, path) as (page, _):
        scrolled, seen = page.evaluate(chromium.WIDTHS)
        assert scrolled > seen
        assert len(page.evaluate(chromium.TOO_WIDE)) == 1
