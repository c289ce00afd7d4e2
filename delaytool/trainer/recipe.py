"""Recipes: everything that decides a run, as TOML, validated before anything starts."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import tomli_w
from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from delaytool import toml
from delaytool.contract.encoding import InputEncoding
from delaytool.datasets.graded import DEFAULT_BITS
from delaytool.datasets.spec import (
    MAX_CLASSES,
    MAX_FOLDS,
    MAX_UNITS,
    DataSpec,
    HeldOutAs,
    Polarity,
    Protocol,
    SplitBy,
    TimeUnit,
    absolute_source,
)
from delaytool.errors import RecipeError
from delaytool.hw_configs import target_names
from delaytool.models.config import ModelConfig, RecipeSection
from delaytool.printable import printable

PRESETS = resources.files("delaytool.models") / "presets"
PRESET_OF_EXAMPLES = "digits"
# Of a recipe's file, of a run's name.
MAX_BYTES = 1_000_000
LONGEST_NAME = 100
# A larger number is a typing error, which would show only when memory is full.
MAX_STEPS = 1_000_000
MAX_COUNT = 1_000_000_000


class DataConfig(RecipeSection):
    """The data, and how events become frames. `datasets.DataSpec` has all that decides the samples."""

    source: str = Field(
        default="digits",
        description="'digits', 'shd', 'ssc', 'tonic:NAME', a folder or an HDF5 file; 'gsc' and 'hd' stand for "
        "recordings whose folder --data gives; a recipe file must name its source",
    )
    time_step_ms: float = Field(default=DataSpec.time_step_ms, gt=0, le=1000.0, description="length of a time step")
    time_unit: TimeUnit | None = Field(
        default=None, description="of event files' times; default: seconds, as floats that look like seconds"
    )
    channel_bins: int = Field(
        default=1, ge=1, le=MAX_UNITS, description="neighboring units that are summed into one channel"
    )
    values: Literal["count", "binary", "graded"] = Field(
        default="count", description="'graded': real numbers, such as the frames of recordings, as small integers"
    )
    input_bits: int | None = Field(default=None, ge=1, le=8, description="of graded values; default: 4")
    input_range: tuple[float, float] | None = Field(
        default=None, description="real numbers that the integer 0 and the highest stand for; default: training's"
    )
    ear: bool | Literal["causal"] = Field(
        default=False,
        description="of recordings: true for spikes of the ear behind SHD, 'causal' for its form for live sound",
    )
    mel: Literal["gsc-paper", "gsc-corrected", "hd"] | None = Field(
        default=None, description="how recordings become frames; default: 'gsc-paper' or 'hd', by the kind of data"
    )
    classes: int | None = Field(
        default=None,
        ge=2,
        le=MAX_CLASSES,
        description="how many there are; default: as the data have. Of Speech Commands, 10 means ten keywords, 12 for "
        "these, unknown and silence, and the default is all words",
    )
    pixel_bins: int = Field(
        default=DataSpec.pixel_bins,
        ge=1,
        le=MAX_UNITS,
        description="tonic's sensors: squares of so many pixels per side become one unit",
    )
    polarity: Polarity = Field(default="keep", description="tonic's sensors: units for each, or one")
    start: Literal["first-spike", "zero"] = Field(
        default="first-spike", description="step 0 begins at a sample's first event, or at time 'zero'"
    )
    n_steps: int | None = Field(
        default=None, ge=1, le=MAX_STEPS, description="frames of a sample; default: the longest in training"
    )
    max_count: int | None = Field(
        default=None, ge=1, le=255, description="counts saturate; default: training's largest"
    )
    n_units: int | None = Field(
        default=None, ge=1, le=MAX_UNITS, description="units of the data; default: as the file states"
    )
    validation_fraction: float = Field(
        default=DataSpec.validation_fraction,
        gt=0,
        lt=1,
        description="of the training part, where the data have no such part",
    )
    test_fraction: float = Field(
        default=DataSpec.test_fraction, gt=0, lt=1, description="of all samples, where the data have no such part"
    )
    split_by: SplitBy = Field(
        default="auto", description="parts hold whole speakers, or some samples of every class; 'auto': by the data"
    )
    folds: int = Field(
        default=DataSpec.folds, ge=2, le=MAX_FOLDS, description="of protocol 'cross-validated': how many there are"
    )
    fold: int | None = Field(
        default=None,
        ge=0,
        lt=MAX_FOLDS,
        description="of protocol 'cross-validated': train without this fold and validate on it; default: all of them, "
        "then once on all samples",
    )
    held_out_speaker: int | None = Field(
        default=None, ge=0, le=(1 << 63) - 1, description="one fold of leave-one-speaker-out"
    )
    held_out_as: HeldOutAs = Field(
        default="validation",
        description="'validation': they are chosen on, test is unchanged; 'test': they replace the source's test part",
    )

    @field_validator("source")
    @classmethod
    def _names_data(cls, source: str) -> str:
        if not source.strip():
            raise ValueError("name the data: 'digits', 'shd', 'ssc', 'tonic:NAME', a file or a folder")
        return source

    @model_validator(mode="after")
    def _graded(self) -> DataConfig:
        if self.values != "graded" and (self.input_bits is not None or self.input_range is not None):
            raise ValueError(f"input_bits and input_range are for values 'graded', not {self.values!r}")
        if self.ear and (self.values == "graded" or self.mel is not None):
            raise ValueError("the ear makes spikes: with ear, leave out mel, and set values to 'count' or 'binary'")
        if self.input_range is not None and not self.input_range[0] < self.input_range[1]:
            raise ValueError(f"input_range {list(self.input_range)} must rise")
        if self.values == "graded" and (self.channel_bins != 1 or self.max_count is not None):
            raise ValueError("graded values are not summed or counted; leave out channel_bins and max_count")
        return self

    def encoding(self, n_units: int) -> InputEncoding:
        """The encoding as far as the recipe decides it."""
        return InputEncoding(
            n_units=n_units,
            time_step_ms=self.time_step_ms,
            channel_bins=self.channel_bins,
            values=self.values,
            start=self.start,
            n_steps=self.n_steps,
            max_count=self.max_count,
            **self._quantization(),
        )

    def _quantization(self) -> dict[str, Any]:
        if self.values != "graded":
            return {}
        bits = DEFAULT_BITS if self.input_bits is None else self.input_bits
        if self.input_range is None:
            return {"input_bits": bits}
        low, high = self.input_range
        return {"input_bits": bits, "offset": low, "scale": (high - low) / ((1 << bits) - 1)}


SINGLE_TAP_SHARE = 0.3  # of the epochs, with the schedule 'single-tap', unless the recipe sets it


class TrainerConfig(RecipeSection):
    """How the network is trained. The defaults are the recipe of arXiv 2306.17670 for SHD."""

    epochs: int = Field(default=150, ge=1, le=MAX_COUNT, description="passes over the training part")
    batch_size: int = Field(default=256, ge=1, le=MAX_COUNT, description="samples per optimizer step")
    lr: float = Field(default=5e-3, gt=0, description="peak learning rate of weights and batch norm")
    lr_schedule: Literal["one-cycle", "cosine", "constant"] = Field(
        default="one-cycle", description="how lr changes over the epochs: rising then falling, falling, or not"
    )
    weight_decay: float = Field(default=1e-5, ge=0, description="on weights alone")
    l1: float = Field(default=0.0, ge=0, description="adds l1 times the sum of all weights' magnitudes to the loss")
    rate_target: tuple[float, float] | None = Field(
        default=None,
        description="lowest and highest mean spikes per sample of every hidden neuron; default: no target",
    )
    rate_weight: float = Field(
        default=0.1, ge=0, description="adds so much times the mean squared distance from rate_target to the loss"
    )
    delay_lr: float = Field(default=0.1, ge=0, description="learning rate of delays, in steps; cosine to 0")
    sigma_schedule: Literal["exponential", "linear", "cosine", "plateau", "constant", "single-tap"] = Field(
        default="exponential",
        description="how a tap's width falls: over sigma_epochs, by the 'plateau' of training accuracy, or not at all "
        "('constant': sigma_end); 'single-tap': exponentially, then rounded delays and one tap",
    )
    sigma_start: float | None = Field(default=None, ge=0, description="default: half the feed-forward kernel")
    sigma_end: float | None = Field(
        default=None, ge=0, description="default: 0.23 with gauss, 0.2 with laplace, 0.16 with max"
    )
    sigma_epochs: float = Field(default=0.25, gt=0, le=1, description="share of the epochs over which sigma decays")
    sigma_factor: float = Field(default=0.5, gt=0, lt=1, description="of 'plateau': what narrows sigma each time")
    sigma_patience: int = Field(
        default=3, ge=1, le=MAX_COUNT, description="of 'plateau': epochs without a higher training accuracy"
    )
    single_tap_epochs: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the epochs, at the end and in whole epochs, trained with rounded delays and one tap; 0 "
        f"with 'single-tap': {SINGLE_TAP_SHARE}",
    )
    blend: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="augmentation: share of the samples that are blended with another of their class",
    )
    time_shift: int = Field(
        default=0, ge=0, le=MAX_STEPS, description="augmentation: shift each sample by up to so many steps"
    )
    channel_shift: int = Field(
        default=0, ge=0, le=MAX_UNITS, description="augmentation: shift each sample by up to so many channels"
    )
    time_jitter: float = Field(default=0.0, ge=0, description="augmentation: shift channels by so many steps (std)")
    spike_time_jitter: float = Field(default=0.0, ge=0, description="augmentation: shift spikes by so many steps (std)")
    channel_jitter: float = Field(default=0.0, ge=0, description="augmentation: shift spikes by so many channels (std)")
    channel_dropout: float = Field(default=0.0, ge=0, lt=1, description="augmentation: silence channels")
    time_mask: int = Field(
        default=0, ge=0, le=MAX_STEPS, description="augmentation: silence a block of up to so many steps"
    )
    channel_mask: int = Field(
        default=0, ge=0, le=MAX_UNITS, description="augmentation: silence a block of up to so many channels"
    )
    mask_probability: float = Field(default=1.0, ge=0, le=1, description="share of the samples that a mask falls on")
    cut_mix: float = Field(
        default=0.0, ge=0, le=1, description="augmentation: share of the samples that get a block of another's steps"
    )
    cut_mix_weight: Literal["time", "spikes"] = Field(
        default="time", description="the other label's share: of the time, or of the spikes, that come from it"
    )
    quantize: str | None = Field(
        default=None, description="a chip, such as 'loihi2', through whose integers the last epochs are trained"
    )
    quantize_epochs: float = Field(
        default=0.2, gt=0, le=1, description="share of the epochs, at the end, trained through the integers"
    )
    last_epoch: int | None = Field(
        default=None,
        ge=1,
        le=MAX_COUNT,
        description="train no further than this epoch, with the rates and widths of the whole of `epochs`",
    )
    average_epochs: int = Field(
        default=0,
        ge=0,
        le=MAX_COUNT,
        description="the mean of the networks of so many epochs, the last ones, is the network that counts; 0: none",
    )
    test_every_epoch: bool = Field(
        default=False,
        description="record test accuracy in every epoch, with protocols 'paper' and 'fixed'; it decides nothing",
    )
    early_stopping_patience: int | None = Field(
        default=None,
        ge=1,
        le=MAX_COUNT,
        description="end training after so many epochs without a better one; only epochs at the final width count; "
        "default: never",
    )
    device: str = Field(default="auto", description="PyTorch's name of it; 'auto': an NVIDIA GPU where there is one")
    precision: Literal["float32", "tf32", "bf16"] = Field(
        default="float32", description="of matrix products: fewer bits are faster where the device has them"
    )
    gradient_checkpointing: bool = Field(
        default=False, description="keep only the spikes of each layer and compute the rest again for the gradient"
    )
    cuda_graphs: bool = Field(default=True, description="record a step once per epoch and replay it, on one NVIDIA GPU")
    threads: int | None = Field(
        default=None, ge=1, le=4096, description="CPU threads, on which the last bits depend; default: PyTorch's choice"
    )

    @property
    def single_tap_share(self) -> float:
        """Share of the epochs, at the end, with single taps."""
        if self.sigma_schedule == "single-tap" and self.single_tap_epochs == 0:
            return SINGLE_TAP_SHARE
        return self.single_tap_epochs

    @field_validator("rate_target")
    @classmethod
    def _a_band(cls, band: tuple[float, float] | None) -> tuple[float, float] | None:
        if band is not None and not 0 <= band[0] <= band[1]:
            raise ValueError("give the lowest and the highest rate, 0 or more, the lowest first: [1, 20]")
        return band

    @field_validator("quantize")
    @classmethod
    def _a_chip(cls, name: str | None) -> str | None:
        if name is not None and name not in target_names():
            raise ValueError(f"choose one of {', '.join(target_names())}")
        return name

    @property
    def epochs_to_train(self) -> int:
        """The epoch that training ends with at the latest."""
        return self.epochs if self.last_epoch is None else self.last_epoch

    @property
    def first_quantized_epoch(self) -> int:
        """The epoch (from 0) from which training goes through a chip's integers; `epochs` where it never does."""
        if self.quantize is None:
            return self.epochs
        return self.epochs - max(1, round(self.quantize_epochs * self.epochs))


