"""What operations cost on a chip: one TOML per chip, replaceable by one of the user's own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

from delaytool import toml
from delaytool.errors import TargetError

MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Energy:
    """Picojoules of one operation.

    neuron_access, neuron_update   per neuron and step: reading its state, and computing it
    spike_out                      a neuron fires
    synaptic_event_sparse, synaptic_event_dense   one synapse takes up a spike; of a list, of a matrix
    message_out                    one spike to one core
    hop_east_west, hop_north_south one message from a tile to its neighbor
    """

    neuron_access: float
    neuron_update: float
    spike_out: float
    synaptic_event_sparse: float
    synaptic_event_dense: float
    message_out: float
    hop_east_west: float
    hop_north_south: float


@dataclass(frozen=True)
class Time:
    """Nanoseconds of the same operations; synchronization_low, synchronization_high: of all cores, once per step."""

    neuron_access: float
    neuron_update: float
    spike_out: float
    synaptic_event_sparse: float
    synaptic_event_dense: float
    message_in: float
    message_out: float
    hop_east_west: float
    hop_north_south: float
    synchronization_low: float
    synchronization_high: float


@dataclass(frozen=True)
class Costs:
    """Constants of one chip. title stands beside every figure that is computed from them."""

    name: str
    title: str
    source: str
    energy_pj: Energy
    time_ns: Time


def costs_names() -> list[str]:
    """Chips whose constants come with delaytool."""
    entries = resources.files(__name__).iterdir()
    return sorted(entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml"))


def costs_from(name_or_path: str) -> Costs:
    """Constants by name, or from a TOML file of the user's own (its name ends in .toml).

    Raises TargetError, which names file, key and value.

    >>> costs_from("loihi1").energy_pj.message_out
    111.0
    """
    if not name_or_path.endswith(".toml"):
        if name_or_path not in costs_names():
            raise TargetError(
                f"costs {name_or_path!r} are unknown; choose one of {', '.join(costs_names())}, or give a .toml file"
            )
        text = (resources.files(__name__) / f"{name_or_path}.toml").read_text(encoding="utf-8")
    else:
        path = Path(name_or_path)
        try:
            if path.stat().st_size > MAX_BYTES:
                raise TargetError(f"{path}: over the limit of {MAX_BYTES:,} bytes; give a TOML file of constants")
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise TargetError(f"{path}: cannot be read ({error.strerror}); give a TOML file of constants") from None
        except UnicodeDecodeError as error:
            raise TargetError(f"{path}: not valid TOML ({error}); give a TOML file of constants") from None
    try:
        values = toml.loads(text)
    except (ValueError, RecursionError) as error:
        raise TargetError(f"{name_or_path}: not valid TOML ({error}); mend that line") from None
    return _costs(values, name_or_path)


def _costs(values: Mapping[str, Any], origin: str) -> Costs:
    known = {field.name for field in fields(Costs)}
    for key in values:
        if key not in known:
            raise TargetError(f"{origin}: {key!r} is no key of constants; known are {', '.join(sorted(known))}")
    for key in ("name", "title", "source"):
        if not isinstance(values.get(key), str) or not values[key].strip():
            raise TargetError(f"{origin}: {key} is missing or no text; give one in quotes")
    energy = _section(values.get("energy_pj"), "energy_pj", [field.name for field in fields(Energy)], origin)
    time = _section(values.get("time_ns"), "time_ns", [field.name for field in fields(Time)], origin)
    if time["synchronization_low"] > time["synchronization_high"]:
        raise TargetError(f"{origin}: time_ns.synchronization_low is above synchronization_high; exchange them")
    return Costs(values["name"], values["title"], values["source"], Energy(**energy), Time(**time))


def _section(values: Any, section: str, names: list[str], origin: str) -> dict[str, float]:
    if not isinstance(values, dict):
        raise TargetError(f"{origin}: [{section}] is missing; give {', '.join(names)}")
    for key in values:
        if key not in names:
            raise TargetError(f"{origin}: {section}.{key} is no constant; known are {', '.join(names)}")
    numbers = {}
    for name in names:
        value = values.get(name)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            raise TargetError(f"{origin}: {section}.{name} {value!r} is not a number of 0 or more")
        numbers[name] = float(value)
    return numbers
