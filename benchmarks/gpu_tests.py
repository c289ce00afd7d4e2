"""The tests of tests/gpu in a process of their own: each one's outcome, as far as it came."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gpu_run import Context, Row

ROOT = Path(__file__).resolve().parents[1]
OUTCOME = re.compile(r"^(tests/\S+?)::(.+?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS)\b")
# In the order in which they matter, should there be no time for all.
FILES = [f"tests/gpu/test_{name}.py" for name in ("neurons", "steps", "augmentation", "networks", "runs")]
RESERVE = 5.0  # seconds before the part's end at which the process is ended


def gpu_tests(context: Context) -> Iterator[Row]:
    """One row of counts; then one for each test that did not pass, with the last lines of its report."""
    command = [
        sys.executable, "-m", "pytest", *FILES, "-v", "-rs", "--tb=short", "--color=no", "-p", "no:cacheprovider",
        "--confcutdir=tests/gpu", "-W", "ignore",
        *(["--one-case"] if context.tiny else []),
    ]  # fmt: skip
    environment = {
        "OMP_NUM_THREADS": "1",  # small tests: more threads only wait for one another
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *_given_paths()]),
        "DELAYTOOL_GPU_TESTS_ON": context.device,
        "COLUMNS": "200",
    }
    log = context.folder / "tests.log"
    ended = False
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=file, stderr=subprocess.STDOUT)
        try:
            code = process.wait(timeout=max(1.0, context.left - RESERVE) if context.left < float("inf") else None)
        except subprocess.TimeoutExpired:
            ended, code = True, None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    text = log.read_text(errors="replace")
    yield from rows_of(text, code, ended)


def rows_of(text: str, code: int | None, ended: bool) -> list[Row]:
    """The rows of what `pytest -v` printed. Raises RuntimeError where it names no test at all."""
    outcomes = [match.groups() for match in map(OUTCOME.match, text.splitlines()) if match]
    counts = Counter(outcome.lower() for _, _, outcome in outcomes)
    if not outcomes and not ended:
        raise RuntimeError(f"pytest named no test (exit code {code}): {text[-2000:]}")
    note = "ended before all were run" if ended else f"exit code {code}"
    rows: list[Row] = [{"test": "all", "outcome": ", ".join(f"{n} {kind}" for kind, n in counts.items()), "note": note}]
    rows += [
        {
            "test": f"{file}::{test}",
            "outcome": outcome.lower(),
            "note": _report(text, test) if outcome != "SKIPPED" else "",
        }
        for file, test, outcome in outcomes
        if outcome not in ("PASSED", "SKIPPED")
    ]
    rows += [
        {"test": "skipped", "outcome": "", "note": line} for line in text.splitlines() if line.startswith("SKIPPED [")
    ]
    return rows


def _report(text: str, test: str) -> str:
    """The lines of a failed test's report that state what was wrong."""
    _, _, after = text.partition(f" {test} __")
    return "\n".join(line for line in after.split("\n____")[0].splitlines() if line.startswith("E "))[:1500]


def _given_paths() -> list[str]:
    return [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
