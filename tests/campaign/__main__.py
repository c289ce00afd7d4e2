"""The campaign: everything that is promised about right answers and damaged input, tried at length. `make campaign`.

    python tests/campaign                          the full counts (about two hours on two free cores)
    python tests/campaign --quick                  two minutes of it
    python tests/campaign --only damaged --kind netx --seed 17 --damaged 1      one case again

It ends with one table: for each part how much was tried, what went wrong, and how long it took. Exit code 1 where
anything went wrong, or where a part compared nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# What the campaign and its children import: the modules beside this folder, and the package of this checkout.
SEARCHED = [str(HERE.parent), str(HERE.parents[1])]


@dataclass(frozen=True)
class Counts:
    """How much of each part; None: the part is left out."""

    networks: int | None = 10_000
    lava: int | None = 100
    edges: int | None = 400
    bounds: int | None = 300
    damaged: int | None = 10_000
    crashes: int | None = 240
    disks: int | None = 7
    mutants: int = 100_000  # all


# Two minutes on two free cores. Crashes and edges are in the ordinary tests too.
QUICK = Counts(networks=150, lava=4, edges=10, bounds=None, damaged=250, crashes=None, disks=1, mutants=6)


@dataclass
class Part:
    """One line of the table. A count of 0 is a failure, unless `skipped` says why the part cannot be tried here."""

    name: str
    unit: str
    count: int = 0
    mismatches: int = 0
    tracebacks: int = 0
    hangs: int = 0
    wrong_loads: int = 0
    seconds: float = 0.0
    lines: list[str] = field(default_factory=list)
    skipped: str = ""

    @property
    def failed(self) -> bool:
        return not self.skipped and (self.count == 0 or self.faults > 0)

    @property
    def faults(self) -> int:
        return self.mismatches + self.tracebacks + self.hangs + self.wrong_loads


class Progress:
    """A line on standard error now and then: how many, at what."""

    def __init__(self, name: str) -> None:
        self.name, self.count, self.last = name, 0, time.monotonic()

    def __call__(self, at: object = "") -> None:
        self.count += 1
        if time.monotonic() - self.last > 10:
            self.last = time.monotonic()
            print(f"  {self.name}: {self.count} ({at})", file=sys.stderr, flush=True)


def networks_part(count: int, seed: int) -> Part:
    """Random networks on every in-process backend, until `count` were compared."""
    from campaign import agreement, backends
    from campaign.warm import import_everything

    import_everything()
    part = Part("random networks, in process", "networks")
    result, at = agreement.Agreement(), seed
    progress = Progress(part.name)
    while result.networks["reference"] < count:
        result += agreement.agree([at], backends.IN_PROCESS, progress)
        at += 1
    part.count = result.networks["reference"]
    _report_agreement(
        part, result, f"seeds {seed}..{at - 1}", list(backends.IN_PROCESS), "--only networks --networks 1"
    )
    if count >= 1000:  # fewer need not meet every trait
        part.mismatches += len(result.missing_traits())
        part.lines += [f"never met: {trait}" for trait in result.missing_traits()]
    return part


def lava_part(count: int, seed: int) -> Part:
    """The same in stock Lava, and a tenth as many with cached matrices."""
    from campaign import agreement

    from delaytool.errors import BackendError
    from delaytool.runtime.backends.lava import find_python

    part = Part("random networks, Lava", "networks")
    try:
        python = find_python()
    except BackendError as error:
        part.skipped = str(error)
        return part
    progress = Progress(part.name)
    result = agreement.agree_in_lava(range(seed, seed + count), "stock", python, progress)
    result += agreement.agree_in_lava(range(seed, seed + max(2, count // 10)), "cached", python, progress)
    part.count = sum(result.networks.values())
    _report_agreement(part, result, f"seeds from {seed}", ["lava stock", "lava cached"], "--only lava --lava 1")
    return part


def _report_agreement(part: Part, result: Any, seeds: str, names: list[str], again: str) -> None:
    for name in names:
        refused = f", {result.refused[name]} that it cannot run" if result.refused[name] else ""
        part.lines.append(f"{name}: {result.networks[name]} networks, {result.values[name]} values compared{refused}")
    traits = ", ".join(f"{name} {number}" for name, number in sorted(result.traits.items()))
    part.lines.append(f"{seeds}; {result.refused_by_contract} networks refused by the contract; met: {traits}")
    part.lines += [f"{line}; again: {again} --seed {line.split(':')[0].split()[1]}" for line in result.mismatches[:20]]
    missing = result.missing(names)
    part.lines += [f"nothing was compared on {name}" for name in missing]
    part.mismatches += len(result.mismatches) + len(missing)


def edges_part(count: int, seed: int) -> Part:
    """Hypothesis at the contract's edges: `count` examples of each property."""
    part = Part("edges (Hypothesis)", "examples")
    environment = {**_environment(), "CAMPAIGN_EXAMPLES": str(count)}
    command = [sys.executable, "-m", "pytest", "-q", str(HERE / "test_edges.py"), "--hypothesis-show-statistics",
               f"--hypothesis-seed={seed}", "-p", "no:cacheprovider"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=HERE.parents[1])
    # 'N passing examples' or 'N passing, ... test cases', by the version of Hypothesis.
    part.count = sum(map(int, re.findall(r"(\d+) passing\b", done.stdout)))
    if done.returncode:
        part.mismatches += 1
        part.lines += done.stdout.splitlines()[-40:]
    return part