class Recipe(RecipeSection):
    """A whole run."""

    name: str = Field(default="run", min_length=1, description="names the run and its folder in runs/")
    seed: int = Field(default=0, ge=0, lt=2**31, description="of everything that is random")
    protocol: Protocol = Field(
        default="honest",
        description="'honest': the best epoch is chosen on validation; 'paper': on the data's own validation part, "
        "else on test, as published; 'fixed': none is chosen, all but the test part is trained on and the last epoch "
        "counts; 'cross-validated': chosen by the mean of folds, then trained on all but the test part to that epoch",
    )
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    trainer: TrainerConfig = TrainerConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        kernel = self.model.max_delay + 1
        frames = self.data.n_steps
        if frames is not None and kernel > 64 * frames:
            raise ValueError(
                f"model.max_delay: {self.model.max_delay} steps are over 64 times data.n_steps {frames}; choose fewer"
            )
        if self.trainer.rate_target is not None and not self.model.hidden:
            raise ValueError(
                f"trainer.rate_target: {list(self.trainer.rate_target)} is of hidden neurons, and model.hidden [] has "
                "none; leave it out, or add a hidden layer"
            )
        self._consistent_structure()
        self._consistent_protocol()
        return self

    def _consistent_protocol(self) -> None:
        trainer = self.trainer
        if trainer.average_epochs > trainer.epochs:
            raise ValueError(
                f"trainer.average_epochs: {trainer.average_epochs} epochs are more than trainer.epochs "
                f"{trainer.epochs}; choose at most that many"
            )
        if trainer.last_epoch is not None and trainer.last_epoch > trainer.epochs:
            raise ValueError(
                f"trainer.last_epoch: {trainer.last_epoch} is beyond trainer.epochs {trainer.epochs}; choose at most "
                "that"
            )
        fold, folds = self.data.fold, self.data.folds
        if fold is not None and (self.protocol != "cross-validated" or fold >= folds):
            raise ValueError(
                f"data.fold: {fold} is one of 0..{folds - 1} with protocol 'cross-validated' and data.folds {folds}, "
                f"and the protocol is {self.protocol!r}; correct these, or leave data.fold out"
            )
        if trainer.average_epochs and self.model.rewiring != "none":
            raise ValueError(
                f"trainer.average_epochs: {trainer.average_epochs} networks are not averaged with model.rewiring "
                f"{self.model.rewiring!r}, whose taps come and go: the mean would have more than model.sparsity "
                "admits; set one of them to its default (0, 'none')"
            )
        if self.protocol not in ("paper", "fixed") and trainer.test_every_epoch:
            raise ValueError(
                f"trainer.test_every_epoch: true looks at the test set all along, and protocol {self.protocol!r} looks "
                "at it once; leave it out, or choose protocol 'fixed' or 'paper'"
            )
        if self.protocol in ("fixed", "cross-validated") and trainer.early_stopping_patience is not None:
            why = "chooses none" if self.protocol == "fixed" else "needs all epochs of every fold"
            raise ValueError(
                f"trainer.early_stopping_patience: {trainer.early_stopping_patience} epochs are counted from the best "
                f"one, and protocol {self.protocol!r} {why}; leave it out, or choose protocol 'honest'"
            )

    def _consistent_structure(self) -> None:
        model = self.model
        if model.dale and model.rewiring == "none":
            raise ValueError(
                "model.dale: true needs taps of fixed sign, which model.rewiring 'none' does not have; "
                "choose 'deep-r', 'rigl' or 'rigl-signed'"
            )
        within = model.recurrent_synapses
        if model.has_recurrent_layers and within.distinct_delays and within.kernel_count > within.kernel_size:
            raise ValueError(
                f"model.kernel_count: {within.kernel_count} fixed candidate delays per synapse are more than "
                f"the {within.kernel_size} of model.recurrent_max_delay {within.max_delay}; choose at most that many"
            )
        if model.distinct_delays and model.kernel_count > model.kernel_size:
            raise ValueError(
                f"model.kernel_count: {model.kernel_count} fixed candidate delays per synapse are more than "
                f"the {model.kernel_size} of model.max_delay {model.max_delay}; choose at most that many"
            )

    @property
    def needs_folds(self) -> bool:
        """Whether folds are to choose the epoch, before anything is trained on all samples."""
        return self.protocol == "cross-validated" and self.data.fold is None and self.trainer.last_epoch is None

    @property
    def is_fold(self) -> bool:
        """Whether this is the training of one fold, which leaves the test part alone."""
        return self.data.fold is not None

    @property
    def chooses_epoch(self) -> bool:
        """Whether the run itself chooses an epoch; else its last one counts."""
        return self.protocol in ("honest", "paper") or self.is_fold

    def to_toml(self) -> str:
        """The recipe with every key that has a value; those that are unset are left out."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))

    def digest(self) -> str:
        """SHA-256 of the recipe's values."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def preset_names() -> list[str]:
    """Recipes that come with delaytool."""
    return sorted(entry.name.removesuffix(".toml") for entry in PRESETS.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str, overrides: Iterable[str] | Mapping[str, Any] = ()) -> Recipe:
    """A preset's name or a TOML file, with `section.key=value` or {key: value} overrides, to a validated recipe.

    `none` unsets a key that may be unset, unless 'none' is one of the key's own values (model.delays, model.rewiring).
    A relative data.source is meant from the file that names it, and one of `overrides` from the working directory;
    the recipe has it absolute. Raises RecipeError: one line that names the key, its value and what is possible.
    """
    values = _read(name_or_path, seen=())
    _override(values, overrides)
    _place_source(values, None)
    recipe = validated(_unset(values), name_or_path)
    if "source" not in values.get("data", {}):
        raise RecipeError(
            f"{name_or_path}: data.source is missing; name the data (--data, or source in [data]), or build on a "
            f'recipe that has it (extends = "{PRESET_OF_EXAMPLES}")'
        )
    _refuse_path(recipe.name)
    return recipe


