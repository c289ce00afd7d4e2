"""Mutation testing of the arithmetic: would the golden vectors and the random networks notice a slip in it?

Each mutant runs in a child that is forked before anything of the package is imported; there, a loader puts the changed
module in the place of the real one. Where numba compiles what was changed, it does so without optimizing and without
its cache, which would hold the unchanged kernels. A mutant is killed by a difference, an error, a crash or a hang.

Run in processes of their own, which write one JSON line for each mutant to standard output:

    python -m campaign.mutation plain all      mutants of Python's code
    python -m campaign.mutation compiled all   mutants of numba's and LLVM's, each of which is compiled: seconds each
"""

from __future__ import annotations

import ast
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"
if "compiled" in sys.argv[1:2]:
    os.environ["NUMBA_OPT"] = "0"

import h5py
import numpy as np
import torch
from campaign.children import Ended, in_child
from campaign.edge_cases import edge_cases
from campaign.generator import Frames, random_case
from campaign.mutants import Mutant, mutants
from campaign.simulator import Description, Simulation, simulate
from llvmlite.binding import get_host_cpu_features
from numba.core.dispatcher import Dispatcher

GOLDEN = Path(__file__).parents[1] / "golden"
RUNTIME = "delaytool.runtime"


@dataclass(frozen=True)
class Target:
    """Functions of a module, and the backends that run them."""

    module: str
    functions: tuple[str, ...]
    backends: tuple[str, ...]


# The arithmetic: what becomes of numbers, and how wide they are; not the bookkeeping around it.
TARGETS = {
    "reference": Target(f"{RUNTIME}.reference", ("decayed", "wrapped", "neuron_step", "run_sample"), ("reference",)),
    "event": Target(
        f"{RUNTIME}.engine.event_driven",
        ("pending_dtype", "_packed", "_keep", "_update", "_scatter"),
        ("engine event", "stream"),
    ),
    "batched": Target(
        f"{RUNTIME}.engine.bit_sliced",
        ("_two", "_eight", "_sum_words", "_spread", "_update"),
        ("engine batched",),
    ),
    "tables": Target(f"{RUNTIME}.engine.bit_sliced_tables", ("signed_digits", "sum_bits"), ("engine batched",)),
    "lanes": Target(
        f"{RUNTIME}.engine.lanes",
        (
            *("carry_bit", "carry_bit_of_complements", "sum_bit", "word_fill", "_with_plane_added", "sums_store"),
            *("lanes_load", "lanes_add", "lanes_add_scalar", "lanes_times_64", "_decayed"),
            *("lanes_decayed", "lanes_decayed_small", "lanes_wrapped", "lanes_clipped", "lanes_above"),
            *("lanes_cleared", "lanes_counted"),
        ),
        ("engine event", "engine batched"),
    ),
}

# These use AVX-512's one instruction for any function of three bits where there is one (`lanes._table`), plain
# operations elsewhere. A machine compiles one of the two: what survives is tried again without the instruction.
WITH_TABLES = ("carry_bit", "carry_bit_of_complements")
TABLE = "_table("

# Seeds of the generator that are tried on each mutant, besides those that kill no mutant but are drawn anyway.
SEEDS = range(24)


@dataclass(frozen=True)
class Case:
    description: Description
    frames: Frames
    runs: list[Simulation]


