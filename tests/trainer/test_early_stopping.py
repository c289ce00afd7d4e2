"""Early stopping: only epochs at the final width count, and a resumed run stops where an uninterrupted one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from interrupting import Interrupts

from delaytool.errors import RecipeError
from delaytool.trainer import loop
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.evaluation import Evaluation
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import Recipe, load_recipe
from delaytool.trainer.run_folder import RunFolder


def recipe_with(**trainer: Any) -> Recipe:
    keys = {"epochs": 12, "batch_size": 512, "single_tap_epochs": 0.5, **trainer}
    overrides = [f"trainer.{key}={value}" for key, value in keys.items()]
    return load_recipe("digits", ["model.hidden=[8]", "data.validation_fraction=0.8", *overrides])


@pytest.fixture
def accuracies(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Validation accuracies of the epochs to come, the first one first; 0 when they are used up."""
    planned: list[float] = []
    real = loop.evaluate

    def evaluate(*arguments: Any) -> Evaluation:
        found = real(*arguments)
        n_right = round((planned.pop(0) if planned else 0.0) * len(found.labels))
        predictions = found.labels.copy()
        predictions[n_right:] = (predictions[n_right:] + 1) % 10
        return Evaluation(1.0, predictions, found.labels, found.spikes)

    monkeypatch.setattr(loop, "evaluate", evaluate)
    return planned


def epochs_of(run: Path) -> int:
    return len(RunFolder(run).read_metrics())


def test_it_stops_when_patience_is_over(accuracies: list[float], tmp_path: Path) -> None:
    # Epochs 1 to 6 are spread taps, 7 to 12 single ones. The best of those is 8; 3 more without a better one.
    accuracies += [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.5, 0.5, 0.4, 0.3, 0.9]
    summary = train(recipe_with(early_stopping_patience=3), tmp_path / "run")
    assert epochs_of(tmp_path / "run") == 11
    assert (summary["best_epoch"], summary["stopped_after"], summary["epochs"]) == (8, 11, 12)
    assert Checkpoint.load(tmp_path / "run" / "best.pt").epoch == 8
    accuracies[:] = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.5, 0.5, 0.4, 0.3, 0.9]
    without = train(recipe_with(), tmp_path / "whole")
    assert epochs_of(tmp_path / "whole") == 12
    assert "stopped_after" not in without
    assert without["best_epoch"] == 12


def test_epochs_before_the_final_width_do_not_count(accuracies: list[float], tmp_path: Path) -> None:
    accuracies += [0.9] + [0.1] * 5 + [0.2] * 6
    summary = train(recipe_with(early_stopping_patience=2), tmp_path / "run")
    assert summary["best_epoch"] == 7
    assert summary["stopped_after"] == 9


def test_it_does_not_stop_before_the_integers(accuracies: list[float], tmp_path: Path) -> None:
    """Single taps come before the integers here, but the network that is exported is the last ones'."""
    accuracies += [0.1] * 6 + [0.9] + [0.1] * 5
    recipe = recipe_with(early_stopping_patience=1, quantize="loihi2", quantize_epochs=0.25)
    assert recipe.trainer.first_quantized_epoch == 9
    summary = train(recipe, tmp_path / "run")
    assert summary["best_epoch"] == 10
    assert summary["stopped_after"] == 11
    assert summary["quantized_for"] == "loihi2"


@pytest.mark.parametrize("cut_in", [3, 9, 11])
def test_a_resumed_run_stops_in_the_same_epoch_with_the_same_bits(
    cut_in: int, accuracies: list[float], tmp_path: Path
) -> None:
    plan = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.5, 0.5, 0.4, 0.3, 0.9]
    recipe = recipe_with(early_stopping_patience=3)
    accuracies += plan
    train(recipe, tmp_path / "whole")
    accuracies[:] = plan
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", reporter=Interrupts(cut_in))
    train(None, tmp_path / "cut", resume=True)
    # Resumed once more, when it has stopped already: nothing is trained.
    accuracies[:] = [1.0] * 12
    again = train(None, tmp_path / "cut", resume=True, reporter=Interrupts(12))
    assert again["stopped_after"] == epochs_of(tmp_path / "cut") == 11
    one, other = (Checkpoint.load(tmp_path / name / "last.pt") for name in ("whole", "cut"))
    assert one.progress == other.progress
    for name, tensor in one.model.items():
        assert torch.equal(tensor, other.model[name]), name
    assert RunFolder(tmp_path / "whole").read_summary() == RunFolder(tmp_path / "cut").read_summary()


def test_patience_is_a_count() -> None:
    for value in ("0", "1.5", "true"):
        with pytest.raises(RecipeError, match="early_stopping_patience"):
            recipe_with(early_stopping_patience=value)
    assert recipe_with(early_stopping_patience="none").trainer.early_stopping_patience is None
