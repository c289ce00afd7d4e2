"""Running parts of a measurement within a budget of seconds, and writing what there is after every row.

A part is a function of a `Context` that yields rows, one dictionary per thing measured. A part that fails, or that its
share of the budget cuts, keeps the rows that it has given, and the next part goes on.
"""

from __future__ import annotations

import json
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Part = Callable[["Context"], Iterator[Row]]


class BudgetOver(Exception):
    """The seconds that a part may take are over."""


class Budget:
    """Seconds of wall-clock time from its making on; `clock` returns them."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self._clock = seconds, clock
        self._began = clock()

    @property
    def spent(self) -> float:
        return self._clock() - self._began

    @property
    def left(self) -> float:
        return self.seconds - self.spent


@dataclass
class Context:
    """What a part is given.

    device   'cuda' or 'cpu'
    tiny     sizes that a CPU runs in seconds: they show that everything runs, and their times mean nothing
    folder   where files that belong to the results may be written
    part_left   seconds that are left to the part that runs, and longest, what its slowest row took: both are kept
                while it runs
    skipped  what did not fit, a sentence each
    """

    device: str
    tiny: bool
    folder: Path
    budget: Budget
    part_left: Callable[[], float] = field(default=lambda: float("inf"))
    longest: float | None = None
    skipped: list[str] = field(default_factory=list)

    @property
    def left(self) -> float:
        """Seconds that are left to this part: of its share, or of the whole budget where that is less."""
        return min(self.part_left(), self.budget.left)

    def allows(self, what: str, seconds: float) -> bool:
        """Whether a row that takes about so many seconds still fits; a sentence is kept where it does not.

        Once a row of the part is there, one and a half times what the slowest took counts in place of `seconds`.
        """
        if self.longest is not None:
            seconds = 1.5 * self.longest
        if self.tiny or seconds <= self.left:
            return True
        self.skipped.append(
            f"{what} was skipped: it takes about {seconds:.0f} s, and {max(0.0, self.left):.0f} s are left"
        )
        return False


class Results:
    """results.json of a folder, written anew whenever something is added."""

    def __init__(self, folder: Path, about: Row) -> None:
        self.path = folder / "results.json"
        self.content: Row = {**about, "parts": {}}

    def part(self, name: str) -> Row:
        return self.content["parts"].setdefault(name, {"status": "running", "seconds": 0.0, "rows": [], "skipped": []})

    def write(self) -> None:
        """Write to a file beside it first, so that a cut never leaves half a file."""
        beside = self.path.with_suffix(".json.new")
        beside.write_text(json.dumps(self.content, indent=1, default=str) + "\n")
        os.replace(beside, self.path)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Raise BudgetOver within, once so many seconds are over. For the main thread, on systems with SIGALRM."""

    def stop(*_: Any) -> None:
        raise BudgetOver

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, seconds))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def run_part(name: str, part: Part, share: float, context: Context, results: Results) -> str:
    """Run one part and return its status, which its results hold too.

    share: of the whole budget that the part may take. Status: 'complete'; 'skipped', nothing was begun; 'cut', its
    seconds were over; 'failed', with the error's text.
    """
    kept = results.part(name)
    context.skipped = kept["skipped"]
    allowed = min(context.budget.left, share * context.budget.seconds)
    began = time.monotonic()
    context.part_left = lambda: allowed - (time.monotonic() - began)
    context.longest = None
    try:
        if context.budget.left <= 1.0:
            kept["status"] = "skipped"
            kept["skipped"].append(f"the budget of {context.budget.seconds:.0f} s was over before it began")
        else:
            with deadline(allowed):
                before = began
                for row in part(context):
                    now = time.monotonic()
                    context.longest, before = max(context.longest or 0.0, now - before), now
                    kept["rows"].append(row)
                    kept["seconds"] = now - began
                    results.write()
            kept["status"] = "complete"
    except BudgetOver:
        kept["status"] = "cut"
        kept["skipped"].append(f"the rest was cut when {allowed:.0f} s, what the part may take, were over")
    except ImportError as error:
        kept["status"], kept["error"] = "failed", f"not installed: {error}"
    except Exception as error:
        kept["status"], kept["error"] = "failed", f"{type(error).__name__}: {error}"
        kept["traceback"] = traceback.format_exc()
    finally:
        kept["seconds"] = time.monotonic() - began
        results.write()
    return str(kept["status"])
