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

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from delaytool import version
from delaytool.contract.frames import checked_frames
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError
from delaytool.runtime.child_process import describe_exit, find_interpreter, run_child, run_jobs
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
        super().__init__(describe_exit(log, interpreter, code, name="lava", simulator="Lava", install=INSTALL))
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

    def run_worker(folders: list[str], where: Path) -> None:
        command = [interpreter, "-c", _BOOTSTRAP, str(_package_folder()), variant, *folders]
        code, log = run_child(command, where, timeout, name="lava")
        if code != 0:
            raise WorkerExit(log, interpreter, code)

    return run_jobs(jobs, _write_job, run_worker, name="lava", interpreter=interpreter)


def _write_job(folder: Path, network: IntegerNetwork, frames: np.ndarray) -> None:
    network.save(folder / "network.h5", chip_limits=False)
    np.save(folder / "frames.npy", checked_frames(network.encoding, frames))


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
    return find_interpreter(
        python, name="lava", variable=PYTHON_VARIABLE, module="lava", package="lava-nc", install=INSTALL
    )


def _package_folder() -> Path:
    return Path(version.__file__).resolve().parent