def override_of(key: str, value: Any) -> str:
    """`key=value` as `load_recipe` takes it, for any string, path or number: quotes in it stay what they are.

    >>> print(override_of("data.source", "it's here"))
    data.source="it's here"
    """
    return f"{key}={json.dumps(value if isinstance(value, (int, float)) else str(value), ensure_ascii=False)}"


def validated(values: Mapping[str, Any], origin: str) -> Recipe:
    """Values as TOML gives them to a Recipe. Raises RecipeError."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {_explained(error)}") from None
    except RecursionError:
        raise RecipeError(f"{origin}: its values are nested too deeply; a recipe has sections and keys") from None


def with_overrides(recipe: Recipe, overrides: Iterable[str] | Mapping[str, Any]) -> Recipe:
    """A recipe with `section.key=value` or {key: value} overrides, applied as by `load_recipe`. Raises RecipeError."""
    values = recipe.model_dump(mode="json")
    _override(values, overrides)
    _place_source(values, None)
    return validated(_unset(values), recipe.name)


def recipe_of_run(text: str, origin: str) -> Recipe:
    """The recipe that a run folder's recipe.toml holds: TOML with every key that has a value. Raises RecipeError."""
    try:
        return validated(toml.loads(text), origin)
    except toml.TOMLDecodeError as error:
        raise RecipeError(f"{origin}: not valid TOML ({error}); the run is damaged") from None


