"""What a user sees of warnings, and of a key given where it does not belong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

SMALL = ("--set", "model.hidden=[8]", "--set", "trainer.epochs=1", "--set", "trainer.threads=1")


def events(path: Path, n_units: int | None) -> Path:
    """40 samples of 4 classes, units 0..15; the file may state how many there are."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        if n_units is not None:
            file.attrs["n_units"] = n_units
        times = file.create_dataset("spikes/times", (40,), h5py.vlen_dtype(np.float32))
        units = file.create_dataset("spikes/units", (40,), h5py.vlen_dtype(np.uint16))
        for index in range(40):
            times[index] = np.sort(rng.uniform(0, 0.2, 30)).astype(np.float32)
            units[index] = rng.integers(0, 16, 30).astype(np.uint16)
        file["labels"] = np.arange(40) % 4
    return path


def test_a_warning_stands_in_terminal_summary_and_page(call: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    run = tmp_path / "run"
    trained = call("train", "digits", "--data", events(tmp_path / "it's here.h5", None), "-o", run, *SMALL)
    assert trained.exit_code == 0, trained.output
    assert "warning: " in trained.stderr
    assert "does not state its number of units, so 700 are assumed" in trained.stderr
    assert "does not state its number of units" not in trained.stdout
    summary = json.loads((run / "summary.json").read_text())
    assert len([sentence for sentence in summary["warnings"] if "units" in sentence]) == 1
    page = tmp_path / "page.html"
    assert call("report", run, "-o", page).exit_code == 0
    assert page.read_text().count("does not state its number of units, so 700 are assumed") == 1
    clean = call("train", "digits", "--data", events(tmp_path / "stated.h5", 16), "-o", tmp_path / "clean", *SMALL)
    assert "units" not in clean.stderr
    assert "units" not in str(json.loads((tmp_path / "clean" / "summary.json").read_text())["warnings"])


def test_a_network_refuses_data_of_fewer_units(network: Path, call: Callable[..., Any], tmp_path: Path) -> None:
    for n_units in (None, 16):
        result = call("verify", network, "--no-drop", "--data", events(tmp_path / f"{n_units}.h5", n_units))
        assert result.exit_code == 2
        assert "the network reads 64" in result.stderr


def test_verify_prints_its_warnings_as_json_too(network: Path, call: Callable[..., Any]) -> None:
    result = call("verify", network, "--samples", 3, "--no-drop", "--json")
    (warning,) = json.loads(result.stdout)["warnings"]  # three samples cannot be above chance
    assert "not above chance" in warning


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'?"),
        (["train", "digits", "--epochs", "5"], "Give a recipe's key with: --set trainer.epochs=5"),
        (["train", "--batch-size=5"], "Give a recipe's key with: --set trainer.batch_size=5"),
        (["train", "digits", "--lr"], "Give a recipe's key with: --set trainer.lr=…"),
        (["train", "digits", "model.hidden=[64]"], "Give a recipe's key with: --set model.hidden=[64]"),
        (["sweep", "digits", "--max-delay", "3"], "Give a recipe's key with: --set model.max_delay=3"),
    ],
)
def test_a_misplaced_key_is_answered_with_its_set(call: Callable[..., Any], arguments: list[str], message: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_other_slips_are_answered_as_ever(call: Callable[..., Any]) -> None:
    result = call("train", "digits", "--nonsense", "5")
    assert result.exit_code == 2
    assert "No such option" in result.stderr
    assert "--set" not in result.stderr
    assert "No such command 'xyzzy'." in call("xyzzy").stderr


def test_recordings_for_a_recipe_of_events(call: Callable[..., Any], tmp_path: Path, monkeypatch: Any) -> None:
    from chirps import write_chirp

    monkeypatch.setenv("DELAYTOOL_DATA", str(tmp_path / "cache"))
    for word, start in (("yes", 300), ("no", 900)):
        for number in range(6):
            write_chirp(tmp_path / "wavs" / word / f"{number}_nohash_0.wav", start, 600, 0.3)
    result = call("train", "digits", "--data", tmp_path / "wavs", "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert "build on a preset for recordings (gsc-3l-1kc or hd-1l-1kc, with --data FOLDER)" in result.stderr


def test_verification_is_the_same_from_another_folder(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events(tmp_path / "mine.h5", 16)
    monkeypatch.chdir(tmp_path)
    assert call("train", "digits", "--data", "mine.h5", "-o", "run", *SMALL).exit_code == 0
    assert call("export", "run", "--target", "ideal").exit_code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = call("verify", tmp_path / "run" / "network-ideal.h5", "--no-drop", "--data", "recorded")
    assert "no such data" not in result.output
    assert f"on the test part of {tmp_path / 'mine.h5'}, 8 samples" in result.output