class _Replaced(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    """Loads one module from a changed syntax tree, in the place of its file."""

    def __init__(self, name: str, path: str, tree: ast.Module) -> None:
        super().__init__(name, path)
        self.tree = tree

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> Any:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> Any:
        return compile(self.tree, self.path, "exec", dont_inherit=True)


def source_path(module: str) -> Path:
    """Where a module of the package lies, without importing the package."""
    package = importlib.util.find_spec("delaytool")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")


def mutants_of(target: Target) -> list[Mutant]:
    """Those that this machine compiles: without AVX-512 it has no use for the tables of the instruction."""
    every = mutants(source_path(target.module).read_text(), target.functions)
    return [mutant for mutant in every if TABLE not in mutant.name or has_avx512()]


def has_avx512() -> bool:
    return bool(get_host_cpu_features().get("avx512f"))


def wide_case(n_samples: int, seed: int) -> tuple[Description, Frames]:
    """A small network with many samples: the batched method's words of 64 and more samples."""
    while True:
        description, frames = random_case(seed)
        synapses = sum(len(group.synapses) for layer in description.layers for group in layer.groups)
        if 3 <= description.n_steps <= 12 and frames[0] and 4 <= synapses <= 200:
            rest = random.Random(seed)
            made = [[[rest.choice([0, rest.randint(0, description.max_payload)]) for _ in range(description.n_channels)]
                     for _ in frames[0]] for _ in range(n_samples)]  # fmt: skip
            return description, made
        seed += 1


def cases() -> list[Case]:
    made = [random_case(seed) for seed in SEEDS] + [wide_case(40, 500), wide_case(70, 600), wide_case(130, 700)]
    made += edge_cases()
    return [
        Case(description, frames, [simulate(description, sample) for sample in frames]) for description, frames in made
    ]


def killed_by(target: Target, known: Sequence[Case]) -> str:
    """Run the backends on golden vectors and cases; what first differs, '' for nothing. To be called in a child."""
    from campaign import backends, package

    from delaytool.contract.network import IntegerNetwork
    from delaytool.errors import NetworkError
    from delaytool.runtime.trace import Trace

    for path in sorted(GOLDEN.glob("*.h5")):
        network = IntegerNetwork.load(path)
        with h5py.File(path) as file:
            frames = file["extensions/golden/frames"][()]
            layers = range(len(network.layers))
            spikes, u, v = (
                [file[f"extensions/golden/{name}/{index}"][()] for index in layers] for name in ("spikes", "u", "v")
            )
        want = backends.Outcome.of(Trace(tuple(spikes), tuple(u), tuple(v)))
        for name in target.backends:
            _, found = backends.differences(want, backends.IN_PROCESS[name](network, frames, 1))
            if found:
                return f"{path.name}: {found[0]}"
    for number, case in enumerate(known):
        try:
            network = package.network_of(case.description)
        except NetworkError:
            continue
        frames = package.frames_of(case.description, case.frames)
        want = backends.expected(network, frames, case.runs)
        names = target.backends if len(frames) < 10 else tuple(name for name in target.backends if name != "stream")
        more = ("engine digests",) if "engine batched" in names or "engine event" in names else ()
        for name in (*names, *more):
            seed = int("engine batched" in names) if name == "engine digests" else number
            _, found = backends.differences(want, backends.IN_PROCESS[name](network, frames, seed))
            if found:
                return f"case {number}: {name}: {found[0]}"
    return ""


def try_mutant(target: Target, mutant: Mutant | None, known: Sequence[Case], compiled: bool) -> tuple[str, str]:
    """('killed', by what) or ('survived', ''). mutant None: the module as it is."""
    outcome, why = _tried(target, mutant, known, compiled)
    if outcome == "survived" and has_avx512() and mutant is not None and mutant.function in WITH_TABLES:
        return _tried(target, mutant, known, compiled, without_tables=True)
    return outcome, why


def _tried(
    target: Target, mutant: Mutant | None, known: Sequence[Case], compiled: bool, without_tables: bool = False
) -> tuple[str, str]:
    def work() -> str:
        if compiled:
            Dispatcher.enable_caching = lambda self: None  # type: ignore[method-assign]
        assert not any(name.split(".")[0] == "delaytool" for name in sys.modules)
        if mutant is not None:
            sys.meta_path.insert(0, _Replaced(target.module, str(source_path(target.module)), mutant.tree))
        if without_tables:
            importlib.import_module(target.module)._table = lambda *ignored: None  # type: ignore[attr-defined]
        np.seterr(all="ignore")
        return killed_by(target, known)

    ended: Ended = in_child(work, seconds=1800, processor_seconds=150)
    if ended.signal:
        return "killed", f"signal {ended.signal}"
    if ended.hung:
        return "killed", "endless"
    if ended.error:
        return "killed", ended.error.strip().splitlines()[-1][:200]
    return ("killed", ended.answer) if ended.answer else ("survived", "")


def main(way: str, count: str = "all", seed: str = "0", part: str = "0/1", names: str = "") -> None:
    """Try the mutants of one way ('plain' or 'compiled'): all, or `count` drawn with `seed`; of them, part k/n.

    names   the targets, separated by commas; none: every one
    """
    compiled = way == "compiled"
    chosen = names.split(",") if names else list(TARGETS)
    every = [(name, mutant) for name in chosen for mutant in mutants_of(TARGETS[name]) if mutant.compiled == compiled]
    if count != "all":
        every = random.Random(int(seed)).sample(every, min(int(count), len(every)))
    number, parts = (int(text) for text in part.split("/"))
    every = every[number::parts]
    known = cases()
    torch.set_num_threads(1)  # imported here, so that no child has to
    for name in dict.fromkeys(name for name, _ in every):
        outcome, why = try_mutant(TARGETS[name], None, known, compiled)
        assert outcome == "survived", f"{name}: the unchanged module is killed: {why}"
    print(json.dumps({"total": len(every)}), flush=True)
    for name, mutant in every:
        outcome, why = try_mutant(TARGETS[name], mutant, known, compiled)
        line = {"target": name, "function": mutant.function, "mutant": mutant.name, "outcome": outcome, "why": why}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
