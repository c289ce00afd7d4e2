"""A tiny run, trained and exported once."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from delaytool.cli import main


@pytest.fixture(scope="session")
def delaytool() -> Callable[..., Result]:
    """Run the command line."""
    return lambda *arguments: CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, delaytool: Callable[..., Result]) -> Path:
    """A run of two epochs on the digits, exported for Loihi 2. Read it, do not change it."""
    for package in ("torch", "sklearn", "matplotlib", "jinja2"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("report") / "run"
    overrides = ("trainer.epochs=2", "model.hidden=[12]", "trainer.batch_size=128", "trainer.single_tap_epochs=0.5")
    trained = delaytool("train", "digits", "-o", folder, *(part for key in overrides for part in ("--set", key)))
    assert trained.exit_code == 0, trained.output
    exported = delaytool("export", folder, "--calibration-samples", 32)
    assert exported.exit_code == 0, exported.output
    return folder


@pytest.fixture(scope="session")
def page(run: Path, delaytool: Callable[..., Result], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The run's page."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    result = delaytool("report", run, "-o", path, "--samples", 20, "--max-drop", 100, "--torch")
    assert result.exit_code == 0, result.output
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def figures_of() -> Callable[[str], dict[str, str]]:
    """A page's figures as SVG text, by their accessible names."""
    pattern = re.compile(r'<svg role="img" aria-label="([^"]*)".*?</svg>', re.DOTALL)
    return lambda page: {found[1]: found[0] for found in pattern.finditer(page)}
