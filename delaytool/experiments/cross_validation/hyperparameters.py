"""A sweep under cross-validation: the folds' mean chooses the setting, which alone is trained on all and tested.

The folds of every setting are runs of the sweep. The test part is not looked at by any of them; the chosen setting's
trainings, one per seed, are runs of a sweep of their own in `chosen`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delaytool.digests import write_signed_json
from delaytool.errors import SweepError
from delaytool.experiments.cross_validation.choice import EpochChoice, choose_epoch
from delaytool.experiments.cross_validation.folds import FOLD, LAST_EPOCH, chosen_recipe, fold_settings
from delaytool.experiments.sweep.job import RunReporter, Train
from delaytool.experiments.sweep.setting import Setting, run_name
from delaytool.trainer.recipe import Recipe, with_overrides
from delaytool.trainer.run_folder import RunFolder

CHOSEN = "chosen"


def with_folds(settings: Sequence[Setting]) -> list[Setting]:
    """Settings whose recipes are cross-validated, fold by fold; others as they are.

    Raises SweepError where some are and some are not: their accuracies would not compare.
    """
    needing = [setting for setting in settings if setting.recipe.needs_folds]
    if not needing:
        return list(settings)
    if len(needing) < len(settings):
        raise SweepError(
            "protocol: some of the runs are 'cross-validated' and some are not, and their accuracies are measured on "
            "different samples; sweep one protocol"
        )
    return [fold for setting in settings for fold in fold_settings(setting.recipe, setting.values, setting.family)]


@dataclass(frozen=True)
class FoldedSetting:
    """One setting with one seed: what its folds choose, and the run of the training on all samples."""

    choice: EpochChoice
    final: Setting


def folded_setting(values: Mapping[str, Any], recipe: Recipe, summaries: Sequence[Mapping[str, Any]]) -> FoldedSetting:
    """From one fold's swept values and recipe, and the summaries of all folds, in order."""
    choice = choose_epoch(summaries)
    whole = {key: value for key, value in values.items() if key != FOLD}
    final = chosen_recipe(with_overrides(recipe, [f"{FOLD}=none"]), choice)
    return FoldedSetting(choice, Setting({**whole, LAST_EPOCH: choice.chosen_epoch}, final))


class TrainChosen(Train):
    """Trains chosen settings on all samples. choices: by the run's name."""

    purpose = "train what folds have chosen"

    def __init__(self, choices: Mapping[str, EpochChoice]) -> None:
        self.choices = dict(choices)

    def __call__(self, recipe: Recipe, run: Path, reporter: RunReporter) -> None:
        folder = RunFolder(run)
        if not folder.is_run and run.name in self.choices:
            run.mkdir(parents=True, exist_ok=True)
            write_signed_json(folder.folds, self.choices[run.name].as_dict())
        super().__call__(recipe, run, reporter)


def final_summary(sweep: Path, final: Setting) -> dict[str, Any]:
    """Of the training on all samples in a sweep's folder; empty where there is none, or it has not ended."""
    return RunFolder(sweep / CHOSEN / "runs" / run_name(final.values)).read_summary()
