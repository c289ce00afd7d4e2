"""Commands killed at any step at which they change something on disk, on full disks and on read-only ones.

Python reports every opening for writing, renaming and removal before it happens, whoever asks for it. In a child that
runs a command, the n-th of these ends the process as a power cut would (SIGKILL), or raises what Ctrl-C raises. What
must hold afterwards: a file that is there is whole, and the same command, given again, ends as if nothing had happened.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from campaign.children import Ended, in_child
from campaign.damaged_files import (
    BOMB,
    CRASH,
    ESCAPES,
    FAULTS,
    HANG,
    MUTE,
    REFUSED,
    RIGHT,
    TRACEBACK,
    Finding,
    Tally,
    base_files,
)
from campaign.kinds import command, digest_of_network
from campaign.warm import import_everything

from delaytool.contract.network import IntegerNetwork
from delaytool.trainer.checkpoint import Checkpoint

BROKEN = "broken afterwards"
LEFT = "half-written file left"
CHANGES = ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "os.rmdir")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
TINY = (
    *("--set", "model.hidden=[6]", "--set", "trainer.epochs=2", "--set", "model.max_delay=6"),
    *("--set", "trainer.threads=1", "--set", "data.validation_fraction=0.5"),
)


@dataclass(frozen=True)
class Scenario:
    """A command, what it starts from, what its result is, and how a user goes on after a crash.

    prepare   (base, folder): what lies in the folder before
    result    () -> a JSON value that says what came out, in the folder
    again     how to go on: exit code of the last command given
    """

    name: str
    arguments: tuple[str, ...]
    prepare: Callable[[Path, Path], None]
    result: Callable[[], Any]
    again: Callable[[], int]
    outputs: tuple[str, ...]


def _nothing(base: Path, folder: Path) -> None:
    pass


def _run_there(base: Path, folder: Path) -> None:
    shutil.copytree(base / "run", folder / "run")


def _older_output(base: Path, folder: Path) -> None:
    """An export that overwrites an older one, which must stay whole until the new one is."""
    _run_there(base, folder)
    shutil.copy(folder / "run" / "netx.h5", folder / "out.h5")


def _trained() -> Any:
    checkpoint = Checkpoint.load("out/best.pt")
    parts = [part.double().sum().item() for part in checkpoint.network().state_dict().values()]
    return [checkpoint.epoch, parts, json.loads(Path("out/summary.json").read_text())["test_accuracy_rounded"]]


TRAIN = ("train", "digits", "-o", "out", *TINY)
EXPORT = ("export", "run", "-o", "out.h5", "--calibration-samples", "16")
VERIFY = ("verify", "run/network-loihi2.h5", "--samples", "2", "--no-drop", "--json")
REPORT = ("report", "run", "-o", "page.html", "--samples", "2")
IMPORT = ("import", "run/netx.net", "-o", "back.h5")
SWEEP = ("sweep", "digits", "--over", "seed=0,1", "-o", "out", *TINY)


def _train_again() -> int:
    code = command(*TRAIN)
    return command("train", "--resume", "out") if code == 2 else code


def _swept() -> Any:
    with Path("out/runs.csv").open() as file:
        return sorted(
            [value for key, value in row.items() if "accuracy" in key or key == "seed"] for row in csv.DictReader(file)
        )


def _scenario(name: str, arguments: tuple[str, ...], prepare: Callable[[Path, Path], None], network: str) -> Scenario:
    """A command whose result is a network file, and which is simply given again."""
    outputs = tuple(argument for flag, argument in pairwise(arguments) if flag == "-o")
    result = lambda: digest_of_network(IntegerNetwork.load(network))  # noqa: E731
    return Scenario(name, arguments, prepare, result, lambda: command(*arguments), outputs)


def _page_ends() -> bool:
    return Path("page.html").read_text().rstrip().endswith("</html>")


SCENARIOS = (
    Scenario("train", TRAIN, _nothing, _trained, _train_again, ("out",)),
    _scenario("export", EXPORT, _older_output, "out.h5"),
    _scenario("verify", VERIFY, _run_there, "run/network-loihi2.h5"),
    _scenario("import", IMPORT, _run_there, "back.h5"),
    Scenario("report", REPORT, _run_there, _page_ends, lambda: command(*REPORT), ("page.html",)),
    Scenario("sweep", SWEEP, _nothing, _swept, lambda: command(*SWEEP), ("out",)),
)


class Trigger:
    """Counts this process's changes within a folder; at the n-th it strikes."""

    def __init__(self, folder: Path, at: int | None, strike: Callable[[], None]) -> None:
        self.folder, self.at, self.strike, self.count = str(folder), at, strike, 0
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in CHANGES or (event == "open" and not (isinstance(arguments[2], int) and arguments[2] & WRITING)):
            return
        where = str(arguments[0])
        if not (where.startswith(self.folder) or (not where.startswith("/") and os.getcwd().startswith(self.folder))):
            return
        self.count += 1
        if self.count == self.at:
            self.strike()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _interrupt() -> None:
    raise KeyboardInterrupt


