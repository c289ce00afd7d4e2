"""The chip is checked before anything is trained, and what is known to fail is never suggested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands.test_warnings_and_hints import SMALL, events

TOO_LONG = ("--max-delay", "63")


def test_training_warns_and_suggests_what_can_work(call: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = call("train", "digits", *TOO_LONG, "-o", run, *SMALL)
    assert done.exit_code == 0, done.output
    assert "warning: digits does not fit loihi2: layer hidden1: longest delay 63 exceeds 62 by 1" in done.stderr
    assert "it fits with --set model.max_delay=62" in done.stderr
    assert f"next: delaytool export {run} --target loihi2 --clip-delays" in done.stdout
    assert call("export", run, "--target", "loihi2", "--clip-delays").exit_code == 0
    mapped = call("map", run)
    assert mapped.exit_code == 0  # the network that was exported
    assert f"FITS: run {run}" in mapped.stdout


def test_within_the_chip_nothing_is_printed(call: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = call("train", "digits", "--max-delay", "62", "-o", run, *SMALL, "--strict")
    assert done.exit_code == 0, done.output
    assert "does not fit" not in done.output
    assert f"next: delaytool export {run} --target loihi2\n" in done.stdout


def test_strict_trains_nothing(call: Callable[..., Any], tmp_path: Path) -> None:
    for data in ((), ("--data", events(tmp_path / "events.h5", 16))):
        done = call("train", "digits", *TOO_LONG, *data, "-o", tmp_path / "run", *SMALL, "--strict")
        assert done.exit_code == 2
        assert "does not fit loihi2" in done.stderr
        assert not list((tmp_path / "run").glob("*"))


def test_a_chip_of_ones_own_is_not_exported_for(call: Callable[..., Any], tmp_path: Path) -> None:
    chip = tmp_path / "chip.toml"
    chip.write_text('name="m"\ntitle="M"\nextends="loihi2"\n[limits]\nneurons_per_core={value=9,source="x"}\n')
    run = tmp_path / "run"
    data = events(tmp_path / "events.h5", 16)
    done = call("train", "digits", "--data", data, "--target", chip, "-o", run, *SMALL)
    assert done.exit_code == 0, done.output
    assert f"next: delaytool map {run} --target {chip}" in done.stdout
    mapped = call("map", run, "--target", chip)  # the run records the size of its data
    assert mapped.exit_code == 0, mapped.output
    assert call("train", "digits", "--target", "loihi3", "-o", run, *SMALL).exit_code == 2


def test_a_sweep_trains_only_what_fits(call: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    over = ("--over", "model.max_delay=8,63", "-o", tmp_path / "sweep", *SMALL)
    done = call("sweep", "digits", *over, "--fits", "loihi2")
    assert done.exit_code == 0, done.output
    assert "left out, does not fit loihi2: max_delay=63: layer hidden1: longest delay 63 exceeds 62 by 1" in done.stdout
    assert [path.name for path in (tmp_path / "sweep" / "runs").iterdir()] == ["max_delay=8"]
    none = call("sweep", "digits", "--over", "model.max_delay=63,64", "-o", tmp_path / "none", "--fits", "loihi2")
    assert none.exit_code == 2
    assert "none of 2 runs fits" in none.stderr
    assert not (tmp_path / "none").exists()


def test_a_budget_of_cores_in_a_comparison(call: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    pytest.importorskip("jinja2")
    wide = ("--set", "model.hidden=[400,400]")
    done = call("compare", "digits", "--seeds", 1, *wide, "--fits", "loihi2", "--cores", 1, "-o", tmp_path / "wide")
    assert done.exit_code == 2
    assert "none of 1 runs fits (network: cores 3 exceeds 1 by 2)" in done.stderr
    assert call("compare", "digits", "--cores", 1).exit_code == 2
