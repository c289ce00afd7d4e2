"""What is done with each setting of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from delaytool.datasets import Splits
from delaytool.errors import SweepError
from delaytool.experiments.sweep.setting import describe_changes
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import Recipe, all_values
from delaytool.trainer.reporter import Reporter
from delaytool.trainer.run_folder import RunFolder


class RunReporter(Reporter):
    """Reports also what is done with a run once it is trained."""

    def stage(self, name: str) -> None: ...


class Job(Protocol):
    """Can be sent to another process, and be interrupted at any moment: done again, it goes on."""

    @property
    def purpose(self) -> str:
        """What the runs are for, as the verb in 'its runs are to …'."""

    def refuse_other_run(self, recipe: Recipe, run: Path) -> None:
        """Raise SweepError where the run folder is of another recipe, or was made for something else."""

    def is_done(self, run: Path) -> bool:
        """Whether nothing is left to do in this run folder."""

    def accuracy(self, run: Path) -> float:
        """Validation accuracy (0..1) of a finished run; training accuracy where there is no validation part."""

    def way_to_go_on(self, folder: Path) -> str:
        """What a user does where runs of a sweep's folder have failed, once the reason is repaired."""

    def __call__(self, recipe: Recipe, run: Path, reporter: RunReporter) -> None:
        """Do it, or go on with it."""


class Train:
    """From a recipe to a finished run folder."""

    purpose = "train"

    def refuse_other_run(self, recipe: Recipe, run: Path) -> None:
        folder = RunFolder(run)
        if not folder.is_run:
            return
        changed = describe_changes(all_values(folder.load_recipe()), all_values(recipe))
        if changed:
            raise SweepError(
                f"{run}: this run was made with another recipe: {changed}; give the same recipe, or another folder "
                "with -o"
            )

    def is_done(self, run: Path) -> bool:
        return RunFolder(run).summary.exists()

    def accuracy(self, run: Path) -> float:
        folder = RunFolder(run)
        validated = folder.read_summary()["validation_accuracy"]
        return float(folder.read_metrics()[-1]["train_accuracy"] if validated is None else validated)

    def way_to_go_on(self, folder: Path) -> str:
        return "give the same command again with --retry-failed"

    def __call__(self, recipe: Recipe, run: Path, reporter: RunReporter) -> None:
        folder = RunFolder(run)
        started = folder.is_run
        if started:
            self.refuse_other_run(recipe, run)
        train(None if started else recipe, run, resume=started, reporter=reporter, data=self.splits(recipe))

    def splits(self, recipe: Recipe) -> Splits | None:
        """The data of a run, where they are in memory."""
        return None
