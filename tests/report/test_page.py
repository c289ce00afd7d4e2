"""What a page holds, for a run, for a network alone, and for a run that has not been exported."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from delaytool.contract.network import IntegerNetwork

SECTIONS = (
    "verification", "confusion", "cost", "chip", "sample", "activity", "training", "delays", "weights", "export",
    "provenance", "fields",
)  # fmt: skip


def test_a_run_has_every_section(page: str) -> None:
    assert tuple(re.findall(r'<section id="([^"]*)">', page)) == SECTIONS
    assert tuple(re.findall(r'<a href="#([^"]*)">', page.partition("<main")[0])) == SECTIONS
    assert 'class="missing"' not in page
    assert ">PASS</span>" in page  # so short a run may be at chance, and then it is not green
    assert "Engine, reference and torch agree on every bit" in page
    assert "Engine, reference and torch ran 20 evenly spaced of these 359 samples" in page
    assert "Protocol “honest”" in page
    assert "batch_size = 128" in page


def test_nothing_is_fetched(page: str, figures_of: Callable[[str], dict[str, str]]) -> None:
    assert re.findall(r'(?:src|href)="(?!data:|#)', page) == []
    assert re.findall(r"https?://|@import|url\((?!#)|<script [^>]*src", page) == []
    assert len(figures_of(page)) >= 12
    assert len(page.encode()) < 2_000_000


def test_figures_have_a_description(page: str, figures_of: Callable[[str], dict[str, str]]) -> None:
    figures = figures_of(page)
    assert "single taps" in figures["Kernel width sigma over epochs"]
    assert "validation" in figures["Accuracy over epochs"]
    assert "learned, before rounding" in figures["Delays of layer hidden1"]
    sample = next(svg for alt, svg in figures.items() if alt.startswith("Spikes of every layer"))
    assert "input: 64 spikes of 64 channels" in sample
    assert "input ends" in sample


def test_figures_agree_with_verify(run: Path, page: str, delaytool: Callable[..., Result]) -> None:
    verdict = json.loads(delaytool("verify", run / "network-loihi2.h5", "--json", "--max-drop", 100).stdout)
    for name in ("float_as_trained", "float_rounded", "engine"):
        assert f"{100 * verdict['accuracy'][name]:.2f} %" in page
    assert '<dd class="value good">0</dd>' in page


def test_all_samples_are_one_table(run: Path, tmp_path: Path, delaytool: Callable[..., Result]) -> None:
    result = delaytool("report", run, "-o", tmp_path / "page.html", "--samples", 1000, "--max-drop", 100)
    assert result.exit_code == 0, result.output
    page = (tmp_path / "page.html").read_text()
    assert "Engine and reference ran all 359 samples" in page
    assert len(re.findall(r"<h3>\d+ samples", page)) == 1


def test_a_network_in_a_run_has_the_runs_curves(run: Path, tmp_path: Path, delaytool: Callable[..., Result]) -> None:
    result = delaytool("report", run / "network-loihi2.h5", "-o", tmp_path / "page.html", "--samples", 5)
    assert result.exit_code == 0, result.output
    assert "Accuracy over epochs" in (tmp_path / "page.html").read_text()


def test_the_page_of_a_network_alone_names_what_is_missing(
    run: Path, tmp_path: Path, delaytool: Callable[..., Result]
) -> None:
    shutil.copy(run / "network-loihi2.h5", tmp_path / "net.h5")
    result = delaytool("report", tmp_path / "net.h5", "--samples", 5, "--max-drop", 100)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("PASS")
    page = (tmp_path / "report.html").read_text()
    assert "does not lie in a run folder, so there are no training curves" in page
    assert "there is no float checkpoint" in page
    assert "Confusion matrix of the integer network" in page


def test_a_network_whose_data_are_unknown_stays_unverified(
    run: Path, tmp_path: Path, delaytool: Callable[..., Result]
) -> None:
    network = IntegerNetwork.load(run / "network-loihi2.h5")
    replace(network, provenance={}).save(tmp_path / "net.h5")
    result = delaytool("report", tmp_path / "net.h5")
    assert result.exit_code == 0, result.output
    assert result.output.startswith("NOT VERIFIED")
    page = (tmp_path / "report.html").read_text()
    assert "give samples with --data" in page
    assert "Delays of layer readout" in page
    assert "does not record how its layers were exported" in page


def test_unknown_float_accuracies_are_no_failure(run: Path, tmp_path: Path, delaytool: Callable[..., Result]) -> None:
    network = IntegerNetwork.load(run / "network-loihi2.h5")
    kept = {name: value for name, value in network.provenance.items() if name != "float"}
    replace(network, provenance=kept).save(tmp_path / "net.h5")
    result = delaytool("report", tmp_path / "net.h5", "--samples", 5)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("BITS PASS")


def test_a_run_that_was_not_exported(run: Path, tmp_path: Path, delaytool: Callable[..., Result]) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("recipe.toml", "metrics.jsonl", "summary.json", "best.pt"):
        shutil.copy(run / name, bare)
    result = delaytool("report", bare)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("NOT VERIFIED: the run has not been exported yet")
    page = (bare / "report.html").read_text()
    summary = json.loads((run / "summary.json").read_text())
    assert f"{100 * summary['test_accuracy_rounded']:.2f} %" in page
    assert "Loss over epochs" in page


def test_what_an_unfinished_run_with_fixed_delays_chose_on(
    run: Path, tmp_path: Path, delaytool: Callable[..., Result], figures_of: Callable[[str], dict[str, str]]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["sha256"]
        line |= {f"test_{key}": line[f"validation_{key}"] for key in ("accuracy", "loss")}
    (other / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    recipe = (run / "recipe.toml").read_text()
    recipe = recipe.replace('"honest"', '"paper"').replace('delays = "learned"', 'delays = "fixed"')
    # Changed on purpose: without the last line, which holds its digest, and the first, which says so.
    (other / "recipe.toml").write_text("".join(recipe.splitlines(keepends=True)[1:-1]))
    assert delaytool("report", other).exit_code == 0
    page = (other / "report.html").read_text()
    assert "the run has not ended" in page
    assert "are not learned" in page
    figures = figures_of(page)
    assert set(figures) == {"Loss over epochs", "Accuracy over epochs"}
    assert "test, chosen on" in figures["Accuracy over epochs"]


def test_a_network_exported_from_another_checkpoint(
    run: Path, tmp_path: Path, delaytool: Callable[..., Result]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for name in ("recipe.toml", "metrics.jsonl", "network-loihi2.h5"):
        shutil.copy(run / name, other)
    (other / "best.pt").write_bytes(b"another")
    result = delaytool("report", other, "--samples", 5)
    assert result.exit_code == 0, result.output
    assert "not exported from this run&#39;s present checkpoints" in (other / "report.html").read_text()


def test_receptive_fields_and_delays_by_epoch_are_shown(
    page: str, figures_of: Callable[[str], dict[str, str]], run: Path
) -> None:
    figures = figures_of(page)
    fields = figures["Receptive fields of 12 neurons of hidden1"]
    assert "excites" in fields
    assert "input channel" in fields
    assert "before training" in figures["Structure of the receptive fields of all neurons"]
    assert "share of synapses by epoch" in figures["Delays of every layer before and after training, and by epoch"]
    section = page[page.index('<section id="fields">') : page.index("<footer>")]
    for part in ("signed", "excitation", "inhibition"):
        assert len(re.findall(rf"<td[^>]*>{part}</td>", section)) == 2  # before and after


def test_a_network_alone_needs_no_torch(run: Path, tmp_path: Path) -> None:
    network = IntegerNetwork.load(run / "network-loihi2.h5")
    replace(network, provenance={}).save(tmp_path / "net.h5")
    _events(tmp_path / "events.h5")
    command = ["report", str(tmp_path / "net.h5"), "--data", str(tmp_path / "events.h5")]
    blocked = "import sys; sys.modules['torch'] = sys.modules['sklearn'] = None; "
    code = f"{blocked}from delaytool.cli import main; main({command!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("BITS PASS")


def _events(path: Path) -> None:
    """Sixty samples in SHD's layout: every pixel fires once."""
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (60,), dtype=h5py.vlen_dtype(np.float32))
        units = file.create_dataset("spikes/units", (60,), dtype=h5py.vlen_dtype(np.int32))
        for sample in range(60):
            times[sample] = np.sort(rng.random(64).astype(np.float32)) * 0.017
            units[sample] = rng.permutation(64).astype(np.int32)
        file["labels"] = np.arange(60) % 10


def test_a_fixed_runs_page_has_three_accuracies_and_no_best_epoch(
    tmp_path: Path, delaytool: Callable[..., Result]
) -> None:
    keys = ["protocol=fixed", "trainer.test_every_epoch=true", "trainer.epochs=3", "trainer.average_epochs=2"]
    options = [
        word
        for key in ["model.hidden=[8]", "trainer.batch_size=512", "trainer.single_tap_epochs=0", *keys]
        for word in ("--set", key)
    ]
    trained = delaytool("train", "digits", "-o", str(tmp_path / "run"), *options)
    assert trained.exit_code == 0, trained.output
    assert "the last epoch is kept" in trained.output
    assert "best epoch on test" in trained.output
    made = delaytool("report", str(tmp_path / "run"))
    assert made.exit_code == 0, made.output
    text = " ".join((tmp_path / "run" / "report.html").read_text().split())
    assert "whose network was kept: the last, for none was chosen, as the mean of 2 epochs' networks" in html.unescape(
        text
    )
    assert "protocol fixed, epoch 3" in text
    assert "mean of the last 2 epochs" in text
    assert re.search(r"best epoch on test, [23]: chosen on the test set</td><td>\d+\.\d\d %", text)
