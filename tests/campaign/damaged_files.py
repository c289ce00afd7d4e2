"""Damaged files, one after the other, each read in a child: what came of it."""

from __future__ import annotations

import os
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from campaign import damage
from campaign.children import Ended, in_child
from campaign.kinds import ALL, BYTES, KINDS, Answer, Kind, make_run
from campaign.warm import import_everything

# More than a reader of these files, a few kilobytes each, has any use for.
MUCH_MEMORY = 600 << 20
ESCAPES = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u202a-\u202e\u2066-\u2069]")

RIGHT, REFUSED, OTHER = "right", "refused", "read as what it holds"
TRACEBACK, HANG, CRASH, BOMB = "traceback", "hang", "crash", "memory bomb"
WRONG_LOAD, WRONG_CODE, ESCAPE, MUTE = "wrong load", "undocumented exit code", "control characters", "no error line"
FAULTS = (TRACEBACK, HANG, CRASH, BOMB, WRONG_LOAD, WRONG_CODE, ESCAPE, MUTE)


@dataclass(frozen=True)
class Finding:
    kind: str
    seed: int
    damage: str
    outcome: str
    detail: str


@dataclass
class Tally:
    """Cases by (kind, outcome), and those that are faults."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def total(self, *outcomes: str) -> int:
        return sum(count for (_, outcome), count in self.counts.items() if not outcomes or outcome in outcomes)


@contextmanager
def base_files() -> Iterator[Path]:
    """A folder with the undamaged files of every kind, each kind's in a folder of its own."""
    fast = "/dev/shm" if os.path.isdir("/dev/shm") and os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="delaytool-campaign-", dir=fast) as name:
        base = Path(name)
        # In a child: threads that training starts would not survive a fork of this process.
        ended = in_child(lambda: make_run(base), seconds=600, processor_seconds=300)
        assert (base / "run" / "netx.net").exists(), f"no files to damage: {ended.error}{ended.output}"
        yield base


def right_answer(base: Path, kind: Kind) -> Answer:
    """What the undamaged file gives. Raises AssertionError where that is no answer."""
    with _copied(base, kind) as folder:
        ended = _probed(kind, folder, seconds=300, processor_seconds=120)
    assert ended.answer is not None, f"{kind.name}: undamaged, and yet: {ended.error or ended.output or ended}"
    code, answer = ended.answer
    assert code == 0, f"{kind.name}: undamaged, and yet exit code {code}: {ended.output}"
    return code, answer


def one_case(base: Path, kind: Kind, right: Answer, seed: int, keep: Path | None = None) -> Finding:
    """Damage one file and read it. The damaged file of a fault is kept in `keep`."""
    draw = random.Random(f"{kind.name} {seed}")
    with _copied(base, kind) as folder:
        chosen = draw.choice(kind.damages)
        what = ""
        try:
            what = chosen(draw, folder / kind.file)
        except (ValueError, TypeError, LookupError, OSError, RuntimeError, OverflowError, AttributeError) as error:
            # The file's own format cannot even represent it: the next best damage.
            shutil.rmtree(folder / "run", ignore_errors=True)
            kind.make(base, folder)
            what = damage.damage_bytes(draw, folder / kind.file) + f" (instead of {type(error).__name__})"
            chosen = damage.damage_bytes
        damaged = (folder / kind.file).read_bytes()
        ended = _probed(kind, folder)
    by_bytes = chosen is damage.damage_bytes
    outcome, detail = outcome_of(kind, ended, right, kind.exact == ALL or (kind.exact == BYTES and by_bytes))
    if outcome in FAULTS and keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        name = f"{kind.name.replace(', ', '-')}-{seed}"
        (keep / f"{name}{Path(kind.file).suffix}").write_bytes(damaged)
        (keep / f"{name}.txt").write_text(f"{what}\n{outcome}\n{ended.error}\n{ended.output}\n")
    return Finding(kind.name, seed, what, outcome, detail)


def outcome_of(kind: Kind, ended: Ended, right: Answer, exact: bool) -> tuple[str, str]:
    """(outcome, detail) of a child that read a damaged file."""
    everything = ended.error + ended.output
    if ended.signal:
        return CRASH, f"signal {ended.signal}"
    if ended.hung:
        return HANG, "killed after its time"
    if "MemoryError" in everything or "llocate memory" in everything or ended.peak > MUCH_MEMORY:
        return BOMB, _last_line(everything) or f"{ended.peak >> 20} MiB"
    if ended.error or "Traceback (most recent call last)" in ended.output:
        return TRACEBACK, _last_line(everything)
    code, answer = ended.answer
    if code not in kind.codes:
        return WRONG_CODE, f"exit code {code}: {_last_line(ended.output)}"
    if ESCAPES.search(ended.output):
        return ESCAPE, repr(ESCAPES.search(ended.output)[0])  # type: ignore[index]
    if code:
        errors = [line for line in ended.output.splitlines() if line.lower().startswith("error: ")]
        return (REFUSED, errors[0]) if code != 2 or errors else (MUTE, f"exit code {code} with {ended.output[-200:]!r}")
    if answer == right[1]:
        return RIGHT, ""
    return (WRONG_LOAD, "another answer without an error") if exact else (OTHER, "")


def run(
    count: int,
    seed: int = 0,
    keep: Path | None = None,
    kinds: list[str] | None = None,
    progress: Callable[[str], None] = lambda text: None,
) -> Tally:
    """`count` cases, shared out over the kinds by their weight, at least one each."""
    chosen = [KINDS[name] for name in kinds or KINDS]
    weight = sum(kind.share for kind in chosen)
    tally = Tally()
    import_everything()
    with base_files() as base:
        for kind in chosen:
            right = right_answer(base, kind)
            for number in range(max(1, round(count * kind.share / weight))):
                progress(kind.name)
                finding = one_case(base, kind, right, seed + number, keep)
                tally.counts[kind.name, finding.outcome] += 1
                if finding.outcome in FAULTS:
                    tally.findings.append(finding)
    return tally


@contextmanager
def _copied(base: Path, kind: Kind) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="case-", dir=base) as name:
        kind.make(base, Path(name))
        yield Path(name)


def _probed(kind: Kind, folder: Path, **limits: int) -> Ended:
    def work() -> Answer:
        os.chdir(folder)
        return kind.probe()

    return in_child(work, scratch=folder.parent, **limits)  # type: ignore[arg-type]


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
