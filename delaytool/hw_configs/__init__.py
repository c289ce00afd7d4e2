"""What chips can hold: one TOML a chip, every limit with its source."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Any

from delaytool.errors import ExportError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class Limits:
    """A chip's limits; all integers.

    weight_min, weight_max, weight_step   weights are multiples of weight_step between the two, shifted left by an
                                          exponent of 0..weight_exponent_max
    weight_bits, delay_bits               memory that one synapse takes
    delay_max                             steps
    decay_max, threshold_max, bias_mantissa_min, bias_mantissa_max, bias_exponent_min, bias_exponent_max   of a neuron
    payload_max                           largest value of a graded spike
    neurons_per_core, cores, synapse_bytes_per_core   of the chip
    """

    weight_min: int
    weight_max: int
    weight_step: int
    weight_exponent_max: int
    weight_bits: int
    delay_max: int
    delay_bits: int
    decay_max: int
    threshold_max: int
    bias_mantissa_min: int
    bias_mantissa_max: int
    bias_exponent_min: int
    bias_exponent_max: int
    payload_max: int
    neurons_per_core: int
    cores: int
    synapse_bytes_per_core: int


@dataclass(frozen=True)
class Target:
    """A chip by name, its limits, and where each limit comes from."""

    name: str
    title: str
    limits: Limits
    sources: dict[str, str]


def target_names() -> list[str]:
    """The chips that can be exported for."""
    entries = resources.files(__name__).iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml"))


@cache
def load_target(name: str) -> Target:
    """A chip by name. Raises ExportError for an unknown one."""
    if name not in target_names():
        raise ExportError(f"target {name!r} is unknown; choose one of {', '.join(target_names())}")
    values = _read(name)
    limits = values["limits"]
    return Target(
        name=values["name"],
        title=values["title"],
        limits=Limits(**{field.name: int(limits[field.name]["value"]) for field in fields(Limits)}),
        sources={field.name: str(limits[field.name]["source"]) for field in fields(Limits)},
    )


def _read(name: str) -> dict[str, Any]:
    """A chip's file; where it extends another, that one's limits come first."""
    values = tomllib.loads((resources.files(__name__) / f"{name}.toml").read_text())
    if "extends" in values:
        values["limits"] = _read(values["extends"])["limits"] | values["limits"]
    return values
