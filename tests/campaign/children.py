"""One piece of work in a forked child: bounded in memory and time, its death no worse than a line in the table.

The child is forked from this process, which has imported everything, so that a case costs milliseconds, not the seconds
of a start. It may exhaust memory, hang, be killed by a signal: what came of it is read from outside.
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MORE_MEMORY = 2 << 30  # address space that a child may add to what this process has
SECONDS = 600.0  # a child waits for other work of the machine too, so processor time has a tighter limit
PROCESSOR_SECONDS = 40
PIPE = 60_000  # bytes that a pipe takes without a reader


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    answer    what the work returned; None where it did not
    error     the error that ended it, as a traceback; '' for none
    output    what it printed
    signal    the number of the signal that killed it, 0 for none
    hung      it was ended because it took too long
    peak      bytes by which its memory grew at most
    """

    answer: Any = None
    error: str = ""
    output: str = ""
    signal: int = 0
    hung: bool = False
    peak: int = 0


def in_child(
    work: Callable[[], Any],
    seconds: float = SECONDS,
    processor_seconds: int = PROCESSOR_SECONDS,
    scratch: Path | None = None,
) -> Ended:
    """Call work() in a forked child. It must return a JSON value."""
    reading, writing = os.pipe()
    log = (scratch or Path("/tmp")) / f"campaign-output-{os.getpid()}"
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(reading)
            faulthandler.disable()
            _limit(processor_seconds)
            with open(log, "wb") as output:
                os.dup2(output.fileno(), 1)
                os.dup2(output.fileno(), 2)
            # Whoever has replaced them (a test runner, say) would keep what is printed to itself.
            sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            result: dict[str, Any] = {}
            try:
                result["answer"] = work()
            except BaseException:
                with contextlib.suppress(BaseException):
                    result["error"] = traceback.format_exc()
                result.setdefault("error", "an error that could not even be formatted")
            result["peak"] = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            text = json.dumps(result).encode()
            os.write(writing, text if len(text) < PIPE else b'{"error": "the answer is too long for the pipe"}')
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    hung = _wait(child, reading, seconds)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    output = log.read_text(errors="replace") if log.exists() else ""
    log.unlink(missing_ok=True)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    hung = hung or number in (signal.SIGXCPU, signal.SIGALRM)
    result = json.loads(text) if text else {}
    if not result and not number and not hung:
        result = {"error": f"the child ended with exit code {os.waitstatus_to_exitcode(status)} and no answer"}
    return Ended(output=output, signal=0 if hung else number, hung=hung, **result)


def _limit(processor_seconds: int) -> None:
    with open("/proc/self/statm") as file:
        size = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MORE_MEMORY, size + MORE_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime) + processor_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))


def _wait(child: int, reading: int, seconds: float) -> bool:
    """Wait until the child has closed its end of the pipe; kill it when the time is over. Returns whether it was."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        ready, _, _ = select.select([reading], [], [], left)
        if ready:
            return False
    os.kill(child, signal.SIGKILL)
    return True
