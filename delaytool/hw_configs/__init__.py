"""What chips can hold: one TOML per chip, every limit with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from delaytool import toml
from delaytool.errors import ExportError, TargetError

MAX_BYTES = 1_000_000
MAX_LIMIT = (1 << 63) - 1
# Every core that a network takes of those that a chip has is laid out, so that there is a most.
MAX_CORES = 1 << 20


@dataclass(frozen=True)
class Limits:
    """A chip's limits; all integers.

    weight_min, weight_max, weight_step   weights are multiples of weight_step between the two, shifted left by an
                                          exponent of 0..weight_exponent_max
    weight_bits, delay_bits               memory that one synapse takes
    delay_max                             steps
    decay_max, membrane_decay_max, threshold_max, bias_mantissa_min, bias_mantissa_max, bias_exponent_min,
    bias_exponent_max                     of a neuron: of du, of dv, ...
    payload_max                           largest value of a graded spike
    neurons_per_core, cores, synapse_bytes_per_core   of the chip
    taps_per_synapse_max                  synapses from one neuron to another; None: not limited
    groups_per_layer_max                  groups of synapses that reach a layer, recurrence is one; None: not limited
    """

    weight_min: int
    weight_max: int
    weight_step: int
    weight_exponent_max: int
    weight_bits: int
    delay_max: int
    delay_bits: int
    decay_max: int
    membrane_decay_max: int
    threshold_max: int
    bias_mantissa_min: int
    bias_mantissa_max: int
    bias_exponent_min: int
    bias_exponent_max: int
    payload_max: int
    neurons_per_core: int
    cores: int
    synapse_bytes_per_core: int
    taps_per_synapse_max: int | None = None
    groups_per_layer_max: int | None = None

    def first_narrower(self, other: Limits) -> str | None:
        """A limit of a layer's numbers that is narrower here, so that integers for `other` may not be possible here."""
        for name in NUMBERS_OF_A_LAYER:
            own, others = getattr(self, name), getattr(other, name)
            if own > others if name.endswith("_min") else own < others:
                return name
        return "weight_step" if other.weight_step % self.weight_step else None


# What the integers of a layer must keep, but for the step of weights.
NUMBERS_OF_A_LAYER = (
    "weight_min", "weight_max", "weight_exponent_max", "decay_max", "membrane_decay_max", "threshold_max",
    "bias_mantissa_min", "bias_mantissa_max", "bias_exponent_min", "bias_exponent_max",
)  # fmt: skip
# Limits that a chip's file may leave out.
OPTIONAL_LIMITS = tuple(field.name for field in fields(Limits) if field.default is None)


@dataclass(frozen=True)
class Axons:
    """Axons of one core. is_own: whether the figures are this chip's, so that exceeding them is an error.

    inward    source neurons that reach a core; outward: (neuron, core) pairs that a core's neurons reach
    """

    inward: int
    outward: int
    is_own: bool
    source: str


@dataclass(frozen=True)
class Mesh:
    """Tiles of cores on a grid, between which spikes hop east-west and north-south."""

    columns: int
    rows: int
    cores_per_tile: int
    source: str

    @property
    def slots(self) -> int:
        """Cores that have a place."""
        return self.columns * self.rows * self.cores_per_tile


@dataclass(frozen=True)
class Target:
    """A chip by name, its limits, and where each limit comes from.

    axons, mesh   None: nothing is known of them
    costs         name of the constants of energy and time (`hw_configs.costs`), or '' for none
    """

    name: str
    title: str
    limits: Limits
    sources: dict[str, str]
    axons: Axons | None = None
    mesh: Mesh | None = None
    costs: str = ""


def target_names() -> list[str]:
    """The chips that can be exported for."""
    entries = resources.files(__name__).iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml"))


@cache
def load_target(name: str) -> Target:
    """A chip by name. Raises ExportError for an unknown one."""
    if name not in target_names():
        raise ExportError(f"target {name!r} is unknown; choose one of {', '.join(target_names())}")
    return _target(_read(name), name)


