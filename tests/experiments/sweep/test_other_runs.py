"""Runs that are in a folder already, of another recipe or for another chip, get no new name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

pytest.importorskip("optuna")

from delaytool.digests import write_signed_json
from delaytool.errors import SweepError
from delaytool.experiments.measure_run import Measure, Measured
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.job import RunReporter, Train
from delaytool.experiments.sweep.prepare import prepare_sweep
from delaytool.experiments.sweep.setting import Setting
from delaytool.trainer.run_folder import RunFolder

Settings = Callable[..., list[Setting]]


def begin(path: Path, setting: Setting) -> Path:
    """A run folder in a sweep whose journal was deleted."""
    run = path / "runs" / setting.name
    RunFolder(run).create(setting.recipe)
    return run


def test_a_run_of_another_recipe_is_refused_before_a_journal_is_written(tmp_path: Path, settings: Settings) -> None:
    begin(tmp_path, settings("seed=0")[0])
    asked = settings("seed=0..1", more=["trainer.lr=0.125"])
    with pytest.raises(SweepError, match=r"seed=0: .* another recipe: trainer\.lr was .* and is 0\.125 now; give"):
        prepare_sweep(tmp_path, Train(), asked)
    assert not SweepFolder.has_journal(tmp_path)


def test_a_run_of_another_recipe_is_refused_in_a_sweep_that_does_not_know_it(
    tmp_path: Path, settings: Settings
) -> None:
    folder = SweepFolder(tmp_path, Train())
    folder.queue(settings("seed=0"))
    (other,) = settings("seed=1", more=["trainer.lr=0.125"])
    begin(tmp_path, other)
    with pytest.raises(SweepError, match="seed=1: this run was made with another recipe"):
        folder.queue(settings("seed=0..2"))
    assert [setting.name for setting in folder.journal.settings()] == ["seed=0"]


def test_a_run_of_another_recipe_is_not_trained_on(tmp_path: Path, settings: Settings) -> None:
    run = begin(tmp_path, settings("seed=0")[0])
    (other,) = settings("seed=0", more=["model.hidden=[4]"])
    with pytest.raises(SweepError, match=r"model\.hidden was \[8\] and is \[4\] now"):
        Train()(other.recipe, run, RunReporter())


def test_a_run_of_the_same_recipe_is_taken_up_without_a_journal(tmp_path: Path, settings: Settings) -> None:
    asked = settings("seed=0..1")
    begin(tmp_path, asked[0])
    SweepFolder(tmp_path, Train()).queue(asked)


def test_integers_that_were_measured_for_another_chip_are_refused(tmp_path: Path, settings: Settings) -> None:
    (setting,) = settings("seed=0")
    run = begin(tmp_path, setting)
    write_signed_json(Measured.path(run), asdict(Measured("loihi2", "")))
    Measure("loihi2", 10).refuse_other_run(setting.recipe, run)
    with pytest.raises(SweepError, match="measured for loihi2, not for ideal; give --target loihi2, or another folder"):
        prepare_sweep(tmp_path, Measure("ideal", 10), [setting])
    assert not SweepFolder.has_journal(tmp_path)
