"""What each process of a sweep does: take a run, train it, take the next."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from delaytool.errors import DelaytoolError, SweepError, first_line
from delaytool.experiments.sweep.folder import Claim, SweepFolder
from delaytool.experiments.sweep.job import Job, RunReporter
from delaytool.models.delay_network import DelayNetwork
from delaytool.trainer.data import TrainingData
from delaytool.trainer.recipe import Recipe

# After so many runs in a row that failed before their first batch, the machine is at fault and not the recipes.
MOST_FALSE_STARTS = 3
SECONDS_BETWEEN_UPDATES = 0.2


@dataclass(frozen=True)
class RunUpdate:
    """How far a worker is (in epochs, of how many) with which run; text: its latest accuracies, or why it failed."""

    worker: int
    kind: Literal["progress", "finished", "failed", "stopped"]
    run: str = ""
    epochs: float = 0.0
    of: int = 0
    text: str = ""


OnUpdate = Callable[[RunUpdate], None]


def work(path: Path, job: Job, on_update: OnUpdate, worker: int = 0) -> None:
    """Train until no run is left that no other process trains.

    Raises SweepError where every run fails before it begins.
    """
    folder = SweepFolder(path, job)
    false_starts = 0
    while (claim := folder.claim()) is not None:
        reporter = _UpdateReporter(claim, on_update, worker)
        try:
            job(claim.setting.recipe, folder.run(claim.setting), reporter)
        except KeyboardInterrupt:
            raise  # the trial stays and the lock goes, so the next process that looks for work takes it up
        except Exception as error:
            reason = (
                first_line(error)
                if isinstance(error, DelaytoolError)
                else f"{type(error).__name__}: {first_line(error)}"
            )
            false_starts = 0 if reporter.begun else false_starts + 1
            folder.journal.fail(claim.trial, reason)
            reporter.send("failed", reason)
            if false_starts == MOST_FALSE_STARTS:
                raise SweepError(
                    f"{false_starts} runs in a row failed before they began, the last with: {reason}; repair that, and "
                    f"{job.way_to_go_on(path)}"
                ) from None
        else:
            false_starts = 0
            folder.journal.finish(claim.trial.number, job.accuracy(folder.run(claim.setting)))
            reporter.send("finished")
        finally:
            claim.lock.release()


class _UpdateReporter(RunReporter):
    """Turns what training reports into updates, at most one per SECONDS_BETWEEN_UPDATES within an epoch."""

    def __init__(self, claim: Claim, on_update: OnUpdate, worker: int) -> None:
        self.on_update, self.worker, self.run = on_update, worker, claim.setting.name
        self.of = claim.setting.recipe.trainer.epochs_to_train
        self.epochs, self.text, self.begun = 0.0, "", False
        self._last = 0.0

    def send(self, kind: Literal["progress", "finished", "failed"], text: str | None = None) -> None:
        self._last = time.monotonic()
        self.on_update(
            RunUpdate(self.worker, kind, self.run, self.epochs, self.of, self.text if text is None else text)
        )

    def begin(self, recipe: Recipe, data: TrainingData, model: DelayNetwork, epochs_done: int) -> None:
        self.begun, self.epochs = True, float(epochs_done)
        self.send("progress")

    def batch(self, epoch: int, index: int, count: int, loss: float | None) -> None:
        self.epochs = epoch - 1 + index / count
        if time.monotonic() - self._last > SECONDS_BETWEEN_UPDATES:
            self.send("progress")

    def epoch(self, metrics: dict[str, Any], is_best: bool) -> None:
        self.epochs = float(metrics["epoch"])
        validation = metrics["validation_accuracy"]
        self.text = (
            f"training {100 * metrics['train_accuracy']:.2f} %"
            if validation is None
            else f"validation {100 * validation:.2f} %"
        )
        self.send("progress")

    def end(self, summary: dict[str, Any]) -> None:
        known = (("validation", "validation_accuracy"), ("test", "test_accuracy_rounded"))
        accuracies = [(part, summary.get(key)) for part, key in known]
        self.text = ", ".join(f"{part} {100 * value:.2f} %" for part, value in accuracies if value is not None)

    def stage(self, name: str) -> None:
        self.epochs = float(self.of)
        self.send("progress", name)
