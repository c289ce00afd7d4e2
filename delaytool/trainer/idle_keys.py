"""Keys of a recipe that another of its keys leaves without effect. Needs no PyTorch and no data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from delaytool.models.synapse_settings import FINAL_SIGMA
from delaytool.trainer.recipe import SINGLE_TAP_SHARE, Recipe, TrainerConfig, all_values

_OF_HIDDEN_LAYERS = ("recurrent", "threshold", "surrogate_alpha", "detach_reset", "batch_norm", "dropout")
_WIDTHS = ("sigma_schedule", "sigma_start", "sigma_end", "sigma_epochs", "sigma_factor", "sigma_patience")


def keys_without_effect(recipe: Recipe) -> dict[str, str]:
    """Those keys with another value than their default that change nothing in this recipe, each with the reason.

    Whether the data have what a key is for is known once they are read, and is not asked here.

    >>> from delaytool.trainer.recipe import load_recipe
    >>> keys_without_effect(load_recipe("digits", ["model.tau_current=3"]))
    {'model.tau_current': "model.neuron is 'lif'"}
    """
    values, defaults = all_values(recipe), all_values(Recipe())
    idle: dict[str, str] = {}
    for reason, keys in _rules(recipe):
        for key in keys:
            if values[key] != defaults[key]:
                idle.setdefault(key, reason)
    return idle


def describe_idle_keys(idle: Mapping[str, str], values: Mapping[str, Any]) -> list[str]:
    """A sentence per reason: 'model.tau_current 3.0 has no effect, as model.neuron is 'lif''."""
    sentences = []
    for reason in dict.fromkeys(idle.values()):
        keys = [f"{key} {values[key]}" for key, why in idle.items() if why == reason]
        verb = "has" if len(keys) == 1 else "have"
        sentences.append(f"{' and '.join(keys)} {verb} no effect, as {reason}")
    return sentences


def _rules(recipe: Recipe) -> Iterator[tuple[str, Iterable[str]]]:
    """(why, keys that then have no effect)."""
    yield from _of_data(recipe)
    yield from _of_model(recipe)
    yield from _of_widths(recipe)
    yield from _of_trainer(recipe)


def _of_data(recipe: Recipe) -> Iterator[tuple[str, Iterable[str]]]:
    data, protocol = recipe.data, recipe.protocol
    speaker = data.held_out_speaker
    if data.values == "binary":
        yield "data.values is 'binary'", ["data.max_count"]
    if protocol != "cross-validated":
        yield f"protocol is {protocol!r}", ["data.folds"]
    if protocol != "honest":
        yield f"protocol is {protocol!r}", ["data.validation_fraction"]
    if speaker is None:
        yield "no data.held_out_speaker is set", ["data.held_out_as"]
    else:
        part = "validation" if data.held_out_as == "validation" else "test"
        yield f"data.held_out_speaker is the {part} part", [f"data.{part}_fraction"]


def _of_model(recipe: Recipe) -> Iterator[tuple[str, Iterable[str]]]:
    model = recipe.model
    if model.whole_kernels:
        yield f"model.delays is {model.delays!r}", ["model.kernel_count", "model.delays_per"]
    if model.delays == "none" and model.tail_steps is not None:
        yield "model.delays is 'none' and model.tail_steps is set", ["model.max_delay"]
    if not model.hidden:
        yield "there are no hidden layers (model.hidden)", [f"model.{name}" for name in _OF_HIDDEN_LAYERS]
    if model.neuron != "cuba":
        yield f"model.neuron is {model.neuron!r}", ["model.tau_current"]
    if model.neuron != "adaptive":
        yield f"model.neuron is {model.neuron!r}", ["model.adaptation", "model.tau_adaptation"]
    if not model.has_recurrent_layers:
        yield "no layer is recurrent (model.recurrent)", ["model.recurrent_max_delay"]
    elif model.delays == "none":
        yield "model.delays is 'none'", ["model.recurrent_max_delay"]
    if isinstance(model.sparsity, tuple) and not any(model.sparsity):
        yield "model.sparsity leaves every layer whole", ["model.rewiring", "model.dale"]
    if model.convolution not in ("auto", "windowed"):
        yield f"model.convolution is {model.convolution!r}", ["model.discarded_mass"]
    elif model.interpolation in ("triangle", "max"):
        yield f"model.interpolation is {model.interpolation!r}, whose taps end by themselves", ["model.discarded_mass"]


def _of_widths(recipe: Recipe) -> Iterator[tuple[str, Iterable[str]]]:
    """Of the width of taps, and of what learns through it."""
    trainer, model = recipe.trainer, recipe.model
    within = model.has_recurrent_layers and model.recurrent_synapses.learns_delays
    spread = ["model.interpolation", "model.discarded_mass", *(f"trainer.{name}" for name in ("delay_lr", *_WIDTHS))]
    if not (model.learns_delays or within):
        why = f"model.delays is {model.delays!r}" if model.delays != "learned" else "model.max_delay is 0"
        yield why, [*spread, "trainer.single_tap_epochs"]
        return
    if _spread_epochs(trainer, trainer.single_tap_share) == 0:
        yield "taps are single ones from the first epoch on", spread
    yield from _of_single_taps(trainer)
    if model.interpolation == "triangle":
        ends_on_taps = trainer.sigma_schedule == "single-tap"
        yield (
            "model.interpolation is 'triangle', which has no width",
            [f"trainer.{name}" for name in _WIDTHS if not (ends_on_taps and name == "sigma_schedule")],
        )
        return
    start = model.kernel_size // 2 if trainer.sigma_start is None else trainer.sigma_start
    end = FINAL_SIGMA[model.interpolation] if trainer.sigma_end is None else trainer.sigma_end
    if start <= end and trainer.sigma_schedule != "constant":
        schedules = [] if trainer.sigma_schedule == "single-tap" else ["trainer.sigma_schedule"]
        rules = [f"trainer.{name}" for name in ("sigma_epochs", "sigma_factor", "sigma_patience")]
        yield f"the width begins at {start:g}, not above its end {end:g}", [*schedules, *rules]


def _of_single_taps(trainer: TrainerConfig) -> Iterator[tuple[str, Iterable[str]]]:
    share = trainer.single_tap_share
    by_schedule = trainer.sigma_schedule == "single-tap"
    without = SINGLE_TAP_SHARE if by_schedule else 0.0  # the share where single_tap_epochs is not set
    if round(share * trainer.epochs) == 0:
        none = f"{share:g} of trainer.epochs {trainer.epochs} is no whole epoch"
        if not by_schedule:
            yield none, ["trainer.single_tap_epochs"]
        elif trainer.single_tap_epochs == 0:
            yield none, ["trainer.sigma_schedule"]
    elif _spread_epochs(trainer, share) == _spread_epochs(trainer, without) == trainer.first_quantized_epoch:
        yield "trainer.quantize begins no later", ["trainer.single_tap_epochs"]


def _spread_epochs(trainer: TrainerConfig, share: float) -> int:
    """Epochs before the first one with single taps, where `share` of them, at the end, have such."""
    return min(trainer.epochs - round(share * trainer.epochs), trainer.first_quantized_epoch)


def _of_trainer(recipe: Recipe) -> Iterator[tuple[str, Iterable[str]]]:
    trainer = recipe.trainer
    schedule = f"trainer.sigma_schedule is {trainer.sigma_schedule!r}"
    if trainer.sigma_schedule == "constant":
        yield schedule, ["trainer.sigma_start", "trainer.sigma_epochs"]
    if trainer.sigma_schedule == "plateau":
        yield schedule, ["trainer.sigma_epochs"]
    else:
        yield schedule, ["trainer.sigma_factor", "trainer.sigma_patience"]
    if trainer.rate_target is None:
        yield "no trainer.rate_target is set", ["trainer.rate_weight"]
    elif trainer.rate_weight == 0:
        yield "trainer.rate_weight is 0, so that the distance from it is only recorded", ["trainer.rate_target"]
    if trainer.time_mask == 0 and trainer.channel_mask == 0:
        yield "neither trainer.time_mask nor trainer.channel_mask is set", ["trainer.mask_probability"]
    elif trainer.mask_probability == 0:
        yield "trainer.mask_probability is 0", ["trainer.time_mask", "trainer.channel_mask"]
    if trainer.cut_mix == 0:
        yield "trainer.cut_mix is 0", ["trainer.cut_mix_weight"]
    if trainer.quantize is None:
        yield "no trainer.quantize is set", ["trainer.quantize_epochs"]
    if not may_stop_early(trainer):
        why = f"training ends with epoch {trainer.epochs_to_train}, before it could"
        yield why, ["trainer.early_stopping_patience"]
    if trainer.last_epoch == trainer.epochs and recipe.protocol != "cross-validated":  # there it stands for folds
        yield f"trainer.epochs is {trainer.epochs}", ["trainer.last_epoch"]


def may_stop_early(trainer: TrainerConfig) -> bool:
    """Whether epochs are left when a patience that began with the first epoch is over."""
    patience = trainer.early_stopping_patience
    return patience is not None and 1 + patience < trainer.epochs_to_train