def _read(name_or_path: str, seen: tuple[str, ...]) -> dict[str, Any]:
    """The values of a recipe and of those that it extends. `seen`: the recipes that have led here."""
    is_preset = name_or_path in preset_names()
    # Two spellings of a path are one file: ../a/x.toml in a/x.toml is a/x.toml itself.
    identity = name_or_path if is_preset else os.path.realpath(_without_nul(name_or_path))
    if identity in seen:
        raise RecipeError(
            f"recipe {name_or_path}: extends itself, over {len(seen)} file(s); remove one of these extends"
        )
    values = _parsed(name_or_path, _text(name_or_path, is_preset))
    if not is_preset:
        _place_source(values, Path(name_or_path).parent)
    base = values.pop("extends", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise RecipeError(f"recipe {name_or_path}: extends is not a name or a path in quotes; give one")
    # A file is looked for beside the one that names it, then where the command runs.
    beside = Path(name_or_path).parent / _without_nul(base)
    found = str(beside) if base not in preset_names() and _is_file(beside) else base
    return _merged(_read(found, (*seen, identity)), values)


def _text(name_or_path: str, is_preset: bool) -> str:
    if is_preset:
        return (PRESETS / f"{name_or_path}.toml").read_text(encoding="utf-8")
    path = Path(_without_nul(name_or_path))
    if not _is_file(path):
        near = difflib.get_close_matches(name_or_path, preset_names(), n=1, cutoff=0.6)
        hint = f"did you mean {near[0]}? " if near else ""
        raise RecipeError(
            f"recipe {name_or_path}: no such file or preset; {hint}presets are {', '.join(preset_names())}"
        )
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecipeError(f"recipe {name_or_path}: over the limit of {MAX_BYTES:,} bytes; give a TOML text file")
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"recipe {name_or_path}: cannot be read ({error}); give a TOML text file") from None


