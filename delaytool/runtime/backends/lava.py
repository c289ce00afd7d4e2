"""Run a network in Intel's Lava (lava-nc 0.10), with Lava's own fixed-point models.

Lava runs in a child process: its interpreter may be another one (Lava declares Python < 3.11), it forks a process
for every population, and on some errors it hangs instead of raising. So the network is checked first against
what Lava drops, wraps or hangs on in silence, and the child has a time limit.

Two variants:
  'stock'    Lava's DelayDense, DelaySparse and LIF untouched, one fresh process graph per sample. The reference.
  'cached'   DelayDense and DelaySparse rebuild an expanded weight matrix every step; ours, subclasses of Lava's,
             make it once. All samples in one run. For whole test sets; certified against 'stock' by the tests.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from delaytool import version
from delaytool.contract.frames import checked_frames
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError
from delaytool.runtime.trace import Trace

VARIANTS = ("stock", "cached")
PYTHON_VARIABLE = "DELAYTOOL_LAVA_PYTHON"
INSTALL = (
    "pip install numpy h5py scipy networkx asteval && pip install --no-deps --ignore-requires-python lava-nc==0.10.0"
)
MIN_WEIGHT, MAX_WEIGHT = -256, 254  # lava/utils/weightutils.py, SignMode.MIXED
MAX_DELAY = 63  # lava/proc/dense/models.py; beyond it run() hangs

# Only the package's own folder is lent to the child: its site-packages would bring binaries for another Python.
_BOOTSTRAP = """
import importlib.util, sys
folder, *arguments = sys.argv[1:]
if sys.version_info < (3, 10):
    sys.exit("delaytool-lava: needs Python 3.10 or later")
for name in ("numpy", "h5py", "scipy", "networkx", "asteval", "lava"):
    if importlib.util.find_spec(name) is None:
        sys.exit(f"delaytool-lava: {name} is not installed")
spec = importlib.util.spec_from_file_location(
    "delaytool", folder + "/__init__.py", submodule_search_locations=[folder])