def target_from(name_or_path: str) -> Target:
    """A chip by name, or by a TOML file of the user's own (its name ends in .toml), which may extend a named chip.

    For what the user gives, never for what a network file names. Raises ExportError for an unknown name, TargetError,
    which names file, key and value, for a file that does not describe a chip.
    """
    if not name_or_path.endswith(".toml"):
        if name_or_path not in target_names():
            raise ExportError(
                f"target {name_or_path!r} is unknown; choose one of {', '.join(target_names())}, or give a .toml file"
            )
        return load_target(name_or_path)
    path = Path(name_or_path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise TargetError(f"{path}: over the limit of {MAX_BYTES:,} bytes; give a chip's TOML file")
        values = toml.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TargetError(
            f"{path}: no such file; give a chip's TOML file, or one of {', '.join(target_names())}"
        ) from None
    except OSError as error:
        raise TargetError(f"{path}: cannot be read ({error.strerror}); give a chip's TOML file") from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise TargetError(f"{path}: not valid TOML ({error}); mend that line") from None
    base: dict[str, Any] = {}
    if "extends" in values:
        if values["extends"] not in target_names():
            raise TargetError(
                f"{path}: extends {values['extends']!r} is no chip; choose one of {', '.join(target_names())}"
            )
        base = {key: value for key, value in _read(values["extends"]).items() if key not in ("name", "title")}
    target = _target(_extended(base, values, str(path)), str(path))
    if target.name in target_names():
        raise TargetError(f"{path}: name {target.name!r} is that of one of delaytool's chips; give it another")
    return target


def _read(name: str) -> dict[str, Any]:
    """A chip's file; where it extends another, that one's limits come first."""
    values = toml.loads((resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8"))
    return _extended(_read(values["extends"]), values, name) if "extends" in values else values


def _extended(base: dict[str, Any], values: dict[str, Any], origin: str) -> dict[str, Any]:
    merged = {**base, **{key: value for key, value in values.items() if key != "extends"}}
    limits = values.get("limits", {})
    if not isinstance(limits, dict):
        raise TargetError(f"{origin}: limits is no section; write [limits]")
    if "decay_max" in limits:  # of both decays, where the file gives dv none of its own
        limits = {"membrane_decay_max": limits["decay_max"], **limits}
    merged["limits"] = {**base.get("limits", {}), **limits}
    return merged


_SECTIONS = {"name", "title", "limits", "axons", "mesh", "costs"}


def _target(values: Mapping[str, Any], origin: str) -> Target:
    """A chip from its file's values, every one checked."""
    unknown = sorted(set(values) - _SECTIONS)
    if unknown:
        raise TargetError(f"{origin}: {unknown[0]!r} is no key of a chip; known are {', '.join(sorted(_SECTIONS))}")
    for key in ("name", "title"):
        if not isinstance(values.get(key), str) or not values[key].strip():
            raise TargetError(f"{origin}: {key} is missing or no text; give one in quotes")
    if not isinstance(values.get("costs", ""), str):
        raise TargetError(f"{origin}: costs {values['costs']!r} is no text; name the constants in quotes")
    limits = values.get("limits", {})
    names = [field.name for field in fields(Limits)]
    for name in limits:
        if name not in names:
            raise TargetError(f"{origin}: limits.{name} is no limit; known are {', '.join(names)}")
    given = [name for name in names if name in limits or name not in OPTIONAL_LIMITS]
    for name in given:
        if name not in limits:
            raise TargetError(f'{origin}: limits.{name} is missing; give it, or extends = "loihi2" for the rest')
        entry = limits[name]
        if not isinstance(entry, dict) or set(entry) != {"value", "source"}:
            raise TargetError(f'{origin}: limits.{name} is not of the form {{ value = 1, source = "…" }}')
    numbers = {
        name: _integer(
            origin, f"limits.{name}", limits[name]["value"], _lowest(name), MAX_CORES if name == "cores" else MAX_LIMIT
        )
        for name in given
    }
    made = Limits(**numbers)
    for low, high in (
        ("weight_min", "weight_max"), ("bias_mantissa_min", "bias_mantissa_max"),
        ("bias_exponent_min", "bias_exponent_max"),
    ):  # fmt: skip
        if numbers[low] > numbers[high]:
            raise TargetError(f"{origin}: limits.{low} {numbers[low]} is above limits.{high} {numbers[high]}")
    return Target(
        name=values["name"],
        title=values["title"],
        limits=made,
        sources={name: str(limits[name]["source"]) for name in given},
        axons=_axons(values.get("axons"), origin),
        mesh=_mesh(values.get("mesh"), origin),
        costs=values.get("costs", ""),
    )


def _lowest(limit: str) -> int:
    """The least that a limit can be and still describe a chip."""
    if limit in ("weight_min", "weight_max", "bias_mantissa_min", "bias_mantissa_max"):
        return -MAX_LIMIT
    is_size = limit in (
        "weight_step", "weight_bits", "payload_max", "neurons_per_core", "cores", "synapse_bytes_per_core",
        *OPTIONAL_LIMITS,
    )  # fmt: skip
    return 1 if is_size else 0


def _integer(origin: str, key: str, value: Any, lowest: int, highest: int = MAX_LIMIT) -> int:
    if type(value) is not int or not lowest <= value <= highest:
        most = "or more" if highest == MAX_LIMIT else f"to {highest:,}"
        raise TargetError(f"{origin}: {key} {value!r} is not a whole number of {lowest} {most}")
    return value


def _section(origin: str, key: str, value: Any, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != names:
        raise TargetError(f"{origin}: [{key}] must have exactly the keys {', '.join(sorted(names))}")
    if not isinstance(value["source"], str) or not value["source"].strip():
        raise TargetError(f"{origin}: {key}.source is no text; give the source of the figures")
    return value


def _axons(value: Any, origin: str) -> Axons | None:
    if value is None:
        return None
    given = _section(origin, "axons", value, {"in", "out", "is_own", "source"})
    if type(given["is_own"]) is not bool:
        raise TargetError(f"{origin}: axons.is_own {given['is_own']!r} is not true or false")
    inward, outward = (_integer(origin, f"axons.{key}", given[key], 1) for key in ("in", "out"))
    return Axons(inward, outward, given["is_own"], given["source"])


def _mesh(value: Any, origin: str) -> Mesh | None:
    if value is None:
        return None
    names = ("columns", "rows", "cores_per_tile")
    given = _section(origin, "mesh", value, {*names, "source"})
    columns, rows, cores_per_tile = (_integer(origin, f"mesh.{name}", given[name], 1) for name in names)
    return Mesh(columns, rows, cores_per_tile, given["source"])
