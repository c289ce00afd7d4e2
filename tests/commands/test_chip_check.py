"""The chip is checked before anything is trained, and what is known to fail is never suggested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commands.test_warnings_and_hints import SMALL, events

from delaytool.experiments import chip_fit

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


def test_counts_are_checked_as_soon_as_the_data_decide_them(call: Callable[..., Any], tmp_path: Path) -> None:
    run, netx = tmp_path / "run", ("--target", "loihi2-netx")
    arguments = ("train", "digits", "--data", events(tmp_path / "events.h5", 16), "-o", run, *SMALL, *netx)
    refused = call(*arguments, "--strict")
    assert (refused.exit_code, run.exists()) == (2, False)
    assert "does not fit loihi2-netx: input: largest value" in refused.stderr
    assert "it fits with --set data.max_count=1" in refused.stderr
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    assert f"next: delaytool map {run} --target loihi2-netx" in done.stdout
    assert call("map", run, *netx).exit_code == 1
    refused = call("map", run, "--data", "recorded")
    assert refused.exit_code == 2
    assert "run is no exported network to run; export it, or give the network file, or give" in refused.stderr
    binary = ("--strict", "--set", "data.values=binary", "-o", tmp_path / "binary")
    assert call(*arguments, *binary).exit_code == 0


def test_counts_of_data_of_known_size_are_checked_too(call: Callable[..., Any], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(chip_fit.UNITS, str(tmp_path / "events.h5"), 16)
    monkeypatch.setitem(chip_fit.CLASSES, str(tmp_path / "events.h5"), 4)
    data = events(tmp_path / "events.h5", 16)
    arguments = ("train", "digits", "--data", data, "--target", "loihi2-netx", "-o", tmp_path / "run", *SMALL)
    refused = call(*arguments, "--strict")
    assert refused.exit_code == 2
    assert "does not fit loihi2-netx: input: largest value" in refused.stderr
    assert call("train", "digits", "--data", data, *TOO_LONG, "-o", tmp_path / "run", *SMALL).stderr.count("fit") == 2


def test_integers_of_another_target_are_exported_for_that_one(call: Callable[..., Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ("train", "digits", "-o", run, *SMALL, "--set", "trainer.quantize=ideal", "--target", "loihi2")
    refused = call(*arguments, "--strict")
    assert (refused.exit_code, run.exists()) == (2, False)
    assert (
        "digits: it is trained through ideal's integers, which loihi2 may not hold (weight_min -256, ideal's -32768); "
        "train with --set trainer.quantize=loihi2, or give --target ideal"
    ) in " ".join(refused.stderr.split())
    done = call(*arguments)
    assert done.exit_code == 0, done.output
    assert "training goes on (--strict refuses)" in done.stderr
    assert f"next: delaytool export {run} --target ideal\n" in done.stdout
    assert call("export", run, "--target", "ideal").exit_code == 0
    mapped = call("map", run, "--target", "loihi2")
    assert "MAY NOT FIT: network: it is trained through ideal's integers" in " ".join(mapped.stdout.split())
    # Every way out leads out.
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    assert "export the integers with --target onnx --chip ideal" in call("export", run, "--target", "onnx-float").output
    refused = call("export", run, "--target", "onnx")
    assert "export for ideal (--target ideal; with --target onnx or nir, --chip ideal)" in refused.output
    assert "export the run for this target" not in refused.output
    assert call("export", run, "--target", "onnx", "--chip", "ideal").exit_code == 0
    other = call(*arguments[:3], tmp_path / "loihi2", *SMALL, "--set", "trainer.quantize=loihi2", "--target", "ideal")
    assert "may not hold" not in other.output
    assert f"next: delaytool export {tmp_path / 'loihi2'} --target ideal" in other.stdout
