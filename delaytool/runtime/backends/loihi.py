"""Run a network on a Loihi 2 chip, through Lava and Intel's extension for it.

The graph is the one that `runtime.backends.lava` runs, under Lava's `Loihi2HwCfg`. Written against Lava's public
API and tried with stand-ins for the chip's adapters; it has not run on a chip. `docs/loihi2.md` lists what to do first.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

import numpy as np

from delaytool.contract.bounds import DECAY_UNITY
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError
from delaytool.runtime.backends import lava
from delaytool.runtime.trace import Trace

GENERATIONS = ("N3B2", "N3B3", "N3C1", "N3D1")  # lava/utils/loihi.py, ChipGeneration, Loihi 2 only
MAX_DELAY = 62


class MissingLoihiError(BackendError):
    """Intel's extension of Lava for Loihi is not installed."""

    exit_code = 3

    def __init__(self, interpreter: str) -> None:
        super().__init__(
            f"loihi2: Intel's Lava extension for Loihi is not installed for {interpreter}; members of Intel's "
            "Neuromorphic Research Community get it from Intel (docs/loihi2.md); without it use --backend lava"
        )


@dataclass(frozen=True)
class Host:
    """How to reach the chip.

    address          of a host on the network (`use_ethernet_host`); None: through SLURM (`use_slurm_host`)
    board, partition for SLURM; give at most one
    generation       of the chip: N3B2, N3B3, N3C1 or N3D1
    input_latency    steps from a frame's sending to the step at which it is sent by the contract
    output_latency   steps from a spike on the chip to its arrival at the host
    """

    address: str | None = None
    board: str | None = None
    partition: str | None = None
    generation: str = "N3B3"
    input_latency: int = 1
    output_latency: int = 1

    def __post_init__(self) -> None:
        if self.generation not in GENERATIONS:
            raise BackendError(
                f"loihi2: chip generation {self.generation!r} is unknown; one of {', '.join(GENERATIONS)}"
            )
        if self.board and self.partition:
            raise BackendError(
                f"loihi2: board {self.board!r} and partition {self.partition!r} are both given; give one of them"
            )
        if min(self.input_latency, self.output_latency) < 0:
            raise BackendError("loihi2: a latency is below 0 steps; it counts steps, so give 0 or more")


def run(
    network: IntegerNetwork,
    frames: np.ndarray,
    *,
    host: Host | None = None,
    python: str | os.PathLike[str] | None = None,
    timeout: float = 3600.0,
) -> Trace:
    """Frames (sample, time, channel), unsigned integers, to the full trace of every layer, as the chip computes it.

    Raises MissingLoihiError (exit code 3) without Intel's extension, BackendError as `runtime.backends.lava.run`.
    """
    check(network, frames)
    try:
        interpreter = lava.find_python(python)
    except BackendError as error:
        raise MissingLoihiError("this Python, nor is lava-nc itself") from error
    try:
        return lava.in_worker(
            [(network, frames)], f"loihi2 {json.dumps(asdict(host or Host()))}", interpreter, timeout
        )[0]
    except lava.WorkerExit as error:
        if "delaytool-loihi: missing" in error.log:
            raise MissingLoihiError(interpreter) from None
        raise


def check(network: IntegerNetwork, frames: np.ndarray) -> None:
    """Raise BackendError for what the chip cannot hold, beyond what Lava's simulation cannot."""
    lava.check(network, frames)
    for layer in network.layers:
        if layer.dv >= DECAY_UNITY:
            raise BackendError(
                f"layer {layer.name}: dv {layer.dv} exceeds the chip's 12 bits (4095); export with --target loihi2"
            )
        for number, group in enumerate(layer.synapses):
            delay = group.listed()[3]
            if delay.max(initial=0) > MAX_DELAY:
                raise BackendError(
                    f"layer {layer.name}, synapse group {number}: delay {delay.max()} exceeds loihi2's {MAX_DELAY}; "
                    "export with --target loihi2 --clip-delays"
                )