def _parsed(name_or_path: str, text: str) -> dict[str, Any]:
    try:
        return toml.loads(text)
    except RecursionError:
        reason = "nested too deeply"
    except ValueError as error:  # TOMLDecodeError is one, and so is a number of more than 4,300 digits
        reason = str(error).partition(";")[0]
    raise RecipeError(f"recipe {name_or_path}: not valid TOML ({reason}); correct that line")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _without_nul(name: str) -> str:
    """A name without zero bytes, which no file's name holds and the system refuses."""
    return name.replace("\0", "\ufffd")


def _place_source(values: dict[str, Any], beside: Path | None) -> None:
    """Make a relative data.source absolute. beside: the folder of the file that names it; None: working directory."""
    data = values.get("data")
    if isinstance(data, dict) and isinstance(data.get("source"), str):
        data["source"] = absolute_source(_without_nul(data["source"]), beside)


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both else value
    return result


def _override(values: dict[str, Any], overrides: Iterable[str] | Mapping[str, Any]) -> None:
    """Put overrides into a recipe's values, in place."""
    if not isinstance(overrides, Mapping):
        for override in overrides:
            _apply(values, override)
        return
    for key, value in overrides.items():
        if isinstance(value, Mapping):
            raise RecipeError(f"{key}: a section; name each of its keys, such as '{key}.{next(iter(value), 'key')}'")
        _put(values, key, "none" if value is None else _plain(value))


