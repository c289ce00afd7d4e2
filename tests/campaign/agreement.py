"""Random networks on every backend against the independent simulator, and what was compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from campaign import backends, package
from campaign.generator import random_case
from campaign.simulator import Simulation, simulate

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError, NetworkError

# What the contract says of a network that it refuses for its sums.
BEYOND_32_BITS = "32-bit accumulators"
# Without these the arithmetic's edges were not tried, whatever else was equal.
NEEDED_TRAITS = (
    "spikes",
    "arrived after the end",
    "u rounded toward zero from below",
    "v rounded toward zero from below",
    "u wrapped",
    "u exactly at +-2^23",
    "u beyond one wrap",
    "v clipped",
    "v exactly at the threshold",
)


@dataclass
class Agreement:
    """For each backend: networks compared, values compared, networks that it refuses; and what differed."""

    networks: Counter[str] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    traits: Counter[str] = field(default_factory=Counter)
    mismatches: list[str] = field(default_factory=list)
    refused_by_contract: int = 0

    def __iadd__(self, other: Agreement) -> Agreement:
        for name in ("networks", "values", "refused", "traits"):
            getattr(self, name).update(getattr(other, name))
        self.mismatches += other.mismatches
        self.refused_by_contract += other.refused_by_contract
        return self

    def missing(self, names: Iterable[str]) -> list[str]:
        """Backends that compared nothing."""
        return [name for name in names if not self.values[name]]

    def missing_traits(self) -> list[str]:
        return [trait for trait in NEEDED_TRAITS if not self.traits[trait]]


Case = tuple[IntegerNetwork, np.ndarray, backends.Outcome, Counter[str]]


def case_of(seed: int, for_lava: bool = False) -> Case | None:
    """A seed's network, frames and what the simulator makes of them; None where the contract refuses the network."""
    description, frames = random_case(seed, for_lava)
    try:
        network = package.network_of(description)
    except NetworkError as error:
        if BEYOND_32_BITS in str(error):
            return None
        raise AssertionError(f"seed {seed}: the generator made an impossible network: {error}") from error
    dtype = bool if description.values == "binary" and seed % 3 == 0 else (np.uint8, np.int64)[seed % 2]
    array = package.frames_of(description, frames, np.uint8 if for_lava else dtype)
    runs: list[Simulation] = [simulate(description, sample) for sample in frames]
    traits: Counter[str] = sum((run.traits for run in runs), Counter())
    return network, array, backends.expected(network, array, runs), traits


def agree(seeds: Iterable[int], names: Iterable[str], progress: Callable[[int], None] = lambda seed: None) -> Agreement:
    """Run the networks of the seeds on the in-process backends that are named."""
    result = Agreement()
    for seed in seeds:
        progress(seed)
        case = case_of(seed)
        if case is None:
            result.refused_by_contract += 1
            continue
        network, frames, want, traits = case
        result.traits += traits
        for name in names:
            try:
                got = backends.IN_PROCESS[name](network, frames, seed)
            except BackendError as error:
                if name != "torch" or "comes after it" not in str(error):
                    result.mismatches.append(f"seed {seed}: {name} refused the network: {error}")
                result.refused[name] += 1
                continue
            _note(result, name, seed, want, got)
    return result


def agree_in_lava(
    seeds: Iterable[int], variant: str, python: str, progress: Callable[[int], None] = lambda seed: None
) -> Agreement:
    """The same in Lava, a dozen networks to each start of it."""
    from delaytool.runtime.backends import lava

    result = Agreement()
    name = f"lava {variant}"
    waiting: list[tuple[int, Case]] = []

    def run() -> None:
        traces = lava.run_many([(case[0], case[1]) for _, case in waiting], variant=variant, python=python)
        for (seed, case), trace in zip(waiting, traces, strict=True):
            _note(result, name, seed, case[2], backends.Outcome.of(trace))
        waiting.clear()

    for seed in seeds:
        progress(seed)
        case = case_of(seed, for_lava=True)
        if case is None:
            result.refused_by_contract += 1
            continue
        result.traits += case[3]
        waiting.append((seed, case))
        if len(waiting) == 12:
            run()
    if waiting:
        run()
    return result


def _note(result: Agreement, name: str, seed: int, want: backends.Outcome, got: backends.Outcome) -> None:
    compared, found = backends.differences(want, got)
    result.networks[name] += 1
    result.values[name] += compared
    if found:
        result.mismatches.append(f"seed {seed}: {name}: {'; '.join(found[:3])}")
