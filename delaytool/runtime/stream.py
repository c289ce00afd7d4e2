"""The engine as a stream: one frame in, one step's spikes out, without an end; its state can be put away and resumed.

Step by step it gives the bits of a run over the same frames, and it goes on where a run would stop. Memory is the
network and its pending input, however long the stream.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from delaytool.errors import BackendError, DataError
from delaytool.files import atomic_path
from delaytool.network import IntegerNetwork
from delaytool.runtime import event_driven
from delaytool.runtime.counters import Counters, neuron_updates
from delaytool.runtime.engine_record import Record, new_recording


@dataclass(frozen=True)
class StreamStep:
    """What one step did.

    spikes    for each layer (neuron,) bool
    readout   (class,) int32: the last layer's membrane
    """

    spikes: tuple[np.ndarray, ...]
    readout: np.ndarray


class Stream:
    """A network that runs for as long as it is fed.

        stream = Stream(network)
        for frame in frames:
            print(stream.step(frame).readout)

    A layer's step sees input that is one step old and more, as in a run; feed frames of zeros for silence.
    """

    def __init__(self, network: IntegerNetwork) -> None:
        self.network = network
        self._tables = event_driven.build(network)
        self._recording = new_recording(network, Record(), 0)
        self.reset()

    def reset(self) -> None:
        """Forget everything, pending input too."""
        n_layers = len(self.network.layers)
        self._state = event_driven.new_state(self._tables)
        self._fired = np.zeros(int(self._tables.neuron_start[-1]), np.uint8)
        self._n_steps = 0
        self._input_spikes = np.zeros(1, np.int64)
        self._spikes = np.zeros((1, n_layers), np.int64)
        self._events = np.zeros((1, n_layers), np.int64)

    @property
    def n_steps(self) -> int:
        """Steps since the beginning or the last reset."""
        return self._n_steps

    @property
    def counters(self) -> Counters:
        """Counts of all steps so far, as of one sample."""
        return Counters(
            self._input_spikes.copy(),
            self._spikes.copy(),
            self._events.copy(),
            neuron_updates(self.network, 1, self._n_steps),
        )

    def step(self, frame: np.ndarray) -> StreamStep:
        """Run one step with one frame (channel,) of integers. Raises DataError if the encoding does not admit it."""
        event_driven.advance(
            self._tables,
            self._state,
            self._checked(frame),
            0,
            1,
            1,
            0,
            self._recording,
            self._input_spikes,
            self._spikes,
            self._events,
            self._fired,
        )
        self._n_steps += 1
        starts = self._tables.neuron_start
        fired = self._fired.view(np.bool_)
        return StreamStep(
            spikes=tuple(fired[a:b].copy() for a, b in pairwise(starts)),
            readout=self._state.v[starts[-2] :].copy(),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the state to a file (.npz); it appears whole or not at all."""
        with atomic_path(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, **self.state())  # type: ignore[arg-type]

    def load(self, path: str | os.PathLike[str]) -> None:
        """Go on from a file that `save` wrote for the same network. Raises BackendError otherwise."""
        try:
            with np.load(path, allow_pickle=False) as file:
                state = {name: file[name] for name in file.files}
        except FileNotFoundError:
            raise BackendError(f"{path}: no such file; give the state that Stream.save wrote") from None
        except Exception as error:
            raise BackendError(f"{path}: not a stream's state ({error}); save it again") from None
        try:
            self.restore(state)
        except BackendError as error:
            raise BackendError(f"{path}: {error}") from None

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next steps depend on, as arrays, and the counts so far."""
        return {name: array.copy() for name, array in self._arrays().items()} | {
            "n_steps": np.array(self._n_steps, np.int64),
            "network": np.array(self._fingerprint()),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave, in this or another Stream of the same network."""
        mine = self._arrays()
        missing = sorted({*mine, "n_steps", "network"} - set(state))
        if missing:
            raise BackendError(f"the stream's state lacks {missing[0]!r}; save it again")
        if str(state["network"]) != self._fingerprint():
            raise BackendError("the stream's state belongs to another network; resume it with the one that saved it")
        for name, array in mine.items():
            if np.shape(state[name]) != array.shape or np.asarray(state[name]).dtype != array.dtype:
                raise BackendError(f"the stream's state has a damaged {name!r}; save it again")
        for name, array in mine.items():
            array[...] = state[name]
        self._n_steps = int(state["n_steps"])

    def _arrays(self) -> dict[str, np.ndarray]:
        return self._state._asdict() | {
            "input_spikes": self._input_spikes,
            "spikes": self._spikes,
            "synaptic_events": self._events,
        }

    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name, value in self._tables._replace(n_steps=0)._asdict().items():  # a stream has no length
            digest.update(f"{name} {np.shape(value)} {np.asarray(value).dtype};".encode())
            digest.update(np.ascontiguousarray(value).tobytes())
        return digest.hexdigest()

    def _checked(self, frame: np.ndarray) -> np.ndarray:
        encoding = self.network.encoding
        frame = np.asarray(frame)
        if frame.shape != (encoding.n_channels,):
            raise DataError(f"a frame has shape {frame.shape}, the network reads ({encoding.n_channels} channels,)")
        if frame.dtype != np.bool_ and not np.issubdtype(frame.dtype, np.integer):
            raise DataError(f"a frame holds {frame.dtype} values, the network reads integers; bin the events first")
        low, high = int(frame.min()), int(frame.max())
        if low < 0 or high > encoding.max_payload:
            worst = low if low < 0 else high
            raise DataError(f"a frame holds the value {worst}, the network's encoding admits 0..{encoding.max_payload}")
        return frame.astype(np.uint8)
