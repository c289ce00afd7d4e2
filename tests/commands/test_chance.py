"""A network that learned nothing: the warning stands in the terminal, the summary, the verdict and the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

WARNING = "the accuracy is not above chance"


def test_a_network_at_chance_is_warned_of_everywhere(call: Callable[..., Result], tmp_path: Path) -> None:
    run = tmp_path / "run"
    still = ("trainer.epochs=1", "trainer.lr=1e-9", "trainer.delay_lr=1e-9", "model.hidden=[24]")
    result = call("train", "digits", "-o", run, *(word for key in still for word in ("--set", key)))
    assert result.exit_code == 0, result.output
    assert f"warning: {WARNING}" in result.output
    assert any(WARNING in sentence for sentence in json.loads((run / "summary.json").read_text())["warnings"])
    assert call("export", run).exit_code == 0
    result = call("verify", run / "network-loihi2.h5", "--no-drop")
    assert result.exit_code == 0, result.output
    *_, passed, warning, _ = result.output.splitlines()
    assert passed.startswith("PASS: engine, reference agree on every bit")
    assert warning.startswith(f"WARNING: {WARNING}")
    found = json.loads(call("verify", run / "network-loihi2.h5", "--no-drop", "--json").output)
    assert WARNING in found["warnings"][0]
    assert not found["chance"]["above_chance"]
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    result = call("report", run, "--samples", 20, "--max-drop", 100)
    assert f"WARNING: {WARNING}" in result.output
    page = (run / "report.html").read_text()
    assert '<span class="badge warn">PASS</span>' in page
    assert f'<p class="warning"><b>Warning</b>: {WARNING}' in page
    (run / "network-loihi2.h5").unlink()
    call("report", run)
    page = (run / "report.html").read_text()
    assert "NOT VERIFIED" in page
    assert f'<p class="warning"><b>Warning</b>: {WARNING}' in page


def test_a_network_that_learned_is_not(run: Path, network: Path, call: Callable[..., Result]) -> None:
    assert json.loads((run / "summary.json").read_text())["warnings"] == []
    assert "WARNING" not in call("verify", network, "--no-drop").output
