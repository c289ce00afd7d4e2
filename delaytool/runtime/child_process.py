"""Workers under a Python interpreter of their own: finding it, running one, reading what it left, ending it."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError
from delaytool.runtime.trace import Trace


def find_interpreter(
    python: str | os.PathLike[str] | None, *, name: str, variable: str, module: str, package: str, install: str
) -> str:
    """The interpreter given, that of the environment variable, or the present one if it has the module.

    name      of the backend, whose option is --<name>-python
    package   that brings the module, and how to install it, for the error
    Raises BackendError where the present one is asked for and lacks the module.
    """
    chosen = os.fspath(python) if python is not None else os.environ.get(variable)
    if chosen:
        chosen = os.path.expanduser(chosen)
        # The worker starts in a folder of its own. The path is not resolved: a venv's python is a symbolic link.
        return os.path.abspath(chosen) if os.path.dirname(chosen) else chosen
    if importlib.util.find_spec(module) is None:
        raise BackendError(
            f"{name}: {package} is not installed for {sys.executable}; install it with: {install} "
            f"(or give another interpreter that has it with --{name}-python)"
        )
    return sys.executable


def run_jobs(
    jobs: Sequence[tuple[IntegerNetwork, np.ndarray]],
    write: Callable[[Path, IntegerNetwork, np.ndarray], None],
    run: Callable[[list[str], Path], None],
    *,
    name: str,
    interpreter: str,
) -> list[Trace]:
    """The traces of networks on frames from one worker, which reads a folder per job and leaves `trace.npz` in it.

    write   puts a job into its folder
    run     starts the worker: the folders of the jobs that have samples, and the folder that it runs in
    name    of the backend, and the interpreter that it runs under, for errors
    Raises BackendError where the worker leaves no trace.
    """
    with tempfile.TemporaryDirectory(prefix=f"delaytool-{name}-") as parent:
        folders = [Path(parent) / str(number) for number in range(len(jobs))]
        for folder, (network, frames) in zip(folders, jobs, strict=True):
            folder.mkdir()
            write(folder, network, frames)
        busy = [folder for folder, (_, frames) in zip(folders, jobs, strict=True) if len(frames)]
        if busy:
            run([str(folder) for folder in busy], Path(parent))
            if not all((folder / "trace.npz").exists() for folder in busy):
                raise BackendError(f"{name}: {interpreter} ended without an error but wrote no trace; is it a Python?")
        return [read_trace(folder, network) for folder, (network, _) in zip(folders, jobs, strict=True)]


def run_child(command: list[str], folder: Path, timeout: float, *, name: str) -> tuple[int, str]:
    """Run a command in `folder`, its process group ended whatever happens: (exit code, all that it printed).

    Raises BackendError, naming the options --<name>-python and --<name>-timeout, where it cannot start or takes longer
    than `timeout` seconds.
    """
    log = folder / "log"
    environment = dict(os.environ)
    if command[0] != sys.executable:  # what PYTHONPATH and its like hold is for another Python
        environment = {key: value for key, value in environment.items() if not key.startswith("PYTHON")}
    with open(log, "wb") as output:
        try:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as error:
            raise BackendError(
                f"{name}: cannot start {command[0]} ({error.strerror}); give a Python interpreter with --{name}-python"
            ) from None
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise BackendError(
                f"{name}: no result within {timeout:g} s; give more with --{name}-timeout, or fewer samples with "
                "--samples"
            ) from None
        finally:
            _end(process)
    return code, log.read_text(errors="replace")


def _end(process: subprocess.Popen) -> None:
    """End the worker and the processes that it forked, as Lava does.

    Politely first: Python's resource tracker, in the same group, outlives the signal and gives back the shared
    memory that the others held.
    """
    if not hasattr(os, "killpg"):
        process.kill()
        return
    for wanted in (signal.SIGTERM, signal.SIGKILL):
        number = int(wanted)
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            try:
                os.killpg(process.pid, number)
            except (ProcessLookupError, PermissionError):
                return
            process.poll()  # reaps it, so that the group can vanish
            time.sleep(0.05)
            number = 0  # signalled once; from here only ask whether anyone is left


def read_trace(folder: Path, network: IntegerNetwork) -> Trace:
    """The trace of a network that a worker left in `folder`; an empty one where it had no samples to run."""
    path = folder / "trace.npz"
    if not path.exists():
        empty = tuple(np.zeros((0, network.n_steps, layer.n_neurons), np.int32) for layer in network.layers)
        return Trace(tuple(array.astype(np.bool_) for array in empty), empty, empty)
    with np.load(path) as arrays:
        count = range(len(network.layers))
        return Trace(
            spikes=tuple(arrays[f"spikes{index}"].astype(np.bool_) for index in count),
            u=tuple(arrays[f"u{index}"].astype(np.int32) for index in count),
            v=tuple(arrays[f"v{index}"].astype(np.int32) for index in count),
        )


def describe_exit(log: str, interpreter: str, code: int, *, name: str, simulator: str, install: str) -> str:
    """One line for a worker that failed: what it reports as missing, else the last error of its log.

    name        of the backend: a line of the log that begins with delaytool-<name> names what is missing
    simulator   what the worker runs, and how to install it
    """
    for line in log.splitlines():
        if line.strip().startswith(f"delaytool-{name}: "):
            missing = line.strip().partition(": ")[2]
            return (
                f"{name}: {interpreter} cannot run {simulator}: {missing}; install it there with: {install} "
                f"(or give another interpreter with --{name}-python)"
            )
    return (
        f"{name}: the worker under {interpreter} ended with exit code {code} ({_last_error(log)}); "
        "report it with the network"
    )


def _last_error(log: str) -> str:
    """The last error that a log names, else its last line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "Error: " in line and "Exception(s) occurred" not in line]
    return (errors or lines or ["no output"])[-1]