def bounds_part(count: int, seed: int) -> Part:
    """Random networks in a process whose numba checks every index."""
    part = Part("NUMBA_BOUNDSCHECK=1", "networks")
    with tempfile.TemporaryDirectory() as cache:  # the usual cache holds kernels without checks
        environment = {**_environment(), "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": cache}
        command = [
            sys.executable,
            str(HERE),
            "--only",
            "networks",
            "--networks",
            str(count),
            "--seed",
            str(seed),
            "--json",
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode not in (0, 1) or not done.stdout.strip():
        part.tracebacks += 1
        part.lines.append(f"ended with exit code {done.returncode}")
        return part
    values = json.loads(done.stdout.strip().splitlines()[-1])[0]
    part.count, part.mismatches = values["count"], values["mismatches"]
    part.lines += [line for line in values["lines"] if "again:" in line]
    return part


def damaged_part(count: int, seed: int, keep: Path, kind: str | None) -> Part:
    """Damaged files of every kind."""
    from campaign import damaged_files

    part = Part("damaged files", "files")
    tally = damaged_files.run(count, seed, keep, [kind] if kind else None, Progress(part.name))
    again = "--only damaged --damaged 1 --kind '{kind}' --seed {seed}"
    _report_tally(part, tally, again)
    if tally.findings:
        part.lines.append(f"the damaged files are in {keep}")
    return part


def crashes_part(count: int, seed: int) -> Part:
    """Commands killed and interrupted wherever they change something."""
    from campaign import crashes

    part = Part("crashes and Ctrl-C", "crashes")
    _report_tally(part, crashes.run_crashes(count, seed, Progress(part.name)), f"--only crashes --seed {seed}")
    return part


def disks_part(fillings: int, seed: int) -> Part:
    """Commands on full, read-only and impossible disks."""
    from campaign import crashes

    part = Part("full and read-only disks", "commands")
    tally = crashes.run_disks(fillings, Progress(part.name))
    if tally is None:
        part.skipped = "no file system can be mounted here"
        return part
    _report_tally(part, tally, "--only disks")
    return part


def _report_tally(part: Part, tally: Any, again: str) -> None:
    from campaign.damaged_files import BOMB, CRASH, HANG, TRACEBACK, WRONG_LOAD

    outcomes: dict[str, Counter[str]] = {}
    for (kind, outcome), number in tally.counts.items():
        outcomes.setdefault(kind, Counter())[outcome] += number
    for kind, numbers in outcomes.items():
        part.lines.append(f"{kind}: " + ", ".join(f"{number} {outcome}" for outcome, number in numbers.most_common()))
    part.count = tally.total()
    for finding in tally.findings:
        if finding.outcome in (TRACEBACK, CRASH):
            part.tracebacks += 1
        elif finding.outcome in (HANG, BOMB):
            part.hangs += 1
        elif finding.outcome == WRONG_LOAD:
            part.wrong_loads += 1
        else:
            part.mismatches += 1
    shown: Counter[tuple[str, str]] = Counter()
    for finding in tally.findings:
        shown[finding.kind, finding.outcome] += 1
        if shown[finding.kind, finding.outcome] <= 5:
            where = again.format(kind=finding.kind, seed=finding.seed)
            part.lines.append(f"{finding.outcome}: {finding.kind}: {finding.damage}: {finding.detail}; again: {where}")


def mutants_part(count: int, seed: int, jobs: int) -> Part:
    """Mutants of the arithmetic; those that survive and are not listed as equivalent are mismatches."""
    from campaign.equivalents import Equivalents

    part = Part("mutants of the arithmetic", "mutants")
    every = count >= FULL.mutants
    found: list[dict[str, str]] = []
    progress = Progress(part.name)
    for way in ("plain", "compiled"):
        # Compiling takes seconds each: where only some are drawn, fewer of those.
        some = "all" if every else str(max(1, count if way == "plain" else count // 3))
        commands = [
            [sys.executable, "-m", "campaign.mutation", way, some, str(seed), f"{job}/{jobs}"] for job in range(jobs)
        ]
        with ThreadPoolExecutor(jobs) as pool:
            for lines, code in pool.map(lambda command: _mutants_of(command, progress), commands):
                found += lines
                if code:
                    part.tracebacks += 1
                    part.lines.append(f"the process that tries {way} mutants ended with exit code {code}")
    equivalents = Equivalents.read()
    survivors = [one for one in found if one["outcome"] == "survived"]
    real = [one for one in survivors if not equivalents.reason(one["target"], one["function"], one["mutant"])]
    part.count, part.mismatches = len(found), len(real)
    tried = len(found) - len(survivors) + len(real)
    part.lines.append(
        f"score: {tried - len(real)} of {tried} killed ({100 * (tried - len(real)) / max(1, tried):.1f} %); "
        f"{len(survivors) - len(real)} more are equivalent, for the reasons in equivalent_mutants.toml"
    )
    part.lines += [f"survived: {one['target']}, {one['function']}: {one['mutant']}" for one in real[:60]]
    if every:
        part.lines += [f"listed as equivalent, but no such mutant survived: {name}" for name in equivalents.unused()]
    return part


def _mutants_of(command: list[str], progress: Progress) -> tuple[list[dict[str, str]], int]:
    found = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment()) as process:
        assert process.stdout is not None
        for line in process.stdout:
            values = json.loads(line)
            if "mutant" in values:
                found.append(values)
                progress(values["target"])
    return found, process.returncode


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(SEARCHED), "OMP_NUM_THREADS": "1"}


FULL = Counts()


def parts_of(counts: Counts, options: argparse.Namespace) -> list[tuple[str, str, Callable[[], Part]]]:
    """(key, what it is, how it is run) of the parts that are asked for, in order."""
    seed = options.seed
    every: list[tuple[str, Any, Callable[[Any], Part]]] = [
        ("networks", counts.networks, lambda count: networks_part(count, seed)),
        ("lava", counts.lava, lambda count: lava_part(count, seed)),
        ("edges", counts.edges, lambda count: edges_part(count, seed)),
        ("bounds", counts.bounds, lambda count: bounds_part(count, seed)),
        ("damaged", counts.damaged, lambda count: damaged_part(count, seed, options.keep, options.kind)),
        ("crashes", counts.crashes, lambda count: crashes_part(count, seed)),
        ("disks", counts.disks, lambda count: disks_part(count, seed)),
        ("mutants", counts.mutants, lambda count: mutants_part(count, seed, options.jobs)),
    ]
    return [
        (key, f"{count}", lambda run=run, count=count: run(count))  # type: ignore[misc]
        for key, count, run in every
        if count is not None and (not options.only or key in options.only)
    ]


def arguments_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(vars(FULL))
    parser.add_argument("--quick", action="store_true", help="two minutes of it")
    parser.add_argument("--only", action="append", choices=names, help="this part; may be given several times")
    parser.add_argument("--seed", type=int, default=0, help="the first seed; another one tries other cases")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that try mutants")
    parser.add_argument("--kind", help="of damaged files: this kind alone")
    parser.add_argument(
        "--keep", type=Path, default=Path("campaign-findings"), help="folder for files that found a fault"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    for name in names:
        parser.add_argument(f"--{name}", type=int, help=f"how much; default {getattr(FULL, name)}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    options = arguments_of(arguments)
    counts = QUICK if options.quick else FULL
    given = {name: getattr(options, name) for name in vars(FULL) if getattr(options, name) is not None}
    counts = replace(counts, **given)
    parts = []
    for key, count, run in parts_of(counts, options):
        print(f"{key}: {count}", file=sys.stderr, flush=True)
        start = time.monotonic()
        part = run()
        part.seconds = time.monotonic() - start
        parts.append(part)
        for line in () if options.json else part.lines:
            print(f"  {line}", flush=True)
    if options.json:
        print(json.dumps([vars(part) for part in parts]))
    else:
        print(table(parts))
    return int(not parts or any(part.failed for part in parts))


def table(parts: Sequence[Part]) -> str:
    """One line each: how much was tried, what went wrong, how long it took, and whether it passed."""
    heads = ("part", "tried", "mismatches", "tracebacks", "hangs", "wrong loads", "minutes", "")
    rows = [heads]
    for part in parts:
        result = f"skipped: {part.skipped}" if part.skipped else "FAIL" if part.failed else "pass"
        if not part.skipped and not part.count:
            result = "FAIL: nothing was compared"
        numbers = (part.mismatches, part.tracebacks, part.hangs, part.wrong_loads)
        rows.append((part.name, f"{part.count} {part.unit}", *map(str, numbers), f"{part.seconds / 60:.1f}", result))
    widths = [max(len(row[column]) for row in rows) for column in range(len(heads))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [
            cell.rjust(width) for cell, width in zip(row[1:7], widths[1:7], strict=True)
        ]
        lines.append("  ".join([*cells, row[7]]).rstrip())
    return "\n".join(["", *lines])


if __name__ == "__main__":
    sys.path[:0] = [folder for folder in SEARCHED if folder not in sys.path]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
