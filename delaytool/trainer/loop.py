"""The training loop."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import torch

from delaytool.accuracy_errors import chance_test
from delaytool.contract.digests import canonical_json
from delaytool.datasets import Splits
from delaytool.errors import RecipeError
from delaytool.files import require_writable_folder, write_bytes_atomically
from delaytool.models.delay_histogram import delay_histogram
from delaytool.models.delay_network import DelayNetwork
from delaytool.quantization.integer_training import (
    IntegerTraining,
    TrainedNetwork,
    float_network,
    integer_scales,
    quantized_for,
)
from delaytool.quantization.scales import IntegerScales
from delaytool.trainer.batch_norm_statistics import refresh_statistics
from delaytool.trainer.board import Board
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import Part, TrainingData, digests_of, load_data
from delaytool.trainer.divergence import refuse_nan_loss, refuse_nonfinite_state
from delaytool.trainer.evaluation import Evaluation, evaluate, evaluate_both
from delaytool.trainer.impossible_settings import refuse_impossible_settings
from delaytool.trainer.initial_network import initial_network
from delaytool.trainer.integer_training import scales_to_train_through
from delaytool.trainer.optimizers import Optimizers
from delaytool.trainer.parallel import Team, is_first_process, team
from delaytool.trainer.processor import processor_state, the_only_training
from delaytool.trainer.protocols import ChosenEpoch, describe_protocol, fold_curve
from delaytool.trainer.recipe import Recipe
from delaytool.trainer.reporter import Reporter
from delaytool.trainer.resuming import (
    Begun,
    begun_data,
    begun_run,
    refuse_other_data,
    refusing_what_does_not_fit,
    with_moved_data,
)
from delaytool.trainer.run_folder import RunFolder
from delaytool.trainer.sigma_schedules import SigmaSchedule
from delaytool.trainer.step import make_step
from delaytool.trainer.three_accuracies import last_and_best
from delaytool.trainer.weight_average import WeightAverage


def train(
    recipe: Recipe | None,
    folder: str | os.PathLike[str],
    *,
    resume: bool = False,
    reporter: Reporter | None = None,
    check: Callable[[Recipe, TrainingData], None] | None = None,
    data: Splits | TrainingData | None = None,
    moved_to: str | None = None,
) -> dict[str, Any]:
    """Train a recipe into a run folder; returns the summary, which is also written there.

    data: what is learned from instead of the data that the recipe names: samples, or frames that are ready, which
    `load_data` has made and many runs may share. moved_to: where the data of a run that is resumed are now, the same
    samples.
    resume: go on with the folder's run (recipe None) to the same bits as a run that was never interrupted; data that
    have changed since are a CheckpointError.
    check: called in every process once the data are read, before anything is written; an error of it ends the run.
    KeyboardInterrupt leaves the last whole epoch's checkpoint behind, and nothing half-written. PyTorch's generators,
    threads and precision are restored afterwards (see `processor_state`).
    Raises RecipeError, also while another thread of the process trains, DataError, CheckpointError.
    """
    run = RunFolder(folder)
    with ExitStack() as held:
        held.enter_context(the_only_training())
        begun = Begun(recipe)
        if resume:
            run.require_begun()
            if is_first_process():
                require_writable_folder(run.path)
                held.enter_context(run.locked())
            begun = begun_run(run)
        elif is_first_process():
            if begun.recipe is not None:
                refuse_early_end(begun.recipe)
            run.refuse_existing(allow_folds=begun.recipe is not None and begun.recipe.protocol == "cross-validated")
            require_writable_folder(run.path)
        recipe, saved = begun.recipe, begun.saved
        if recipe is None:
            raise RecipeError("no recipe was given; name a preset or a TOML file")
        if recipe.needs_folds:
            raise RecipeError(
                "protocol: 'cross-validated' trains folds first, which `delaytool train` and `delaytool.train` do; "
                "here name a fold (data.fold) or the epoch that they chose (trainer.last_epoch)"
            )
        device = training_device(recipe.trainer.device)
        progress = reporter.reading if reporter is not None and is_first_process() else None
        place = recipe if moved_to is None else with_moved_data(recipe, moved_to, run, saved)
        loaded = load_data(place, saved.encoding if saved else None, progress, data)
        refuse_impossible_settings(recipe, loaded.encoding)
        if check is not None:
            check(recipe, loaded)
        digests = digests_of(loaded)
        refuse_other_data(run, begun_data(run, recipe, saved), digests)
        if not resume and is_first_process():
            held.enter_context(run.locked())
            run.create(recipe, loaded.class_names)
        elif is_first_process():
            run.keep_class_names(loaded.class_names)
        held.enter_context(processor_state(recipe.trainer.threads, recipe.trainer.precision))
        held.enter_context(torch.random.fork_rng(devices=[device] if device.type == "cuda" else []))
        processes = held.enter_context(team(device))
        if reporter is None or not processes.is_first:
            reporter = Reporter()
        return _Training(recipe, run, loaded, digests, device, reporter, processes).run(saved)


def refuse_early_end(recipe: Recipe) -> None:
    """Raise RecipeError where trainer.last_epoch ends training before another key of it has had any effect."""
    config, last = recipe.trainer, recipe.trainer.epochs_to_train
    for key, value, first in (
        ("quantize", config.quantize, config.first_quantized_epoch + 1),
        ("average_epochs", config.average_epochs or None, config.epochs - config.average_epochs + 1),
    ):
        if value is not None and last < first:
            raise RecipeError(
                f"trainer.last_epoch: training ends with epoch {last}, and trainer.{key} {value} begins with epoch "
                f"{first} of {config.epochs}; choose a later last_epoch, or leave trainer.{key} out"
            )


def training_device(name: str) -> torch.device:
    """The device that a recipe names. Raises RecipeError where it is not usable."""
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
        self,
        recipe: Recipe,
        run: RunFolder,
        data: TrainingData,
        digests: dict[str, str],
        device: torch.device,
        reporter: Reporter,
        processes: Team,
    ) -> None:
        self.recipe, self.run_folder, self.data, self.reporter = recipe, run, data, reporter
        self.digests = digests
        self.warnings: list[str] = []
        self.team = processes
        self.device = device
        self.train_part = data.train.to(device)
        self.test = data.test.to(device) if data.chosen_on_test or recipe.trainer.test_every_epoch else None
        self.validation = None
        if data.validation is not None:
            self.validation = self.test if data.chosen_on_test else data.validation.to(device)
        self.model = initial_network(recipe, data.encoding.n_channels, data.n_classes).to(device)
        self.trained: TrainedNetwork = self.model  # what batches go through: the model in floats, or in integers
        if recipe.trainer.gradient_checkpointing:
            self.model.checkpoint_gradients()
        self.optimizers = Optimizers(self.model, recipe.trainer)
        self.step = make_step(self.model, self.optimizers, self.train_part, recipe.trainer, processes)
        self.best = ChosenEpoch()
        self.average: WeightAverage | None = None  # of the last epochs, from the first of them on
        self.stopped_after: int | None = None
        self.last_sigma: float | None = None  # that the last epoch was trained with
        self.widths = SigmaSchedule.of_recipe(recipe, self.model)

    def run(self, saved: Checkpoint | None) -> dict[str, Any]:
        done = 0
        if saved is not None:
            with refusing_what_does_not_fit(self.run_folder.path):
                self.model.load_state_dict(saved.model if saved.training is None else saved.training)
                self.optimizers.restore(saved.optimizers)
                if saved.scales is not None:
                    self._train_through(saved.scales)
                progress = dict(saved.progress)
                averaged = progress.pop("averaged", 0)
                if saved.training is not None:
                    self.average = WeightAverage.restored(self.model, saved.model, averaged)
                state = {"epoch": saved.epoch, **progress.pop("sigma", {})}
                if "final" not in progress:  # written when any epoch could be chosen
                    self.widths.load_state_dict({**state, "epoch": progress["epoch"] - 1})
                    progress["final"] = self.widths.is_final
                self.widths.load_state_dict(state)
                self.best = ChosenEpoch(**progress)
            done, self.last_sigma = saved.epoch, saved.sigma
        writes = self.team.is_first
        if writes:
            self.run_folder.cut_metrics(done, complete=saved is not None and saved.is_signed)
        self.reporter.begin(self.recipe, self.data, self.model, done)
        for sentence in self.data.warnings:
            self._warn(sentence)
        with ExitStack() as open_files:
            board = None
            if writes:
                board = Board(self.run_folder.tensorboard, self.run_folder.read_metrics())
                open_files.callback(board.close)
            for epoch in range(done, self.recipe.trainer.epochs_to_train):
                if self._stops_early(epoch):
                    self.stopped_after = epoch
                    break
                if epoch == self.recipe.trainer.first_quantized_epoch:
                    self._begin_integers()
                metrics = self._epoch(epoch)
                self.last_sigma = metrics["sigma"]
                is_best = self.best.improved_by(
                    metrics, self._can_be_chosen(epoch), last_counts=not self.recipe.chooses_epoch
                )
                self.widths.step(metrics["train_accuracy"])
                if board is not None:
                    # In this order: a run that goes on from a checkpoint finds its epoch's line (docs/reliability.md).
                    self.run_folder.append_metrics(metrics)
                    self._keep(epoch + 1, is_best, metrics["sigma"])
                    board.add(metrics)
                self.reporter.epoch(metrics, is_best)
        self.team.wait()  # for the checkpoint of the last epoch
        if not self.best.final:
            self._warn(self._no_final_epoch())
        self._warn_of_short_average()
        summary = self._summary()
        if writes:
            self.run_folder.write_summary(summary)
        self.reporter.end(summary)
        return summary

    def _stops_early(self, epochs_done: int) -> bool:
        """Whether the recipe's patience is over: so many epochs since the best of those that count.

        It goes by what a checkpoint holds, so that a resumed run stops where an uninterrupted one does.
        """
        config = self.recipe.trainer
        if config.early_stopping_patience is None or not self.best.final:
            return False
        if config.quantize is not None and epochs_done <= config.first_quantized_epoch:
            return False  # the network through integers, which alone counts, has not been trained
        return epochs_done - self.best.epoch >= config.early_stopping_patience

    def _warn(self, sentence: str) -> None:
        """Show a warning once, and keep it for the summary and the report page."""
        if sentence not in self.warnings:
            self.warnings.append(sentence)
            self.reporter.warning(sentence)

    def _no_final_epoch(self) -> str:
        if self.last_sigma is None:  # of a run that version 0.1.0 has trained
            return (
                f"the best epoch, {self.best.epoch}, was chosen by an earlier version, before training reached single "
                "taps, so that rounding its delays may cost accuracy; train again to choose among later epochs"
            )
        missing = "the final width of taps that the recipe sets"
        if self.widths.single_taps_from is not None:
            missing = f"the single taps that the recipe ends on, from epoch {self.widths.single_taps_from + 1} on"
        return (
            f"no epoch has reached {missing}: the last epoch, which was chosen, has sigma {self.last_sigma:.3g}, so "
            f"that rounding its delays may cost accuracy; {', or '.join(self._ways_to_final_epoch())}"
        )

    def _ways_to_final_epoch(self) -> list[str]:
        """What leads to an epoch of the final width, where a run has none."""
        config = self.recipe.trainer
        ends_early = config.epochs_to_train < config.epochs
        longer = f"train for more epochs (now {config.epochs})"
        if ends_early:
            longer = f"train to a later trainer.last_epoch (now {config.last_epoch} of {config.epochs})"
        if config.sigma_schedule in ("plateau", "constant") or self.widths.single_taps_from is not None:
            return [longer]
        sooner = f"with a smaller trainer.sigma_epochs (now {config.sigma_epochs})"
        has_several = config.epochs_to_train > 1  # the first epoch's width is the start, however fast it falls
        ends_on_taps = config.single_tap_share > 0 and not ends_early  # where there are more epochs
        if config.sigma_epochs == 1 and not ends_on_taps:  # it falls until the last of any number of epochs is over
            return [f"train {sooner}" if has_several else f"{longer} and {sooner}"]
        return [longer, sooner] if has_several else [longer]

    def _begin_integers(self) -> None:
        """From here on training goes through the chip's integers; earlier epochs are of another network."""
        frames = self.train_part.frames
        scales = scales_to_train_through(
            self.recipe, self.model, self.data.encoding, frames, self.team, self.reporter.calibrating
        )
        self._train_through(scales)
        self.best = ChosenEpoch()

    def _train_through(self, scales: IntegerScales) -> None:
        self.trained = IntegerTraining(self.model, scales)
        self.step.train_through(self.trained)

    def _can_be_chosen(self, epoch: int) -> bool:
        """Whether the present epoch, `epoch` from 0, is one that the recipe's protocol may choose."""
        return self._is_of_final_network(epoch) and (self.recipe.trainer.average_epochs == 0 or self._averages(epoch))

    def _is_of_final_network(self, epoch: int) -> bool:
        """Whether the present epoch is of the network that training ends with: of the final width, and in integers."""
        config = self.recipe.trainer
        return self.widths.is_final and (config.quantize is None or epoch >= config.first_quantized_epoch)

    def _averages(self, epoch: int) -> bool:
        """Whether the present epoch is in the mean: of the last ones, those that are of the network that counts."""
        config = self.recipe.trainer
        return epoch >= config.epochs - config.average_epochs and self._is_of_final_network(epoch)

    def _take_average(self) -> None:
        """Take the present network into the mean, and batch norm's statistics of the mean from the training part.

        Through integers batch norm is frozen, so the statistics stay those that the scales were chosen for.
        """
        if self.average is None:
            self.average = WeightAverage(self.model)
        self.average.add(self.model)
        if integer_scales(self.trained) is None:
            order = torch.randperm(len(self.train_part)).to(self.device)
            batch = self.recipe.trainer.batch_size
            refresh_statistics(self.average.network, self.train_part.frames, order, batch, self.team)

    def _counted(self) -> TrainedNetwork:
        """The network that is validated and kept: that of the mean once there is one, else the trained one."""
        if self.average is None:
            return self.trained
        scales = integer_scales(self.trained)
        return self.average.network if scales is None else IntegerTraining(self.average.network, scales)

    def _warn_of_short_average(self) -> None:
        wanted, epochs = self.recipe.trainer.average_epochs, self.recipe.trainer.epochs
        found = 0 if self.average is None else self.average.epochs
        whole = self.stopped_after is None and self.recipe.trainer.epochs_to_train == epochs
        if whole and found < wanted:
            self._warn(
                f"trainer.average_epochs is {wanted}, but only {found} of the last {wanted} of {epochs} epochs have "
                "the final width of taps (with trainer.quantize: go through integers), and these alone were averaged"
            )

    def _epoch(self, epoch: int) -> dict[str, Any]:
        started = time.perf_counter()
        config = self.recipe.trainer
        sigma = self.widths.sigma
        before = [layer.delay.detach().clone() for layer in self.model.delayed_layers()]
        rates = self.optimizers.rates()
        # Every epoch draws from its own seed, so that a resumed run needs no generator's state.
        torch.manual_seed((self.recipe.seed + 1) * 1_000_003 + epoch)
        train = self.train_part
        order = torch.randperm(len(train)).to(self.device)
        batches = order.split(config.batch_size)
        # Loss and correct predictions are summed on the device, so that the GPU is waited for only once per epoch.
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)
        self.trained.train()
        self.step.begin_epoch()
        for index, chosen in enumerate(batches):
            loss, hits = self.step.run(chosen)
            totals += torch.stack([loss.double() * len(chosen) / self.team.size, hits.double()])
            own = float(loss) if self.device.type == "cpu" else None
            self.reporter.batch(epoch + 1, index + 1, len(batches), own if self.team.size == 1 else None)
            if own is not None:
                refuse_nan_loss(own, config)
        loss_sum, correct = self.team.sum(totals).tolist()
        refuse_nan_loss(loss_sum, config)
        refuse_nonfinite_state(self.model, epoch + 1, config)
        forms = self.model.forms()
        self.optimizers.next_epoch()
        if self._averages(epoch):
            self._take_average()
        validation = None if self.validation is None else self._evaluated(self.validation)
        # It draws no random number, so training is what it is without.
        test = None if self.test is None else validation if self.test is self.validation else self._evaluated(self.test)
        for layer in self.model.delayed_layers():
            layer.clamp_delays()
        moved = [
            float((layer.delay.detach() - old).abs()[layer.existing_delays()].float().mean())
            for layer, old in zip(self.model.delayed_layers(), before, strict=True)
        ]
        return {
            "epoch": epoch + 1,
            "train_loss": loss_sum / len(train),
            "train_accuracy": correct / len(train),
            "validation_loss": None if validation is None else validation.loss,
            "validation_accuracy": None if validation is None else validation.accuracy,
            **({} if test is None else {"test_loss": test.loss, "test_accuracy": test.accuracy}),
            "can_be_chosen": self._can_be_chosen(epoch),
            "sigma": sigma,
            "quantized_for": quantized_for(self.trained),
            "in_integers": quantized_for(self.trained) is not None,  # the former key, for one more version
            **({} if self.average is None else {"averaged_epochs": self.average.epochs}),
            **rates,
            **({} if config.rate_target is None else {"rate_penalty": self.step.take_rate_penalties() / len(train)}),
            "convolution": forms,
            **self._structure(),
            "delay_moved": dict(zip(self.model.layer_names(), moved, strict=True)),
            "delay_histogram": dict(
                zip(self.model.layer_names(), map(delay_histogram, self.model.delayed_layers()), strict=True)
            ),
            **({"tau": self.model.time_constants()} if self.recipe.model.neuron == "plif" else {}),
            **self._spikes(validation or test),
            "seconds": time.perf_counter() - started,
        }

    def _spikes(self, seen: Evaluation | None) -> dict[str, Any]:
        return {} if seen is None else {"spikes": dict(zip(self.model.layer_names(), seen.spikes, strict=False))}

    def _structure(self) -> dict[str, Any]:
        """Taps that rewiring has grown in an epoch, by layer."""
        grown = self.step.rewiring.grown()
        return {"grown": grown} if grown else {}

    def _evaluated(self, part: Part) -> Evaluation:
        rows = self.team.rows(len(part))
        batch = self.recipe.trainer.batch_size
        own = evaluate(self._counted(), part.frames[rows], part.labels[rows], batch)
        return Evaluation.joined(self.team.gather(own))

    def _keep(self, epochs: int, is_best: bool, sigma: float | None) -> None:
        state, averaged = _on_cpu(self.model), {}
        if self.average is not None:
            averaged = {"averaged": self.average.epochs}
        checkpoint = Checkpoint(
            recipe=self.recipe,
            encoding=self.data.encoding,
            n_classes=self.data.n_classes,
            epoch=epochs,
            sigma=sigma,
            model=state if self.average is None else _on_cpu(self.average.network),
            training=None if self.average is None else state,
            optimizers=self.optimizers.state(),
            progress={**vars(self.best), **averaged, "sigma": self.widths.state_dict()},
            split=self.data.split,
            scales=integer_scales(self.trained),
            data=self.digests,
        )
        content = checkpoint.as_bytes()
        # Best before last: a run that resumes from `last` finds the best epoch that `last` names.
        if is_best:
            write_bytes_atomically(self.run_folder.best, content)
        write_bytes_atomically(self.run_folder.last, content)

    def _summary(self) -> dict[str, Any]:
        """The chosen epoch's network on the test part, which was not used before (except to choose, with 'paper').

        A fold leaves the test part alone: its summary has the curve that chooses, and no accuracy but validation's.
        """
        chosen = Checkpoint.load(self.run_folder.best)
        model = chosen.network().to(self.device)
        network, target = float_network(model), quantized_for(model)
        validation, record = self.data.validation, self._record_of_folds()
        measured = validation if self.recipe.is_fold and validation is not None else self.data.test
        part = measured.to(self.device)
        batch = self.recipe.trainer.batch_size
        trained, rounded = evaluate_both(model, part.frames, part.labels, batch, chosen.sigma)
        for sentence in chance_test(rounded.predictions, rounded.labels).warnings:
            self._warn(sentence)
        accuracies: dict[str, Any] = {
            "test_accuracy_as_trained": trained.accuracy,
            "test_accuracy_rounded": rounded.accuracy,
            "test_samples": len(part),
        }
        metrics = self.run_folder.read_metrics()
        return {
            "name": self.recipe.name,
            "epochs": self.recipe.trainer.epochs,
            **({} if self.recipe.trainer.last_epoch is None else {"last_epoch": self.recipe.trainer.last_epoch}),
            **({} if self.stopped_after is None else {"stopped_after": self.stopped_after}),
            "best_epoch": self.best.epoch,
            **({} if "averaged" not in chosen.progress else {"averaged_epochs": chosen.progress["averaged"]}),
            "protocol": describe_protocol(
                self.recipe, chosen_on_test=self.data.chosen_on_test, has_folds=record is not None
            ),
            "split": self.data.split,
            "validation_accuracy": None if validation is None else self.best.accuracy,
            "validation_samples": 0 if validation is None else len(validation),
            **self._cost(),
            **(
                {"fold_curve": fold_curve(metrics)} if self.recipe.is_fold else {**accuracies, **last_and_best(metrics)}
            ),
            **({} if record is None else {"cross_validation": record}),
            "parameters": network.n_parameters(),
            "synapses": network.n_synapses(),
            "data": {
                "n_units": self.data.encoding.n_units,
                "n_classes": self.data.n_classes,
                "n_steps": self.data.encoding.n_steps,
                "max_payload": self.data.encoding.max_payload,
            },
            "data_sha256": {
                "encoding": hashlib.sha256(canonical_json(self.data.encoding.as_dict()).encode()).hexdigest(),
                "test": self.digests["test"],
            },
            **({} if target is None else {"quantized_for": target}),
            "spikes": dict(zip(network.layer_names(), rounded.spikes, strict=False)),
            "warnings": self.warnings,
        }

    def _cost(self) -> dict[str, Any]:
        """What holding samples out cost, where the protocol is 'honest' and they would have been trained on."""
        held_out = self.data.held_out
        return {"held_out": asdict(held_out)} if held_out is not None and self.recipe.protocol == "honest" else {}

    def _record_of_folds(self) -> dict[str, Any] | None:
        """What chose the epoch that training ended with, where folds did and the run has the record."""
        if self.recipe.protocol != "cross-validated" or self.recipe.is_fold:
            return None
        record = self.run_folder.read_folds()
        return record if record and record.get("chosen_epoch") == self.recipe.trainer.last_epoch else None


def _on_cpu(model: DelayNetwork) -> dict[str, torch.Tensor]:
    return {name: tensor.cpu() for name, tensor in model.state_dict().items()}