sys.modules["delaytool"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["delaytool"])
from delaytool.runtime.backends.lava_worker.worker import main
main(arguments)
"""


class WorkerExit(BackendError):
    """The worker failed. The message is one line; `log` is all that it printed."""

    def __init__(self, log: str, interpreter: str, code: int) -> None:
        super().__init__(_explained(log, interpreter, code))
        self.log = log


def run(
    network: IntegerNetwork,
    frames: np.ndarray,
    *,
    variant: str = "stock",
    python: str | os.PathLike[str] | None = None,
    timeout: float = 600.0,
) -> Trace:
    """Frames (sample, time, channel), unsigned integers, to the full trace of every layer.

    variant   'stock' or 'cached'
    python    an interpreter that has Lava; None: $DELAYTOOL_LAVA_PYTHON, else the present one
    timeout   seconds for the whole call

    Raises BackendError where Lava is missing, fails, takes too long or cannot hold the network, DataError for frames
    that the network's encoding does not admit.
    """
    return run_many([(network, frames)], variant=variant, python=python, timeout=timeout)[0]


def run_many(
    jobs: Sequence[tuple[IntegerNetwork, np.ndarray]],
    *,
    variant: str = "stock",
    python: str | os.PathLike[str] | None = None,
    timeout: float = 600.0,
) -> list[Trace]:
    """As `run`, for several networks in one child process, which saves the seconds that starting Lava takes."""
    if variant not in VARIANTS:
        raise BackendError(f"lava: variant {variant!r} is unknown; choose 'stock' or 'cached'")
    for network, frames in jobs:
        check(network, frames)
    return in_worker(jobs, variant, find_python(python), timeout)


def in_worker(
    jobs: Sequence[tuple[IntegerNetwork, np.ndarray]], variant: str, interpreter: str, timeout: float
) -> list[Trace]:
    """Run checked jobs in a child process. `variant` is that of `lava_worker.worker`."""
    with tempfile.TemporaryDirectory(prefix="delaytool-lava-") as name:
        folders = [Path(name) / str(number) for number in range(len(jobs))]
        for folder, (network, frames) in zip(folders, jobs, strict=True):
            folder.mkdir()
            network.save(folder / "network.h5", chip_limits=False)
            np.save(folder / "frames.npy", checked_frames(network.encoding, frames))
        busy = [str(folder) for folder, (_, frames) in zip(folders, jobs, strict=True) if len(frames)]
        if busy:
            _run_worker([interpreter, "-c", _BOOTSTRAP, str(_package_folder()), variant, *busy], Path(name), timeout)
            if not all((Path(folder) / "trace.npz").exists() for folder in busy):
                raise BackendError(f"lava: {interpreter} ended without an error but wrote no trace; is it a Python?")
        return [_load_trace(folder, network) for folder, (network, _) in zip(folders, jobs, strict=True)]


def check(network: IntegerNetwork, frames: np.ndarray) -> None:
    """Raise BackendError for a network that Lava would change or hang on, DataError for frames it cannot read."""
    for layer in network.layers:
        for number, group in enumerate(layer.synapses):
            where = f"layer {layer.name}, synapse group {number}"
            *_, weight, delay = group.listed()
            if not weight.size:
                continue
            odd = weight[weight % 2 != 0]
            if odd.size:
                raise BackendError(
                    f"{where}: weight {odd[0]} is odd and Lava's mixed-sign weights are even; "
                    "export with --target loihi2, or run it with --backend engine"
                )
            if weight.min() < MIN_WEIGHT or weight.max() > MAX_WEIGHT:
                worst = weight.min() if weight.min() < MIN_WEIGHT else weight.max()
                raise BackendError(
                    f"{where}: weight {worst} is outside Lava's {MIN_WEIGHT}..{MAX_WEIGHT}; "
                    "export with --target loihi2, or run it with --backend engine"
                )
            if delay.max() > MAX_DELAY:
                raise BackendError(
                    f"{where}: delay {delay.max()} exceeds Lava's {MAX_DELAY}; "
                    "export with --target loihi2 --clip-delays, or run it with --backend engine"
                )
    checked_frames(network.encoding, frames)


def find_python(python: str | os.PathLike[str] | None = None) -> str:
    """The interpreter to run Lava under: the one given, $DELAYTOOL_LAVA_PYTHON, or the present one if it has Lava."""
    chosen = os.fspath(python) if python is not None else os.environ.get(PYTHON_VARIABLE)
    if chosen:
        chosen = os.path.expanduser(chosen)
        # The worker starts in a folder of its own. The path is not resolved: a venv's python is a symbolic link.
        return os.path.abspath(chosen) if os.path.dirname(chosen) else chosen
    if importlib.util.find_spec("lava") is None:
        raise BackendError(
            f"lava: lava-nc is not installed for {sys.executable}; install it with: {INSTALL} "
            "(or give another interpreter that has it with --lava-python)"
        )
    return sys.executable


def _package_folder() -> Path:
    return Path(version.__file__).resolve().parent


def _run_worker(command: list[str], folder: Path, timeout: float) -> None:
    """Run the worker in `folder`, its process group killed whatever happens. Raises BackendError if it fails."""
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
                f"lava: cannot start {command[0]} ({error.strerror}); give a Python interpreter with --lava-python"
            ) from None
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise BackendError(
                f"lava: no result within {timeout:g} s; give more with --lava-timeout, or fewer samples with --samples"
            ) from None
        finally:
            _end(process)
    if code != 0:
        raise WorkerExit(log.read_text(errors="replace"), command[0], code)


def _end(process: subprocess.Popen) -> None:
    """End the worker and the processes that Lava forked.

    First by SIGTERM: Python's resource tracker, in the same group, outlives it and frees the shared memory that the
    others held.
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
            number = 0  # signaled once; from here only ask whether anyone is left


def _explained(log: str, interpreter: str, code: int) -> str:
    """One line for a worker that failed: the first and the last line of its log about an error."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("delaytool-lava: "):
            return (
                f"lava: {interpreter} cannot run Lava: {line.removeprefix('delaytool-lava: ')}; install it there with: "
                f"{INSTALL} (or give another interpreter with --lava-python)"
            )
    errors = [line for line in lines if "Error: " in line and "Exception(s) occurred" not in line]
    reason = (errors or lines or ["no output"])[-1]
    return f"lava: the worker under {interpreter} ended with exit code {code} ({reason}); report it with the network"


def _load_trace(folder: Path, network: IntegerNetwork) -> Trace:
    path = folder / "trace.npz"
    if not path.exists():  # no samples, so nothing was run
        empty = [np.zeros((0, network.n_steps, layer.n_neurons), np.int32) for layer in network.layers]
        return Trace(tuple(array.astype(np.bool_) for array in empty), tuple(empty), tuple(empty))
    with np.load(path) as arrays:
        count = range(len(network.layers))
        return Trace(
            spikes=tuple(arrays[f"spikes{index}"].astype(np.bool_) for index in count),
            u=tuple(arrays[f"u{index}"] for index in count),
            v=tuple(arrays[f"v{index}"] for index in count),
        )