def _plain(value: Any) -> Any:
    """A value as TOML has it: a path's text, and Python's own numbers for numpy's and PyTorch's."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {override}: not of the form section.key=value, for example trainer.epochs=5")
    try:
        value = toml.loads(f"value = {text}")["value"]
    except toml.TOMLDecodeError:
        value = text.strip()  # a bare word is a string, so that no second pair of quotes is needed in a shell
    except (ValueError, RecursionError):
        raise RecipeError(f"--set {key.strip()}: its value is too long a number, or nested too deeply") from None
    _put(values, key.strip(), value)


def _put(values: dict[str, Any], key: str, value: Any) -> None:
    *sections, last = key.split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise RecipeError(f"{key}: {section} is a value, not a section")
    place[last] = value


def _unset(values: Mapping[str, Any], section: type[BaseModel] = Recipe) -> dict[str, Any]:
    """The values, with 'none' as None where a key may be unset and has no value of that name."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        field = section.model_fields.get(name)
        annotation = None if field is None else field.annotation
        if isinstance(value, Mapping) and isinstance(annotation, type) and issubclass(annotation, BaseModel):
            result[name] = _unset(value, annotation)
        elif value == "none" and field is not None and admits_unset(field.annotation):
            result[name] = None
        else:
            result[name] = value
    return result


