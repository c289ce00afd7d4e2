"""A job that takes no time, so that the queue alone is tested."""

import pytest

from delaytool.experiments.sweep.combinations import combinations
from delaytool.trainer.run_folder import RunFolder

TINY = ["model.hidden=[8]", "trainer.epochs=3", "trainer.batch_size=256", "data.validation_fraction=0.5"]


class Quick:
    """Finishes at once with an accuracy that the seed decides. `before` is called with each recipe, and may raise.

    samples: how many test samples a recipe has.
    """

    purpose = "train"

    def __init__(self, before=lambda recipe: None, samples=lambda recipe: 400):
        self.before, self.samples, self.trained = before, samples, []

    def refuse_other_run(self, recipe, run):
        pass

    def is_done(self, run):
        return RunFolder(run).summary.exists()

    def accuracy(self, run):
        return RunFolder(run).read_summary()["validation_accuracy"]

    def way_to_go_on(self, folder):
        return "give the same command again with --retry-failed"

    def __call__(self, recipe, run, reporter):
        self.before(recipe)
        self.trained.append(run.name)
        run.mkdir(parents=True, exist_ok=True)
        accuracy = 0.5 + recipe.seed / 100 + recipe.model.max_delay / 1000
        RunFolder(run).write_summary(
            {
                "validation_accuracy": accuracy, "test_accuracy_rounded": accuracy - 0.01,
                "test_accuracy_as_trained": accuracy, "test_samples": self.samples(recipe),
                "parameters": 10, "best_epoch": 1, "name": recipe.name, "epochs": 3,
                "protocol": "honest: …", "split": "…", "validation_samples": 300, "spikes": {"hidden1": 1.5},
            }
        )  # fmt: skip


@pytest.fixture
def quick():
    return Quick


@pytest.fixture
def settings():
    """(--over words) -> the settings of a tiny network."""
    return lambda *over, more=(): combinations("digits", over, [*TINY, *more])


@pytest.fixture
def tiny():
    return TINY
