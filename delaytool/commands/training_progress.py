"""What `delaytool train` shows while it works."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from rich.progress import TaskID

from delaytool.accuracy_errors import format_accuracy
from delaytool.commands.chip_check import ChipCheck
from delaytool.commands.console import PlainConsole, styled
from delaytool.commands.warnings import show_warnings
from delaytool.models.delay_network import DelayNetwork
from delaytool.printable import printable
from delaytool.progress import live_bars
from delaytool.report.three_accuracies import three_accuracy_rows
from delaytool.trainer.data import TrainingData
from delaytool.trainer.protocols import describe_cost
from delaytool.trainer.recipe import Recipe
from delaytool.trainer.reporter import Reporter


class TrainingProgress(Reporter):
    """A live bar over the whole run on a terminal, one line per epoch everywhere."""

    def __init__(self, folder: Path, chip: ChipCheck, quiet: bool = False) -> None:
        self.folder, self.chip = folder, chip
        self.results = PlainConsole()
        self.console = PlainConsole(quiet=True) if quiet else self.results
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
        self.epochs = recipe.trainer.epochs_to_train
        self.validates, self.chooses = data.validation is not None, recipe.chooses_epoch
        self.kept = "last" if recipe.protocol == "fixed" else "chosen"
        self.chosen_on_test, self.tests = data.chosen_on_test, recipe.trainer.test_every_epoch
        self.learns_delays = config.learns_delays
        parameters, taps = model.n_parameters(), config.taps_per_synapse
        sizes = "-".join(str(size) for size in (model.n_in, *config.hidden, model.n_classes))
        print_line = self.console.print
        print_line(
            styled(
                "bold",
                recipe.name,
                f": {sizes}, {taps} tap{'s' * (taps != 1)} per synapse, {parameters:,} parameters",
            )
        )
        if any(config.sparsities) or config.rewiring != "none":
            how = "drawn once" if config.rewiring == "none" else f"rewired by {config.rewiring}"
            left_out = ", ".join(f"{100 * share:g}" for share in dict.fromkeys(config.sparsities))
            print_line(f"connections: {model.n_synapses():,} taps, {left_out} % are left out; {how}")
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
        row = f"{metrics['epoch']:>5}  {metrics['train_loss']:>7.4f}  {100 * metrics['train_accuracy']:>7.2f} %"
        assert self.task is not None
        for part in self._measured():
            accuracy = 100 * metrics[f"{part}_accuracy"]
            self.progress.update(self.task, last=f"{part} {accuracy:.1f} %")
            row += f"  {accuracy:>8.2f} %"
        if self.chooses:
            row += f" {'*' if is_best else ' '}"
        if self.learns_delays:
            moved = sum(metrics["delay_moved"].values()) / len(metrics["delay_moved"])
            row += f"  {_width(metrics):>8}  {moved:>12.3f}"
        self.console.print(f"{row}  {metrics['seconds']:>7.1f}")

    def _heading(self) -> str:
        """Names of an epoch's columns, and what the star means; with delays 76 columns wide."""
        columns = f"{'epoch':>5}  {'loss':>7}  {'training':>9}"
        columns += "".join(f"  {part:>10}" for part in self._measured())
        if self.chooses:
            columns += "  "
        if self.learns_delays:
            columns += f"  {'sigma':>8}  {'delays moved':>12}"
        kept = "* the best epoch so far, which is kept" if self.chooses else "the last epoch is kept"
        return f"{kept}; sigma and how far delays moved, in steps\n{columns}  {'seconds':>7}"

    def _measured(self) -> list[str]:
        """The parts whose accuracy is measured in every epoch, besides the training part."""
        if self.chosen_on_test:
            return ["test"]
        return [*(["validation"] if self.validates else []), *(["test"] if self.tests else [])]

    def end(self, summary: dict[str, Any]) -> None:
        print_line = self.results.print
        if "stopped_after" in summary:
            print_line(
                f"stopped early after epoch {summary['stopped_after']} of {summary['epochs']}: no better one since "
                f"epoch {summary['best_epoch']}"
            )
        averaged = summary.get("averaged_epochs")
        print_line(
            f"{'best' if self.chooses else self.kept} epoch {summary['best_epoch']}"
            f"{f', the mean of {averaged} epochs' if averaged else ''}: "
            f"{_format_accuracies(summary)}; ± is the binomial standard error)"
        )
        if "quantized_for" in summary:
            print_line(f"trained through {summary['quantized_for']}'s integers: these accuracies are theirs")
        print_line(f"protocol {summary['protocol']}")
        if cost := describe_cost(summary):
            print_line(cost)
        three = three_accuracy_rows(summary)
        if three:
            print_line(
                f"three accuracies of this training on the {summary['test_samples']} test samples, with rounded delays:"
            )
        for what, accuracy in three:
            print_line(f"  {accuracy:>8}  {what}")
        silent = [layer for layer, spikes in summary["spikes"].items() if spikes == 0]
        for layer in silent:
            never = f"layer {layer} never fires"
            print_line(styled("bold", never, " on the test samples: this network cannot be exported"))
        if silent:
            print_line(f"run: {self.folder}")
        else:
            print_line(f"run: {self.folder}    {self.chip.next_step(self.folder)}")


def _format_accuracies(summary: dict[str, Any]) -> str:
    """Validation and test accuracy, those that there are, and in brackets what the test samples are."""
    parts = []
    if summary["validation_accuracy"] is not None:
        parts.append(f"validation {format_accuracy(summary['validation_accuracy'], summary['validation_samples'])}")
    if "test_accuracy_rounded" not in summary:
        return f"{parts[0]} ({summary['validation_samples']} samples, with rounded delays"
    samples, as_trained = summary["test_samples"], summary["test_accuracy_as_trained"]
    parts.append(f"test {format_accuracy(summary['test_accuracy_rounded'], samples)} with rounded delays")
    return f"{', '.join(parts)} ({100 * as_trained:.2f} % before rounding, {samples} samples"


def _width(metrics: dict[str, Any]) -> str:
    """What a tap is spread over in an epoch: its sigma in steps, one step, or the chip's integers."""
    if metrics["quantized_for"] is not None:
        return "integers"
    return "one tap" if metrics["sigma"] is None else f"{metrics['sigma']:.3f}"