def run_crashes(count: int, seed: int = 0, progress: Callable[[str], None] = lambda text: None) -> Tally:
    """`count` crashes, shared out evenly over the commands; half of them kills, half interruptions."""
    tally = Tally()
    import_everything()
    with base_files() as base:
        for scenario in SCENARIOS:
            want, steps = _undisturbed(base, scenario)
            draw = random.Random(f"{scenario.name} {seed}")
            chosen = draw.sample(range(1, steps + 1), min(steps, max(1, count // (2 * len(SCENARIOS)))))
            for at in sorted(chosen):
                for strike, label in ((_kill, "killed"), (_interrupt, "interrupted")):
                    progress(scenario.name)
                    outcome, detail = _one_crash(base, scenario, at, strike, want)
                    _note(
                        tally,
                        Finding(f"crash: {scenario.name}", at, f"{label} at change {at} of {steps}", outcome, detail),
                    )
    return tally


def _undisturbed(base: Path, scenario: Scenario) -> tuple[Any, int]:
    """The right result, and the number of changes that the command makes."""
    with tempfile.TemporaryDirectory(prefix="crash-", dir=base) as name:

        def work() -> Any:
            os.chdir(name)
            trigger = Trigger(Path(name), None, _kill)
            code = command(*scenario.arguments)
            count = trigger.count
            return [code, scenario.result(), count]

        scenario.prepare(base, Path(name))
        ended = in_child(work, scratch=base, seconds=600, processor_seconds=300)
    assert ended.answer is not None, f"{scenario.name}, undisturbed: {ended.error}{ended.output}"
    code, result, count = ended.answer
    assert code == 0, f"{scenario.name}, undisturbed: exit code {code}: {ended.output}"
    return result, count


def _one_crash(base: Path, scenario: Scenario, at: int, strike: Callable[[], None], want: Any) -> tuple[str, str]:
    with tempfile.TemporaryDirectory(prefix="crash-", dir=base) as name:
        folder = Path(name)

        def crash() -> Any:
            os.chdir(folder)
            Trigger(folder, at, strike)
            return command(*scenario.arguments)

        def go_on() -> Any:
            os.chdir(folder)
            code = scenario.again()
            return [code, scenario.result() if code == 0 else None]

        scenario.prepare(base, folder)
        before = {path for path in folder.rglob("*")}
        ended = in_child(crash, scratch=base, seconds=300, processor_seconds=120)
        if strike is _interrupt:
            if ended.error or "Traceback" in ended.output:
                return TRACEBACK, _last(ended)
            if ended.answer not in (130, 0):  # 0: what was interrupted did not matter for the result
                return MUTE, f"exit code {ended.answer} after Ctrl-C, not 130: {_last(ended)}"
            hidden = [path.name for path in set(folder.rglob(".*")) - before if path.name.count(".") > 1]
            if hidden:
                return LEFT, hidden[0]
        elif ended.signal != signal.SIGKILL:
            return MUTE, f"was not killed: {ended}"
        ended = in_child(go_on, scratch=base, seconds=600, processor_seconds=300)
    if ended.signal or ended.hung:
        return CRASH if ended.signal else HANG, "going on"
    if ended.answer is None:
        return TRACEBACK, _last(ended)
    if ended.answer != [0, want]:
        return BROKEN, f"{ended.answer} instead of {[0, want]}; {_last(ended)}"[:300]
    return RIGHT, ""


# KiB that are left on the disk, the most telling ones first.
FILLINGS = (0, 24, 4, 12, 40, 80, 160)


def run_disks(fillings: int, progress: Callable[[str], None] = lambda text: None) -> Tally | None:
    """Every command on a full disk (at several fillings), a read-only one, and with a file where a folder should be.

    None where no file system can be mounted here.
    """
    import_everything()
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="delaytool-disk-") as name:
        mount = Path(name)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", name], capture_output=True).returncode:
            return None
        try:
            with base_files() as base:
                for scenario in SCENARIOS:
                    for free in FILLINGS[:fillings]:
                        progress(scenario.name)
                        with _emptied(mount):
                            _note(tally, _on_full_disk(base, mount, scenario, free))
                    with _emptied(mount):
                        _note(tally, _on_read_only_disk(base, mount, scenario, name))
                    with _emptied(mount):
                        _note(tally, _on_a_file(base, mount, scenario))
        finally:
            subprocess.run(["umount", name], check=True)
    return tally


@contextmanager
def _emptied(mount: Path) -> Iterator[None]:
    try:
        yield
    finally:
        for path in mount.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _on_full_disk(base: Path, mount: Path, scenario: Scenario, free_kib: int) -> Finding:
    scenario.prepare(base, mount)
    older = {path: path.read_bytes() for path in mount.rglob("*") if path.is_file()}
    space = os.statvfs(mount)
    (mount / "filler").write_bytes(bytes(max(0, space.f_bavail * space.f_frsize - 1024 * free_kib)))
    outcome, detail = _refused_cleanly(base, mount, scenario, older)
    return Finding(f"full disk: {scenario.name}", free_kib, f"{free_kib} KiB left", outcome, detail)


def _on_read_only_disk(base: Path, mount: Path, scenario: Scenario, name: str) -> Finding:
    scenario.prepare(base, mount)
    older = {path: path.read_bytes() for path in mount.rglob("*") if path.is_file()}
    subprocess.run(["mount", "-o", "remount,ro", name], check=True)
    try:
        outcome, detail = _refused_cleanly(base, mount, scenario, older)
    finally:
        subprocess.run(["mount", "-o", "remount,rw", name], check=True)
    return Finding(f"read-only disk: {scenario.name}", 0, "mounted read-only", outcome, detail)


def _on_a_file(base: Path, mount: Path, scenario: Scenario) -> Finding:
    """The output's folder is a file, so that nothing can be written there."""
    scenario.prepare(base, mount)
    (mount / "file").write_text("kept")
    older = {path: path.read_bytes() for path in mount.rglob("*") if path.is_file()}
    place = scenario.arguments.index("-o") + 1 if "-o" in scenario.arguments else None
    arguments = list(scenario.arguments)
    if place is not None:
        arguments[place] = f"file/{arguments[place]}"
    changed = Scenario(**{**vars(scenario), "arguments": tuple(arguments)})
    outcome, detail = _refused_cleanly(base, mount, changed, older, must_fail=place is not None)
    return Finding(f"no folder: {scenario.name}", 0, "a file in the folder's place", outcome, detail)


def _refused_cleanly(
    base: Path, mount: Path, scenario: Scenario, older: dict[Path, bytes], must_fail: bool = False
) -> tuple[str, str]:
    """The command ends as documented, older files are as they were, nothing half-written has a result's name."""

    def work() -> Any:
        os.chdir(mount)
        return command(*scenario.arguments)

    ended = in_child(work, scratch=base, seconds=300, processor_seconds=120)
    if ended.signal or ended.hung:
        return CRASH if ended.signal else HANG, f"signal {ended.signal}"
    if "MemoryError" in ended.error + ended.output:
        return BOMB, _last(ended)
    if ended.error or "Traceback" in ended.output:
        return TRACEBACK, _last(ended)
    hidden = [path for path in mount.rglob(".*") if path not in older and path.name.count(".") > 1]
    if hidden:
        return LEFT, hidden[0].name
    for path, content in older.items():
        if (
            path.name != "filler"
            and path.read_bytes() != content
            and not (ended.answer == 0 and path.name in scenario.outputs)
        ):
            return BROKEN, f"{path.name} was changed"
    if ended.answer == 0:
        if must_fail:
            return MUTE, "ended with exit code 0"

        def whole() -> Any:
            os.chdir(mount)
            return scenario.result()

        result = in_child(whole, scratch=base, seconds=300)
        return (RIGHT, "") if result.answer is not None else (BROKEN, f"exit code 0, and then: {_last(result)}")
    if ended.answer != 2 and not (ended.answer == 1 and scenario.name == "sweep"):
        return MUTE, f"exit code {ended.answer}: {_last(ended)}"
    if ESCAPES.search(ended.output):
        return MUTE, "control characters in the output"
    errors = [line for line in ended.output.splitlines() if line.lower().startswith("error: ")]
    return (REFUSED, errors[0]) if errors or ended.answer == 1 else (MUTE, _last(ended))


def _note(tally: Tally, finding: Finding) -> None:
    tally.counts[finding.kind, finding.outcome] += 1
    if finding.outcome in (*FAULTS, BROKEN, LEFT):
        tally.findings.append(finding)


def _last(ended: Ended) -> str:
    lines = [line for line in (ended.error or ended.output).strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
