"""The epoch that the folds' mean chooses, against numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delaytool.experiments.cross_validation.choice import choose_epoch


def summary_of(accuracy: list[float], loss: list[float] | None = None, can: list[bool] | None = None) -> dict[str, Any]:
    can = [True] * len(accuracy) if can is None else can
    best = max((epoch for epoch in range(len(accuracy)) if can[epoch]), key=lambda epoch: accuracy[epoch], default=0)
    return {
        "split": "validation: fold 0 of 2: speaker 3, 10 of 20 samples of x; test: y",
        "validation_samples": 10, "best_epoch": best + 1, "validation_accuracy": accuracy[best],
        "fold_curve": {"accuracy": accuracy, "loss": loss or [1.0] * len(accuracy), "can_be_chosen": can},
    }  # fmt: skip


def test_the_mean_chooses_an_epoch_that_no_fold_would() -> None:
    choice = choose_epoch([summary_of([0.9, 0.7, 0.1]), summary_of([0.2, 0.7, 0.9])])
    assert [fold.best_epoch for fold in choice.folds] == [1, 3]
    assert choice.chosen_epoch == 2
    assert choice.accuracy == pytest.approx(0.7)
    assert [fold.accuracy_at_chosen for fold in choice.folds] == [0.7, 0.7]
    assert choice.folds[0].held_out == "speaker 3, 10 of 20 samples of x"


def test_equals_are_decided_by_the_loss_and_then_by_the_earlier_epoch() -> None:
    assert choose_epoch([summary_of([0.5, 0.5, 0.5], [2.0, 1.0, 1.0])]).chosen_epoch == 2


@pytest.mark.parametrize(
    ("first", "second"),
    [((13, 18, 12), (18, 12, 13)), ((18, 12, 13), (13, 18, 12)), ((1, 3, 8), (2, 5, 5)), ((0, 29, 2), (11, 10, 10))],
)
def test_epochs_whose_folds_have_as_many_right_are_equals(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    """Sums of their accuracies as floats may differ in the last bit."""

    def chosen(*losses: float) -> int:
        folds = [summary_of([a / 30, b / 30], list(losses)) | {"validation_samples": 30}
                 for a, b in zip(first, second, strict=True)]  # fmt: skip
        choice = choose_epoch(folds)
        assert choice.mean_accuracy[0] == choice.mean_accuracy[1]
        return choice.chosen_epoch

    assert [chosen(1.0, 2.0), chosen(2.0, 1.0), chosen(1.0, 1.0)] == [1, 2, 1]


def test_an_epoch_must_be_one_that_can_be_chosen_in_every_fold() -> None:
    one, other = [False, True, True], [False, False, True]
    folds = [summary_of([0.9, 0.8, 0.1], can=one), summary_of([0.9, 0.8, 0.1], can=other)]
    assert choose_epoch(folds).chosen_epoch == 3
    assert choose_epoch([summary_of([0.9, 0.8, 0.1], can=[False] * 3)]).chosen_epoch == 3


@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 10_000))
def test_it_is_the_argmax_of_the_plain_mean(n_folds: int, n_epochs: int, seed: int) -> None:
    curves = np.random.default_rng(seed).random((n_folds, n_epochs))
    choice = choose_epoch([summary_of(curve.tolist()) for curve in curves])
    np.testing.assert_allclose(choice.mean_accuracy, curves.mean(0))
    assert choice.chosen_epoch == curves.mean(0).argmax() + 1
    if n_folds > 1:
        error = curves.std(0, ddof=1)[choice.chosen_epoch - 1] / np.sqrt(n_folds)
        assert choice.standard_error == pytest.approx(error)