def admits_unset(annotation: Any) -> bool:
    """Whether `none` unsets a key of this type: it admits None, and 'none' is not one of its values."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    values = [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
    return type(None) in kinds and "none" not in values


def _refuse_path(name: str) -> None:
    """Raise RecipeError for a name that is no folder's name: a run's folder is runs/NAME."""
    bad = name.strip(". ") == "" or any(char in "/\\:" or not char.isprintable() for char in name)
    if bad or len(name.encode()) > LONGEST_NAME:
        raise RecipeError(
            f"name: value {_shown(name)} is not possible; it names the run's folder in runs/, so it has at most "
            f"{LONGEST_NAME} letters, digits, spaces and marks, and neither / nor \\ nor : (another place: -o FOLDER)"
        )


def all_keys(section: type[BaseModel] = Recipe, prefix: str = "") -> list[str]:
    """Every key of a recipe, dotted."""
    keys = []
    for name, field in section.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            keys += all_keys(annotation, f"{prefix}{name}.")
        else:
            keys.append(prefix + name)
    return keys


def all_values(recipe: Recipe) -> dict[str, Any]:
    """Every key of a recipe, dotted, and its value as JSON has it."""
    values: dict[str, Any] = {}
    dumped = recipe.model_dump(mode="json")
    for key in all_keys():
        place: Any = dumped
        for part in key.split("."):
            place = place[part]
        values[key] = place
    return values


def keys_named(name: str) -> list[str]:
    """The dotted keys whose last part is `name`, an option's spelling ('max-delay') allowed."""
    return [key for key in all_keys() if key.split(".")[-1] == name.replace("-", "_")]


def _unknown(key: str) -> str:
    keys = all_keys()
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.6)
    hints = keys_named(key.split(".")[-1]) or near
    return f"{printable(key)}: unknown key; " + (
        f"did you mean {hints[0]}?" if hints else f"the keys are {', '.join(keys)}"
    )


def _explained(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = _key_of(first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown(key)
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if not key:
        return message
    if (
        isinstance(first["input"], Mapping) and first["type"] == "value_error"
    ):  # keys of a section that do not go together
        return f"{printable(key)}: {message}"
    return f"{printable(key)}: value {_shown(first['input'])} is not possible; {message}"


def _key_of(place: tuple[int | str, ...]) -> str:
    """Where an error is, dotted, without pydantic's names for the kinds of a value that may be of several."""
    key, known = "", set(all_keys())
    for part in place:
        if key not in known or isinstance(part, int):
            key = f"{key}.{part}" if key else str(part)
    return key


def _shown(value: Any) -> str:
    """A value in a message: on one line, and not too long."""
    try:
        text = printable(repr(value))
    except ValueError:  # Python writes no numbers of more than 4,300 digits
        return "of more than 4,300 digits"
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text):,} characters)"


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
