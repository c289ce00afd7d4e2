"""What cannot be reported on is one clear line, exit code 2, and no page."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from delaytool.trainer.recipe import load_recipe
from delaytool.trainer.run_folder import RunFolder


def _refused(result: Result, page: Path, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert len(result.output.strip().splitlines()) == 1, result.output
    for word in words:
        assert word in result.output
    assert not page.exists()
    assert [path for path in page.parent.iterdir() if path.name.startswith(".")] == []


def test_missing_input(tmp_path: Path, delaytool: Callable[..., Result]) -> None:
    _refused(delaytool("report", tmp_path / "nothing"), tmp_path / "report.html", "nothing", "no such file or folder")


def test_a_folder_without_a_run(tmp_path: Path, delaytool: Callable[..., Result]) -> None:
    _refused(delaytool("report", tmp_path), tmp_path / "report.html", "recipe.toml", "delaytool train")


def test_a_file_that_is_no_network(tmp_path: Path, delaytool: Callable[..., Result]) -> None:
    (tmp_path / "net.h5").write_text("no network")
    _refused(delaytool("report", tmp_path / "net.h5"), tmp_path / "report.html", "net.h5", "HDF5")


@pytest.mark.parametrize("name", ["metrics.jsonl", "summary.json"])
def test_a_damaged_run(run: Path, tmp_path: Path, delaytool: Callable[..., Result], name: str) -> None:
    broken = tmp_path / "run"
    broken.mkdir()
    shutil.copy(run / "recipe.toml", broken)
    (broken / name).write_text('{"epoch": 1, "train_lo\n')
    _refused(delaytool("report", broken), broken / "report.html", name, "damaged")


def test_a_sample_beyond_the_data(run: Path, tmp_path: Path, delaytool: Callable[..., Result]) -> None:
    page = tmp_path / "page.html"
    result = delaytool("report", run, "-o", page, "--sample", 359, "--samples", 5)
    _refused(result, page, "--sample 359", "0..358")


def test_data_that_are_not_there(run: Path, tmp_path: Path, delaytool: Callable[..., Result]) -> None:
    page = tmp_path / "page.html"
    _refused(delaytool("report", run, "-o", page, "--data", tmp_path / "gone.h5"), page, "gone.h5")


@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_missing_extra(
    run: Path, tmp_path: Path, delaytool: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    for name in [name for name in sys.modules if name.startswith("delaytool.report")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    page = tmp_path / "page.html"
    _refused(delaytool("report", run, "-o", page), page, package, '[plots]"')


@pytest.mark.parametrize("option", [("--data", "gone.h5"), ("--samples", "3"), ("--torch",)])
def test_what_a_run_without_a_network_has_no_use_for_is_refused(
    option: tuple[str, ...], tmp_path: Path, delaytool: Callable[..., Result]
) -> None:
    RunFolder(tmp_path).create(load_recipe("digits"))
    result = delaytool("report", tmp_path, *option)
    assert result.exit_code == 2
    assert f"{option[0]} has no effect: {tmp_path} has not been exported yet" in " ".join(result.output.split())
    assert not (tmp_path / "report.html").exists()
