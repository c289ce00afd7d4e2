"""Recipes: everything that decides a run, as TOML, validated before anything starts."""

from __future__ import annotations

import difflib
import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from delaytool.datasets.graded import DEFAULT_BITS
from delaytool.errors import RecipeError
from delaytool.hw_configs import target_names
from delaytool.models.config import ModelConfig
from delaytool.network import InputEncoding

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRESETS = resources.files("delaytool.models") / "presets"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(_Section):
    """What is learned from, and how events become frames."""

    source: str = Field(default="digits", description="'digits', 'shd', 'ssc', 'tonic:NAME', a folder or an HDF5 file")
    time_step_ms: float = Field(default=10.0, gt=0, le=1000.0)
    channel_bins: int = Field(default=1, ge=1)
    values: Literal["count", "binary", "graded"] = Field(
        default="count", description="'graded': real numbers, such as the frames of recordings, as small integers"
    )
    input_bits: int | None = Field(default=None, ge=1, le=8, description="of graded values; default: 4")
    input_range: tuple[float, float] | None = Field(
        default=None, description="real numbers that the integer 0 and the highest stand for; default: training's"
    )
    mel: Literal["gsc-paper", "gsc-corrected", "hd"] | None = Field(
        default=None, description="how recordings become frames; default: 'gsc-paper' or 'hd', by the kind of data"
    )
    classes: int | None = Field(
        default=None,
        ge=2,
        description="of Speech Commands: 12 for ten keywords, unknown and silence; default: all words",
    )
    pixel_bins: int = Field(default=1, ge=1, description="tonic's sensors: so many pixels a side become one unit")
    polarity: Literal["keep", "merge"] = Field(default="keep", description="tonic's sensors: units for each, or one")
    start: Literal["first-spike", "zero"] = "first-spike"
    n_steps: int | None = Field(default=None, ge=1, description="frames of a sample; default: the longest in training")
    max_count: int | None = Field(
        default=None, ge=1, le=255, description="counts saturate; default: training's largest"
    )
    n_units: int | None = Field(default=None, ge=1, description="units of the data; default: what the file tells")
    validation_fraction: float = Field(default=0.2, gt=0, lt=1)
    test_fraction: float = Field(default=0.2, gt=0, lt=1)
    split_by: Literal["auto", "speaker", "stratified"] = "auto"
    held_out_speaker: int | None = Field(default=None, ge=0, description="one fold of leave-one-speaker-out")
    held_out_as: Literal["validation", "test"] = Field(
        default="validation",
        description="'validation': chosen on, test stays what it is; 'test': tested on, in place of the source's own",
    )

    @model_validator(mode="after")
    def _graded(self) -> DataConfig:
        if self.values != "graded" and (self.input_bits is not None or self.input_range is not None):
            raise ValueError(f"input_bits and input_range are for values 'graded', not {self.values!r}")
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
            **self._quantisation(),
        )

    def _quantisation(self) -> dict[str, Any]:
        if self.values != "graded":
            return {}
        bits = DEFAULT_BITS if self.input_bits is None else self.input_bits
        if self.input_range is None:
            return {"input_bits": bits}
        low, high = self.input_range
        return {"input_bits": bits, "offset": low, "scale": (high - low) / ((1 << bits) - 1)}


SINGLE_TAP_SHARE = 0.3  # of the epochs, with the schedule 'single-tap', unless the recipe says


