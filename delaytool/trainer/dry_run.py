"""What a run would read, be and take, before it is begun: one batch is trained and forgotten."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from delaytool.models.delay_network import DelayNetwork
from delaytool.trainer.data import Part, TrainingData, load_data
from delaytool.trainer.evaluation import evaluate
from delaytool.trainer.idle_keys import may_stop_early
from delaytool.trainer.impossible_settings import refuse_impossible_settings
from delaytool.trainer.initial_network import initial_network
from delaytool.trainer.loop import refuse_early_end, training_device
from delaytool.trainer.optimizers import Optimizers
from delaytool.trainer.parallel import Team
from delaytool.trainer.processor import processor_state, the_only_training
from delaytool.trainer.recipe import Recipe
from delaytool.trainer.sigma_schedules import SigmaSchedule
from delaytool.trainer.step import Step, make_step

# Steps before the one that is timed: compiling, and what only first calls make. A GPU's recording takes more.
WARM_UP = {"cpu": 1, "cuda": 5}


@dataclass(frozen=True)
class DryRun:
    """What was read and measured.

    sizes            channels, neurons of each hidden layer, classes
    parameters, synapses   of the network as it is initialized
    batches          of an epoch; batch_size is the recipe's, or the training part's size where that is smaller
    first_step_s     measured: a batch forward, backward, and both optimizers, with taps as wide as in the first epoch
    last_step_s      the same with those of the last epoch
    first_width_epochs   how many epochs are not yet at the final width
    evaluation_s     estimated from a batch: the validation part, once
    total_s          estimated: all epochs, those before the final width at the first step's cost
    not_measured     sentences about what is not in these figures
    """

    data: TrainingData
    device: str
    sizes: tuple[int, ...]
    parameters: int
    synapses: int
    batch_size: int
    batches: int
    epochs: int
    first_step_s: float
    last_step_s: float
    first_width_epochs: int
    evaluation_s: float
    not_measured: tuple[str, ...]

    @property
    def frame_bytes(self) -> int:
        """Memory of all frames, a byte per value; training and validation are on the device."""
        parts = {self.data.train, self.data.validation, self.data.test}
        return sum(part.frames.numel() for part in parts if part is not None)

    @property
    def total_s(self) -> float:
        later = self.epochs - self.first_width_epochs
        steps = self.batches * (self.first_width_epochs * self.first_step_s + later * self.last_step_s)
        return steps + self.epochs * self.evaluation_s


def dry_run(
    recipe: Recipe,
    progress: Callable[[str, int, int], None] | None = None,
    check: Callable[[Recipe, TrainingData], None] | None = None,
) -> DryRun:
    """Read the data, build the network and time a step. Makes no run folder and keeps nothing of the network.

    check: called once the data are read, as by `train`.

    Downloads, and the frames that recordings are made into, are kept as ever, so that training finds them.
    PyTorch's generators, threads and precision are restored afterwards. Raises RecipeError, DataError as `train` does.
    """
    refuse_early_end(recipe)
    device = training_device(recipe.trainer.device)
    data = load_data(recipe, progress=progress)
    refuse_impossible_settings(recipe, data.encoding)
    if check is not None:
        check(recipe, data)
    config = recipe.trainer
    generators = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with the_only_training(), processor_state(config.threads, config.precision), generators:
        train = data.train.to(device)
        validation = None if data.validation is None else data.validation.to(device)
        model = initial_network(recipe, data.encoding.n_channels, data.n_classes).to(device)
        if config.gradient_checkpointing:
            model.checkpoint_gradients()
        parameters, synapses = model.n_parameters(), model.n_synapses()
        step = make_step(model, Optimizers(model, config), train, config, Team())
        widths = SigmaSchedule.of_recipe(recipe, model)
        epochs = config.epochs_to_train
        final = [_is_final(widths, epoch) for epoch in range(epochs)] if epochs <= 100_000 else []
        chosen = torch.randperm(len(train))[: config.batch_size].to(device)
        widths.load_state_dict({"epoch": 0})
        first = _timed_step(step, model.train, chosen, device)
        widths.load_state_dict({"epoch": epochs - 1})
        last = _timed_step(step, model.train, chosen, device)
        evaluation = 0.0 if validation is None else _timed_evaluation(model, validation, config.batch_size, device)
    return DryRun(
        data=data,
        device=str(device),
        sizes=(data.encoding.n_channels, *recipe.model.hidden, data.n_classes),
        parameters=parameters,
        synapses=synapses,
        batch_size=len(chosen),
        batches=-(-len(train) // config.batch_size),
        epochs=epochs,
        first_step_s=first,
        last_step_s=last,
        first_width_epochs=final.count(False),
        evaluation_s=evaluation,
        not_measured=_not_measured(recipe, final.count(False)),
    )


def _is_final(widths: SigmaSchedule, epoch: int) -> bool:
    widths.load_state_dict({"epoch": epoch})
    return widths.is_final


def _timed_step(step: Step, begin: Callable[[], object], chosen: torch.Tensor, device: torch.device) -> float:
    begin()
    step.begin_epoch()
    for _ in range(WARM_UP.get(device.type, 1)):
        step.run(chosen)
    started = _now(device)
    step.run(chosen)
    return _now(device) - started


def _timed_evaluation(model: DelayNetwork, part: Part, batch_size: int, device: torch.device) -> float:
    some = min(batch_size, len(part))
    evaluate(model, part.frames[:some], part.labels[:some], some)
    started = _now(device)
    evaluate(model, part.frames[:some], part.labels[:some], some)
    return (_now(device) - started) * len(part) / some


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _not_measured(recipe: Recipe, first_width_epochs: int) -> tuple[str, ...]:
    config, sentences = recipe.trainer, []
    if config.quantize is not None:
        count = config.epochs_to_train - config.first_quantized_epoch
        last = "the last epoch goes" if count == 1 else f"the last {count} epochs go"
        sentences.append(f"{last} through {config.quantize}'s integers, which takes longer")
    if may_stop_early(config):
        sentences.append("training may stop early (trainer.early_stopping_patience)")
    if recipe.needs_folds:
        count = recipe.data.folds
        sentences.append(f"before that {count} folds are trained, each on about {count - 1} / {count} of the samples")
    if config.test_every_epoch:
        sentences.append("the test part is evaluated after every epoch")
    averaged = config.epochs_to_train - max(config.epochs - config.average_epochs, first_width_epochs)
    if averaged > 0 and config.quantize is None:  # through integers the mean's batch norm stays as it is
        which = "the last epoch the" if averaged == 1 else f"each of the last {averaged} epochs their"
        sentences.append(f"after {which} mean takes one more pass, for batch norm")
    return tuple(sentences)
