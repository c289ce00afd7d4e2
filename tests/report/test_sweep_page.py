"""The page of a sweep calls no setting the best whose validation part was the test part."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna")
pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.job import Train
from delaytool.experiments.sweep.results import Results, gather
from delaytool.experiments.sweep.setting import Setting
from delaytool.report import rows
from delaytool.report.sweep_page import compose
from delaytool.trainer.protocols import PROTOCOLS
from delaytool.trainer.recipe import load_recipe
from delaytool.trainer.run_folder import RunFolder

Page = tuple[Results, str]


def line_of(epoch: int, validation: float | None) -> dict[str, Any]:
    return {
        "epoch": epoch, "train_loss": 1.0, "train_accuracy": 0.5, "sigma": None, "delay_moved": {"hidden1": 0.0},
        "validation_accuracy": validation, "validation_loss": None if validation is None else 1.0,
    }  # fmt: skip


@pytest.fixture
def swept(tmp_path: Path) -> Callable[..., Page]:
    """(protocol of each setting) -> the results of a sweep of as many settings, two seeds each, and its page."""

    def sweep(*protocols: str) -> Page:
        folder = SweepFolder(tmp_path, Train())
        for number, protocol in enumerate(protocols):
            for seed in range(2):
                recipe = load_recipe("digits", [f"seed={seed}", f"model.max_delay={number + 2}"])
                setting = Setting({"model.max_delay": number + 2, "seed": seed}, recipe)
                folder.journal.queue(setting)
                run = RunFolder(folder.run(setting))
                run.path.mkdir(parents=True)
                validation = None if protocol == "fixed" else 0.6 + number / 100
                run.append_metrics(line_of(1, validation))
                run.write_summary(
                    {
                        "validation_accuracy": validation, "test_accuracy_rounded": 0.55, "test_samples": 400,
                        "test_accuracy_as_trained": 0.55, "parameters": 10, "best_epoch": 1, "name": "digits",
                        "epochs": 1, "protocol": PROTOCOLS[protocol], "split": "…", "validation_samples": 300,
                        "spikes": {"hidden1": 1.5},
                    }
                )  # fmt: skip
        results = gather(folder)
        return results, compose(results, folder)

    return sweep


def test_of_validated_settings_the_best_is_named(swept: Callable[..., Page]) -> None:
    results, page = swept("honest", "honest")
    assert "best on validation" in page
    assert "max_delay=3" in page
    assert "2 runs, delays rounded" in page
    assert "look at the validation column" in page
    assert "Validation accuracy over epochs" in page
    assert rows.sweep_headings(results)[2] == "validation"


def test_none_is_the_best_where_epochs_were_chosen_on_test(swept: Callable[..., Page]) -> None:
    results, page = swept("paper", "paper")
    assert "best on validation" not in page
    assert "look at the validation column" not in page
    assert "Epochs were chosen on the test part, so that no column may choose a setting" in page
    assert "Test accuracy over epochs" in page
    assert "Validation accuracy over epochs" not in page
    assert rows.sweep_headings(results)[2] == "chosen on test"


def test_none_is_the_best_where_some_epochs_were_chosen_on_test(swept: Callable[..., Page]) -> None:
    results, page = swept("honest", "paper")
    assert "best on validation" not in page
    assert "Validation or test accuracy over epochs" in page
    assert rows.sweep_headings(results)[2] == "validation or test"


def test_without_validation_no_column_is_recommended(swept: Callable[..., Page]) -> None:
    _, page = swept("fixed", "fixed")
    assert "Nothing was validated, so that no column may choose a setting" in page
    assert "Training accuracy over epochs" in page
