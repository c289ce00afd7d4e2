"""Which epoch a run folder says was kept, and on which part it was chosen, before and after the run has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from delaytool.report.sentences import describe_kept_epoch
from delaytool.trainer.protocols import PROTOCOLS, describe_protocol
from delaytool.trainer.recipe import load_recipe
from delaytool.trainer.run_folder import RunFolder


def begun(path: Path, protocol: str = "honest") -> RunFolder:
    run = RunFolder(path)
    run.create(load_recipe("digits", [f"protocol={protocol}"]))
    return run


def line_of(epoch: int, accuracy: float, **more: Any) -> dict[str, Any]:
    return {
        "epoch": epoch, "train_loss": 1.0, "train_accuracy": 0.5, "sigma": None, "delay_moved": {"hidden1": 0.0},
        "validation_accuracy": accuracy, "validation_loss": 1.0, "can_be_chosen": True, **more,
    }  # fmt: skip


def test_until_an_epoch_can_be_chosen_the_last_one_is_kept(tmp_path: Path) -> None:
    run = begun(tmp_path)
    assert run.best_epoch() is None
    kept = []
    for epoch, accuracy in enumerate((0.9, 0.8, 0.5, 0.6, 0.55), 1):
        run.append_metrics(line_of(epoch, accuracy, can_be_chosen=epoch > 2))
        kept.append(run.best_epoch())
    assert kept == [1, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("test", "part"),
    [
        ({"test_accuracy": 0.5, "test_loss": 1.0}, "test"),
        ({"test_accuracy": 0.5, "test_loss": 1.25}, "validation"),  # measured in every epoch, for information
        ({}, "validation"),
    ],
)
def test_an_unfinished_run_of_paper_says_on_which_part_epochs_are_chosen(
    test: dict[str, float], part: str, tmp_path: Path
) -> None:
    run = begun(tmp_path, "paper")
    run.append_metrics(line_of(1, 0.5, **test))
    assert describe_kept_epoch(run) == f"the best on {part}"


def test_a_line_of_an_earlier_version_does_not_record_the_test_part(tmp_path: Path) -> None:
    run = begun(tmp_path, "paper")
    line = line_of(1, 0.5)
    del line["can_be_chosen"]
    run.append_metrics(line)
    assert run.chosen_on_test


@pytest.mark.parametrize("on_test", [True, False])
def test_a_finished_run_of_paper_says_on_which_part_the_epoch_was_chosen(on_test: bool, tmp_path: Path) -> None:
    run = begun(tmp_path, "paper")
    recipe = load_recipe("digits", ["protocol=paper"])
    run.append_metrics(line_of(1, 0.5))
    run.write_summary(
        {
            "validation_accuracy": 0.5, "test_accuracy_rounded": 0.5, "test_accuracy_as_trained": 0.5,
            "test_samples": 400, "parameters": 10, "best_epoch": 1, "name": "digits", "epochs": 1,
            "protocol": describe_protocol(recipe, chosen_on_test=on_test, has_folds=False), "split": "…",
            "validation_samples": 300, "spikes": {"hidden1": 1.5},
        }
    )  # fmt: skip
    assert run.chosen_on_test is on_test
    assert describe_kept_epoch(run) == f"the best on {'test' if on_test else 'validation'}"
    assert (run.read_summary()["protocol"] == PROTOCOLS["paper"]) is on_test
