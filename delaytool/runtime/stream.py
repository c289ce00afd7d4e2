"""The engine as a stream: one frame in, one step's spikes out, without an end; its state can be saved and resumed.

Step by step it gives the bits of a run over the same frames, and it goes on where a run would stop. Memory is the
network and its pending input, however long the stream.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from delaytool.contract.bounds import STATE_LIMIT, STATE_SHIFT
from delaytool.contract.frames import checked_frame
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError, first_line
from delaytool.files import atomic_path
from delaytool.runtime.counters import Counters, neuron_updates
from delaytool.runtime.engine import event_driven
from delaytool.runtime.engine.record import Record, new_recording

# A stream has no end; its counters have 63 bits.
MAX_STREAM_STEPS = 1 << 48


@dataclass(frozen=True)
class StreamStep:
    """The result of one step.

    spikes    for each layer (neuron,) bool
    readout   (class,) int32: the last layer's membrane
    """

    spikes: tuple[np.ndarray, ...]
    readout: np.ndarray


class Stream:
    """A network that runs for as long as it is fed.

    A layer's step sees input that is one step old and more, as in a run; feed frames of zeros for silence.

    >>> import delaytool as dt
    >>> stream = Stream(dt.load("tests/golden/one-neuron.h5"))
    >>> [bool(stream.step([payload]).spikes[0][0]) for payload in (0, 0, 1, 0, 0)]  # one input, one neuron
    [False, False, False, True, False]
    >>> stream.n_steps
    5
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
            checked_frame(self.network.encoding, frame),
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
            state = _read_state(path, {**self._arrays(), **self._labels()})
            self.restore(state)
        except FileNotFoundError:
            raise BackendError(f"{path}: no such file; give the state that Stream.save wrote") from None
        except BackendError as error:
            raise BackendError(f"{path}: {error}") from None
        except Exception as error:
            raise BackendError(f"{path}: not a stream's state ({first_line(error)}); save it again") from None

    def state(self) -> dict[str, np.ndarray]:
        """Everything that the next steps depend on, as arrays, and the counts so far."""
        return {name: array.copy() for name, array in self._arrays().items()} | self._labels()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave, in this or another Stream of the same network.

        Raises BackendError, and changes nothing, for a state of another network or with a value that none can reach:
        the engine's kernels take these values as places in memory and do not check them again.
        """
        mine = self._arrays()
        expected = {**mine, **self._labels()}
        missing = sorted(set(expected) - set(state))
        if missing:
            raise BackendError(f"the stream's state lacks {missing[0]!r}; save it again")
        given = {name: np.asarray(state[name]) for name in expected}
        for name, array in expected.items():
            if given[name].shape != array.shape or given[name].dtype != array.dtype:
                raise BackendError(
                    f"the stream's state has a damaged {name!r}: {given[name].dtype} values of shape "
                    f"{given[name].shape}, not {array.dtype} of shape {array.shape}; save it again"
                )
        if str(given["network"]) != self._fingerprint():
            raise BackendError("the stream's state belongs to another network; resume it with the one that saved it")
        self._check_values(given)
        for name, array in mine.items():
            array[...] = given[name]
        self._n_steps = int(given["n_steps"])

    def _check_values(self, given: dict[str, np.ndarray]) -> None:
        """Every value is one that the network can reach in so many steps."""
        tables, layers = self._tables, self.network.layers
        _check("n_steps", given["n_steps"], 0, MAX_STREAM_STEPS)
        n_steps = float(given["n_steps"])  # products of integers could leave 64 bits
        sizes = np.array([layer.n_neurons for layer in layers])
        fan = np.array([layer.n_synapses for layer in layers])
        _check("cursor", given["cursor"], 0, tables.rows - 1)
        _check("input_spikes", given["input_spikes"], 0, n_steps * self.network.encoding.n_channels)
        _check("spikes", given["spikes"], 0, n_steps * sizes[None])
        _check("synaptic_events", given["synaptic_events"], 0, n_steps * fan[None])
        for index, layer in enumerate(layers):
            first, last = tables.neuron_start[index], tables.neuron_start[index + 1]
            reach = self.network.current_reach(layer)
            _check("u", given["u"][first:last], -reach, reach)
            # A neuron above its threshold has fired and stands at 0.
            highest = min(STATE_LIMIT - 1, layer.threshold << STATE_SHIFT)
            _check("v", given["v"][first:last], -STATE_LIMIT + 1, highest)
            window = given["pending"][tables.window_start[index] : tables.window_start[index + 1]]
            rows = window.reshape(2 * int(tables.rows[index]), layer.n_neurons)
            low, high = self.network.input_bounds(layer)
            _check("pending", rows, low[None], high[None])
            cursor = int(given["cursor"][index])
            _check("pending", rows[:cursor], 0, 0)  # has arrived
            _check("pending", rows[cursor + int(tables.rows[index]) :], 0, 0)  # beyond the longest delay

    def _labels(self) -> dict[str, np.ndarray]:
        return {"n_steps": np.array(self._n_steps, np.int64), "network": np.array(self._fingerprint())}

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


def _check(name: str, values: np.ndarray, low: Any, high: Any) -> None:
    """Raise BackendError unless low <= values <= high, both as wide as numpy stretches them."""
    outside = (values < low) | (values > high)
    if outside.any():
        worst = np.asarray(values)[outside].flat[0]
        raise BackendError(f"the stream's state has {worst} in {name!r}, which its network cannot reach; save it again")


def _read_state(path: str | os.PathLike[str], expected: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a .npz file, read only where they have the type and shape that is expected of them.

    Raises BackendError, KeyError, ValueError or what zipfile raises.
    """
    state: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(path) as archive:
        for name, array in expected.items():
            entry = f"{name}.npy"
            if entry not in archive.namelist():
                raise BackendError(f"the stream's state lacks {name!r}; save it again")
            with archive.open(entry) as member:
                version = np.lib.format.read_magic(member)
                if version != (1, 0):
                    raise ValueError(f"{entry} has version {version}")
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
                if (shape, dtype) != (array.shape, array.dtype) or (fortran and len(shape) > 1):
                    raise BackendError(
                        f"the stream's state has a damaged {name!r}: {dtype} values of shape {shape}, not "
                        f"{array.dtype} of shape {array.shape}; save it again"
                    )
                data = member.read(array.nbytes + 1)
                if len(data) != array.nbytes:
                    raise ValueError(f"{entry} has {len(data)} bytes, not {array.nbytes}")
                state[name] = np.frombuffer(data, dtype).reshape(shape)
    return state
