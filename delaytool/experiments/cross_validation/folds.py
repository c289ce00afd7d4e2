"""The folds of a recipe as runs of a sweep, so that they share its workers, its queue and its going on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import Any

from delaytool.datasets import DataSpec, Splits
from delaytool.datasets.folds import describe_folds
from delaytool.datasets.sources import cut_fold
from delaytool.digests import write_signed_json
from delaytool.errors import SweepError
from delaytool.experiments.cross_validation.choice import EpochChoice, choose_epoch
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.job import Job, Train
from delaytool.experiments.sweep.setting import Setting
from delaytool.trainer.recipe import Recipe, with_overrides
from delaytool.trainer.run_folder import RunFolder

FOLD = "data.fold"
LAST_EPOCH = "trainer.last_epoch"


class TrainFold(Train):
    """Trains one fold. splits: all training samples, where the data were given in memory."""

    purpose = "cross-validate"

    def __init__(self, splits: Splits | None = None) -> None:
        self.given = splits

    def way_to_go_on(self, folder: Path) -> str:
        return way_to_resume(folder.parent)

    def splits(self, recipe: Recipe) -> Splits | None:
        """The fold's parts of the data in memory; None where the recipe names the data."""
        if self.given is None:
            return None
        spec = DataSpec.from_recipe(recipe.model_dump(mode="json"))
        train, validation = cut_fold(spec, self.given.train)
        how, _ = describe_folds(self.given.train, spec.folds, spec.split_by)
        description = f"validation: fold {spec.fold} of {spec.folds}: {len(validation or ())} samples, {how}"
        made = None if self.given.spec is None else replace(self.given.spec, seed=spec.seed, fold=spec.fold)
        return replace(self.given, train=train, validation=validation, description=description, spec=made)


def fold_settings(recipe: Recipe, values: Mapping[str, Any] | None = None, family: str = "") -> list[Setting]:
    """The run of every fold. values: those of swept keys, which name the runs too."""
    return [
        Setting({**(values or {}), FOLD: fold}, with_overrides(recipe, [f"{FOLD}={fold}"]), family)
        for fold in range(recipe.data.folds)
    ]


def choose_from_folds(folder: Path, recipe: Recipe, job: Job) -> EpochChoice:
    """The epoch that the finished folds of a run choose; it is recorded in the run's folder before this returns.

    Raises SweepError where a fold has failed or has not ended, or the data have changed between two folds.
    """
    run = RunFolder(folder)
    sweep = SweepFolder(run.folds_folder, job)
    settings = fold_settings(recipe)
    summaries = summaries_of(sweep, settings, way_to_resume(folder))
    _refuse_changed_data(sweep, settings, summaries)
    choice = choose_epoch(summaries)
    write_signed_json(run.folds, choice.as_dict())
    return choice


def way_to_resume(run: Path) -> str:
    """How the folds of a run folder are gone on with."""
    return f"go on with: delaytool train --resume {quote(str(run))} (in Python: train(folder=…, resume=True))"


def summaries_of(sweep: SweepFolder, settings: Sequence[Setting], way_to_go_on: str) -> list[dict[str, Any]]:
    """Of finished folds. Raises SweepError where one has failed or has not ended, with the way to go on."""
    errors = sweep.journal.errors()
    for setting in settings:
        if not sweep.is_done(setting):
            reason = errors.get(setting.name)
            if not reason and setting.name in sweep.at_work():
                raise SweepError(
                    f"{sweep.run(setting)}: another process trains {setting.name} now, and goes on by itself; once it "
                    f"has ended, {way_to_go_on}"
                )
            why = f"failed: {reason}" if reason else "has not ended"
            raise SweepError(f"{sweep.run(setting)}: {setting.name} {why}; see to that, and {way_to_go_on}")
    return [RunFolder(sweep.run(setting)).read_summary() for setting in settings]


def _refuse_changed_data(
    sweep: SweepFolder, settings: Sequence[Setting], summaries: Sequence[Mapping[str, Any]]
) -> None:
    """Raise SweepError where folds whose frames were made in the same way have not the same test part."""
    first: dict[str, tuple[str, str]] = {}
    for setting, summary in zip(settings, summaries, strict=True):
        digests = summary.get("data_sha256")
        if digests is None:  # of an earlier version
            continue
        name, test = first.setdefault(digests["encoding"], (setting.name, digests["test"]))
        if digests["test"] != test:
            raise SweepError(
                f"{sweep.run(setting)}: the data have changed between {name} and {setting.name}, so that their "
                "accuracies cannot be compared; train the run again, in another folder"
            )


def chosen_recipe(recipe: Recipe, choice: EpochChoice) -> Recipe:
    """The recipe of the training on all samples, to the epoch that the folds have chosen."""
    return with_overrides(recipe, [f"{LAST_EPOCH}={choice.chosen_epoch}"])
