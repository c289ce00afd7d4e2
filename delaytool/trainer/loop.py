"""The training loop."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from torch.utils.tensorboard import SummaryWriter

from delaytool.errors import CheckpointError, RecipeError
from delaytool.models.delay_network import DelayNetwork, class_scores
from delaytool.trainer.augmentation import augmented
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import Part, TrainingData, load_data
from delaytool.trainer.evaluation import evaluate, evaluate_both
from delaytool.trainer.optimisers import Optimisers
from delaytool.trainer.recipe import Recipe, load_recipe
from delaytool.trainer.run_folder import RunFolder, write_json


class Reporter:
    """Is told how training goes. This one tells nobody; the command line's draws it."""

    def reading(self, what: str, done: int, total: int) -> None: ...
    def begin(self, recipe: Recipe, data: TrainingData, model: DelayNetwork, epochs_done: int) -> None: ...
    def batch(self, epoch: int, index: int, count: int, loss: float) -> None: ...
    def epoch(self, metrics: dict[str, Any], is_best: bool) -> None: ...
    def end(self, summary: dict[str, Any]) -> None: ...


@dataclass
class _Best:
    """The epoch chosen so far: the highest validation accuracy, then the lowest loss."""

    accuracy: float = -1.0
    loss: float = float("inf")
    epoch: int = 0

    def improved_by(self, metrics: dict[str, Any]) -> bool:
        accuracy, loss = metrics["validation_accuracy"], metrics["validation_loss"]
        if (accuracy, -loss) <= (self.accuracy, -self.loss):
            return False
        self.accuracy, self.loss, self.epoch = accuracy, loss, metrics["epoch"]
        return True


def train(
    recipe: Recipe | None,
    folder: str | os.PathLike[str],
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Train a recipe into a run folder; returns the summary, which is also written there.

    resume: go on with the folder's run (recipe None) to the same bits as a run that was never interrupted.
    KeyboardInterrupt leaves the last whole epoch's checkpoint behind, and nothing half-written.
    Raises RecipeError, DataError, CheckpointError.
    """
    run = RunFolder(folder)
    saved = _saved(run) if resume else None
    if saved is not None:
        recipe = saved.recipe
    elif resume:
        recipe = load_recipe(str(run.recipe))
    if recipe is None:
        raise RecipeError("no recipe was given; name a preset or a TOML file")
    device = _device(recipe.trainer.device)
    reporter = reporter or Reporter()
    data = load_data(recipe, saved.encoding if saved else None, reporter.reading)
    if not resume:
        run.create(recipe)
    with _processor_state(recipe.trainer.threads):
        return _Training(recipe, run, data, device, reporter).run(saved)


@contextmanager
def _processor_state(threads: int | None) -> Iterator[None]:
    """PyTorch's threads as the recipe says, and no denormal numbers, which slow a CPU down and change nothing."""
    before = torch.get_num_threads()
    if threads is not None:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:  # both are the whole process's, and the caller's own arithmetic is none of our business
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)


def _saved(run: RunFolder) -> Checkpoint | None:
    if run.last.exists():
        return Checkpoint.load(run.last)
    if run.best.exists():
        raise CheckpointError(f"{run.path}: an imported run, which has no training to go on with; train a new one")
    if run.recipe.exists():
        return None  # interrupted before the first epoch ended
    raise CheckpointError(f"{run.path}: no run to resume there; leave out --resume to start one")


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(f"trainer.device: {name!r} is not usable here ({reason}); choose 'cpu' or 'auto'") from None
    return device