class TrainerConfig(_Section):
    """How it is learned. The defaults are the recipe of arXiv 2306.17670 for SHD."""

    epochs: int = Field(default=150, ge=1)
    batch_size: int = Field(default=256, ge=1)
    lr: float = Field(default=5e-3, gt=0, description="peak learning rate of weights and batch norm")
    lr_schedule: Literal["one-cycle", "cosine", "constant"] = "one-cycle"
    weight_decay: float = Field(default=1e-5, ge=0, description="on weights alone")
    l1: float = Field(default=0.0, ge=0, description="adds l1 times the sum of all weights' magnitudes to the loss")
    delay_lr: float = Field(default=0.1, ge=0, description="learning rate of delays, in steps; cosine to 0")
    sigma_schedule: Literal["exponential", "linear", "cosine", "plateau", "constant", "single-tap"] = Field(
        default="exponential",
        description="how a tap's width falls: over sigma_epochs, by the 'plateau' of training accuracy, or not at all "
        "('constant': sigma_end); 'single-tap': exponentially, then rounded delays and one tap",
    )
    sigma_start: float | None = Field(default=None, ge=0, description="default: half the kernel")
    sigma_end: float | None = Field(
        default=None, ge=0, description="default: 0.23 with gauss, 0.2 with laplace, 0.16 with max"
    )
    sigma_epochs: float = Field(default=0.25, gt=0, le=1, description="share of the epochs over which sigma decays")
    sigma_factor: float = Field(default=0.5, gt=0, lt=1, description="of 'plateau': what narrows sigma each time")
    sigma_patience: int = Field(default=3, ge=1, description="of 'plateau': epochs without a higher training accuracy")
    single_tap_epochs: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of the epochs, at the end, trained with rounded delays and one tap; 0 with 'single-tap': "
        f"{SINGLE_TAP_SHARE}",
    )
    time_jitter: float = Field(default=0.0, ge=0, description="augmentation: shift channels by so many steps (std)")
    spike_time_jitter: float = Field(default=0.0, ge=0, description="augmentation: shift spikes by so many steps (std)")
    channel_jitter: float = Field(default=0.0, ge=0, description="augmentation: shift spikes by so many channels (std)")
    channel_dropout: float = Field(default=0.0, ge=0, lt=1, description="augmentation: silence channels")
    time_mask: int = Field(default=0, ge=0, description="augmentation: silence a block of up to so many steps")
    channel_mask: int = Field(default=0, ge=0, description="augmentation: silence a block of up to so many channels")
    mask_probability: float = Field(default=1.0, ge=0, le=1, description="share of the samples that a mask falls on")
    cut_mix: float = Field(
        default=0.0, ge=0, le=1, description="augmentation: share of the samples that get a block of another's steps"
    )
    cut_mix_weight: Literal["time", "spikes"] = Field(
        default="time", description="the other label's share: of the time, or of the spikes, that come from it"
    )
    quantize: str | None = Field(
        default=None, description="a chip, 'loihi2' say, through whose integers the last epochs are trained"
    )
    quantize_epochs: float = Field(
        default=0.2, gt=0, le=1, description="share of the epochs, at the end, trained through the integers"
    )
    device: str = "auto"
    precision: Literal["float32", "tf32", "bf16"] = Field(
        default="float32", description="of matrix products: fewer bits are faster where the device has them"
    )
    gradient_checkpointing: bool = Field(
        default=False, description="keep only the spikes of each layer and make the rest again for the gradient"
    )
    cuda_graphs: bool = Field(default=True, description="record a step once an epoch and replay it, on one NVIDIA GPU")
    threads: int | None = Field(
        default=None, ge=1, description="CPU threads, on which the last bits depend; default: PyTorch's choice"
    )

    @property
    def single_tap_share(self) -> float:
        """Share of the epochs, at the end, with single taps."""
        if self.sigma_schedule == "single-tap" and self.single_tap_epochs == 0:
            return SINGLE_TAP_SHARE
        return self.single_tap_epochs

    @field_validator("quantize")
    @classmethod
    def _a_chip(cls, name: str | None) -> str | None:
        if name is not None and name not in target_names():
            raise ValueError(f"choose one of {', '.join(target_names())}")
        return name

    @property
    def first_quantised_epoch(self) -> int:
        """The epoch (from 0) from which training goes through a chip's integers; `epochs` where it never does."""
        if self.quantize is None:
            return self.epochs
        return self.epochs - max(1, round(self.quantize_epochs * self.epochs))


