"""What `delaytool train` shows while it works."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import TaskID

from delaytool.accuracy_errors import format_accuracy
from delaytool.commands.console import PlainConsole, styled
from delaytool.commands.warnings import show_warnings
from delaytool.models.delay_network import DelayNetwork
from delaytool.printable import printable
from delaytool.progress import live_bars
from delaytool.trainer.data import TrainingData
from delaytool.trainer.loop import Reporter
from delaytool.trainer.recipe import Recipe


class TrainingProgress(Reporter):
    """A live bar over the whole run on a terminal, one line per epoch everywhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.console = PlainConsole()
        self.progress = live_bars(self.console, "{task.fields[loss]}  {task.fields[last]}")
        self.task: TaskID | None = None
        self.reads: dict[str, TaskID] = {}
        self.epochs = 0
        self.learns_delays = True

    def __enter__(self) -> TrainingProgress:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def reading(self, what: str, done: int, total: int) -> None:
        if what not in self.reads:
            self.reads[what] = self.progress.add_task(printable(what), total=total, loss="", last="")
        self.progress.update(self.reads[what], completed=done)

    def begin(self, recipe: Recipe, data: TrainingData, model: DelayNetwork, epochs_done: int) -> None:
        for read in self.reads.values():
            self.progress.remove_task(read)
        config = recipe.model
        self.epochs = recipe.trainer.epochs
        self.learns_delays = config.learns_delays
        parameters = model.n_parameters()
        sizes = "-".join(str(size) for size in (model.n_in, *config.hidden, model.n_classes))
        print_line = self.console.print
        print_line(
            styled(
                "bold",
                recipe.name,
                f": {sizes}, {config.taps_per_synapse} tap(s) per synapse, {parameters:,} parameters",
            )
        )
        if config.sparsity > 0 or config.rewiring != "none":
            how = "drawn once" if config.rewiring == "none" else f"rewired by {config.rewiring}"
            print_line(f"connections: {model.n_synapses():,} taps, {100 * config.sparsity:g} % are left out; {how}")
        print_line(f"data: {len(data.train)} training samples of {data.encoding.n_steps} steps; {data.split}")
        if epochs_done:
            print_line(f"resumed after epoch {epochs_done}")
        self.task = self.progress.add_task("", total=None, loss="loss …", last="")
        self._done = epochs_done
        self._forms: dict[str, str] = {}
        self._has_heading = False

    def warning(self, sentence: str) -> None:
        show_warnings([sentence])

    def batch(self, epoch: int, index: int, count: int, loss: float | None) -> None:
        assert self.task is not None
        self.progress.update(
            self.task,
            description=f"epoch {epoch}/{self.epochs}",
            completed=(epoch - 1 - self._done) * count + index,
            total=(self.epochs - self._done) * count,
            loss="loss …" if loss is None else f"loss {loss:.3f}",
        )

    def calibrating(self, layer: str, tried: int, count: int) -> None:
        assert self.task is not None
        self.progress.update(self.task, description=f"choosing the integers' scale, {layer} {tried}/{count}")

    def epoch(self, metrics: dict[str, Any], is_best: bool) -> None:
        if metrics["convolution"] != self._forms:
            self._forms = metrics["convolution"]
            forms = ", ".join(f"{layer} {form}" for layer, form in self._forms.items())
            self.console.print(f"convolution: {forms}")
        if not self._has_heading:
            self._has_heading = True
            self.console.print(self._heading())
        accuracy = 100 * metrics["validation_accuracy"]
        assert self.task is not None
        self.progress.update(self.task, last=f"validation {accuracy:.1f} %")
        row = (
            f"{metrics['epoch']:>5}  {metrics['train_loss']:>7.4f}  {100 * metrics['train_accuracy']:>7.2f} %  "
            f"{accuracy:>8.2f} % {'*' if is_best else ' '}"
        )
        if self.learns_delays:
            moved = sum(metrics["delay_moved"].values()) / len(metrics["delay_moved"])
            row += f"  {_width(metrics):>8}  {moved:>12.3f}"
        self.console.print(f"{row}  {metrics['seconds']:>7.1f}")

    def _heading(self) -> str:
        """Names of an epoch's columns, and what the star means; with delays 76 columns wide."""
        columns = f"{'epoch':>5}  {'loss':>7}  {'training':>9}  {'validation':>10}  "
        if self.learns_delays:
            columns += f"  {'sigma':>8}  {'delays moved':>12}"
        legend = "* the best epoch so far, which is kept; sigma and how far delays moved, in steps"
        return f"{legend}\n{columns}  {'seconds':>7}"

    def end(self, summary: dict[str, Any]) -> None:
        print_line = self.console.print
        print_line(
            f"best epoch {summary['best_epoch']}: "
            f"validation {format_accuracy(summary['validation_accuracy'], summary['validation_samples'])}, "
            f"test {format_accuracy(summary['test_accuracy_rounded'], summary['test_samples'])} with rounded delays "
            f"({100 * summary['test_accuracy_as_trained']:.2f} % before rounding, {summary['test_samples']} samples; "
            "± is the binomial standard error)"
        )
        if "quantized_for" in summary:
            print_line(f"trained through {summary['quantized_for']}'s integers: these accuracies are theirs")
        print_line(f"protocol {summary['protocol']}")
        for layer, spikes in summary["spikes"].items():
            if spikes == 0:
                never = f"layer {layer} never fires"
                print_line(styled("bold", never, " on the test samples: this network cannot be exported"))
        print_line(f"run: {self.folder}    next: delaytool export {self.folder} --target loihi2")


def _width(metrics: dict[str, Any]) -> str:
    """What a tap is spread over in an epoch: its sigma in steps, one step, or the chip's integers."""
    if metrics["quantized_for"] is not None:
        return "integers"
    return "one tap" if metrics["sigma"] is None else f"{metrics['sigma']:.3f}"