class _Training:
    def __init__(
        self, recipe: Recipe, run: RunFolder, data: TrainingData, device: torch.device, reporter: Reporter
    ) -> None:
        self.recipe, self.run_folder, self.data, self.reporter = recipe, run, data, reporter
        self.device = device
        self.parts = {name: getattr(data, name).to(device) for name in ("train", "validation")}
        torch.manual_seed(recipe.seed)
        self.model = DelayNetwork(data.encoding.n_channels, data.n_classes, recipe.model).to(device)
        self.optimisers = Optimisers(self.model, recipe.trainer)
        self.best = _Best()

    def run(self, saved: Checkpoint | None) -> dict[str, Any]:
        done = 0
        if saved is not None:
            self.model.load_state_dict(saved.model)
            self.optimisers.restore(saved.optimisers)
            self.best = _Best(**saved.progress)
            done = saved.epoch
        self.run_folder.cut_metrics(done)
        self.reporter.begin(self.recipe, self.data, self.model, done)
        with SummaryWriter(str(self.run_folder.tensorboard), purge_step=done + 1) as board:
            for epoch in range(done, self.recipe.trainer.epochs):
                metrics = self._epoch(epoch)
                is_best = self.best.improved_by(metrics)
                self._keep(epoch + 1, is_best)
                self.run_folder.append_metrics(metrics)
                _to_board(board, metrics)
                self.reporter.epoch(metrics, is_best)
        summary = self._summary()
        write_json(self.run_folder.summary, summary)
        self.reporter.end(summary)
        return summary

    def _epoch(self, epoch: int) -> dict[str, Any]:
        started = time.perf_counter()
        config = self.recipe.trainer
        sigma = config.sigma(epoch, self.recipe.model.kernel_size)
        before = [layer.delay.detach().clone() for layer in self.model.delayed_layers()]
        rates = self.optimisers.rates()
        # Every epoch draws from its own seed, so that a resumed run needs no generator's state.
        torch.manual_seed((self.recipe.seed + 1) * 1_000_003 + epoch)
        train = self.parts["train"]
        order = torch.randperm(len(train)).to(self.device)
        batches = order.split(config.batch_size)
        loss_sum = correct = 0.0
        self.model.train()
        for index, chosen in enumerate(batches):
            loss, hits = self._step(train, chosen, sigma)
            loss_sum += loss * len(chosen)
            correct += hits
            self.reporter.batch(epoch + 1, index + 1, len(batches), loss)
        self.optimisers.next_epoch()
        validation = self.parts["validation"]
        judged = evaluate(self.model, validation.frames, validation.labels, config.batch_size)
        moved = [
            float((layer.delay.detach() - old).abs().mean())
            for layer, old in zip(self.model.delayed_layers(), before, strict=True)
        ]
        return {
            "epoch": epoch + 1,
            "train_loss": loss_sum / len(train),
            "train_accuracy": correct / len(train),
            "validation_loss": judged.loss,
            "validation_accuracy": judged.accuracy,
            "sigma": sigma,
            **rates,
            "delay_moved": dict(zip(self.model.layer_names(), moved, strict=True)),
            "spikes": dict(zip(self.model.layer_names(), judged.spikes, strict=False)),
            "seconds": time.perf_counter() - started,
        }

    def _step(self, train: Part, chosen: torch.Tensor, sigma: float | None) -> tuple[float, float]:
        config = self.recipe.trainer
        frames, labels = train.frames[chosen], train.labels[chosen]
        frames, targets = augmented(frames, labels, self.data.n_classes, config)
        self.optimisers.zero_grad()
        scores = class_scores(self.model(frames, sigma))
        loss = functional.cross_entropy(scores, targets)
        loss.backward()
        self.optimisers.step(move_delays=sigma is not None)
        for layer in self.model.delayed_layers():
            layer.clamp_delays()
        value = float(loss.detach())
        if value != value:
            raise RecipeError(
                "training diverged: the loss is NaN; lower trainer.lr "
                f"(now {config.lr}) or trainer.delay_lr (now {config.delay_lr})"
            )
        return value, float((scores.detach().argmax(1) == labels).sum())

    def _keep(self, epochs: int, is_best: bool) -> None:
        checkpoint = Checkpoint(
            recipe=self.recipe,
            encoding=self.data.encoding,
            n_classes=self.data.n_classes,
            epoch=epochs,
            sigma=self.recipe.trainer.sigma(epochs - 1, self.recipe.model.kernel_size),
            model={name: tensor.cpu() for name, tensor in self.model.state_dict().items()},
            optimisers=self.optimisers.state(),
            progress=vars(self.best).copy(),
            split=self.data.split,
        )
        # Best before last: whoever resumes from `last` finds the best that it knows of.
        if is_best:
            checkpoint.save(self.run_folder.best)
        checkpoint.save(self.run_folder.last)

    def _summary(self) -> dict[str, Any]:
        """The chosen epoch's network on the test part, which nothing before this looked at (but 'paper' chose on)."""
        chosen = Checkpoint.load(self.run_folder.best)
        model = chosen.network().to(self.device)
        batch = self.recipe.trainer.batch_size
        test = self.data.test.to(self.device)
        trained, rounded = evaluate_both(model, test.frames, test.labels, batch, chosen.sigma)
        return {
            "name": self.recipe.name,
            "epochs": self.recipe.trainer.epochs,
            "best_epoch": self.best.epoch,
            "protocol": PROTOCOLS[self.recipe.protocol],
            "split": self.data.split,
            "validation_accuracy": self.best.accuracy,
            "test_accuracy_as_trained": trained.accuracy,
            "test_accuracy_rounded": rounded.accuracy,
            "test_samples": len(test),
            "parameters": model.n_parameters(),
            "spikes": dict(zip(model.layer_names(), rounded.spikes, strict=False)),
        }


PROTOCOLS = {
    "honest": "honest: the epoch was chosen on validation; test was looked at once, at the end",
    "paper": "paper: the epoch was chosen on the test set, as in published practice, so the accuracy is optimistic",
}


def _to_board(board: SummaryWriter, metrics: dict[str, Any]) -> None:
    for name, value in metrics.items():
        if isinstance(value, dict):
            for layer, number in value.items():
                board.add_scalar(f"{name}/{layer}", number, metrics["epoch"])
        elif value is not None and name != "epoch":
            board.add_scalar(name, value, metrics["epoch"])