class Recipe(_Section):
    """A whole run."""

    name: str = Field(default="run", min_length=1)
    seed: int = Field(default=0, ge=0, lt=2**31)
    protocol: Literal["honest", "paper"] = Field(
        default="honest", description="'honest': the best epoch is chosen on validation; 'paper': on test, as published"
    )
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    trainer: TrainerConfig = TrainerConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        kernel = self.model.max_delay + 1
        frames = self.data.n_steps
        if frames is not None and kernel > 64 * frames:
            raise ValueError(f"model.max_delay: {self.model.max_delay} steps dwarfs data.n_steps {frames}")
        self._consistent_structure()
        return self

    def _consistent_structure(self) -> None:
        model = self.model
        if model.dale and model.rewiring == "none":
            raise ValueError(
                "model.dale: true needs taps of fixed sign, which model.rewiring 'none' has not; "
                "choose 'deep-r', 'rigl' or 'rigl-signed'"
            )
        within = model.recurrent_synapses
        if model.recurrent and within.distinct_delays and within.kernel_count > within.kernel_size:
            raise ValueError(
                f"model.kernel_count: {within.kernel_count} fixed candidate delays a synapse are more than the "
                f"{within.kernel_size} that model.recurrent_max_delay {within.max_delay} has; choose at most that many"
            )
        if model.distinct_delays and model.kernel_count > model.kernel_size:
            raise ValueError(
                f"model.kernel_count: {model.kernel_count} fixed candidate delays a synapse are more than the "
                f"{model.kernel_size} that model.max_delay {model.max_delay} has; choose at most that many"
            )

    def to_toml(self) -> str:
        """The recipe with every default written out."""
        return tomli_w.dumps(_without_none(self.model_dump(mode="json")))

    def digest(self) -> str:
        """SHA-256 of the recipe's values."""
        return hashlib.sha256(json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()).hexdigest()


def preset_names() -> list[str]:
    """Recipes that come with delaytool."""
    return sorted(entry.name.removesuffix(".toml") for entry in PRESETS.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_path: str, overrides: Iterable[str] = ()) -> Recipe:
    """A preset's name or a TOML file, with `section.key=value` overrides, to a validated recipe.

    Raises RecipeError: one line that names the key, its value and what is possible.
    """
    values = _read(name_or_path, seen=())
    for override in overrides:
        _apply(values, override)
    return validated(values, name_or_path)


def validated(values: Mapping[str, Any], origin: str) -> Recipe:
    """Values as TOML gives them to a Recipe. Raises RecipeError."""
    try:
        return Recipe.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{origin}: {_told(error)}") from None


def recipe_of_run(text: str, origin: str) -> Recipe:
    """The recipe that a run folder's recipe.toml holds: TOML with every key written out. Raises RecipeError."""
    try:
        return validated(tomllib.loads(text), origin)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin}: not valid TOML ({error}); the run is damaged") from None


def _read(name_or_path: str, seen: tuple[str, ...]) -> dict[str, Any]:
    if name_or_path in preset_names():
        text = (PRESETS / f"{name_or_path}.toml").read_text()
    else:
        path = Path(name_or_path)
        if not path.is_file():
            raise RecipeError(f"recipe {name_or_path}: no such file or preset; presets are {', '.join(preset_names())}")
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"recipe {name_or_path}: cannot be read ({error}); give a TOML text file") from None
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"recipe {name_or_path}: not valid TOML ({error}); mend that line") from None
    base = values.pop("extends", None)
    if base is None:
        return values
    # A file is looked for beside the one that names it, then where the command runs.
    beside = Path(name_or_path).parent / str(base)
    found = str(beside) if base not in preset_names() and beside.is_file() else str(base)
    if found in seen:
        raise RecipeError(f"recipe {name_or_path}: extends {base!r}, which extends it in turn; break the circle")
    return _merged(_read(found, (*seen, name_or_path)), values)


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both else value
    return result


def _apply(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {override}: not of the form section.key=value, for example trainer.epochs=5")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text  # a bare word is a string, so that a shell needs no second pair of quotes
    *sections, last = key.strip().split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise RecipeError(f"--set {override}: {section} is a value, not a section")
    if text.strip() == "none":
        place.pop(last, None)
        _known(key.strip(), f"--set {override}")
    else:
        place[last] = value


def _known(key: str, origin: str) -> None:
    if key not in all_keys():
        raise RecipeError(f"{origin}: {_unknown(key)}")


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


def _unknown(key: str) -> str:
    keys = all_keys()
    near = difflib.get_close_matches(key, keys, n=1, cutoff=0.6)
    same_name = [known for known in keys if known.split(".")[-1] == key.split(".")[-1]]
    hints = same_name or near
    return f"{key}: unknown key; " + (f"did you mean {hints[0]}?" if hints else f"the keys are {', '.join(keys)}")


def _told(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return _unknown(key)
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if not key:
        return message
    if isinstance(first["input"], Mapping):  # keys of a section that do not go together
        return f"{key}: {message}"
    return f"{key}: value {first['input']!r} is not possible; {message}"


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value
