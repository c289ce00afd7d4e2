# pyright: reportMissingImports=false
"""Lava processes and models of ours.

Of the stock variant only the input and the recorder; its neurons and connections are Lava's own. The cached
variant's neurons and connections are subclasses of Lava's that keep its arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort, PyRefPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort, RefPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.models import PyDelayDenseModelBitAcc
from lava.proc.dense.process import DelayDense
from lava.proc.lif.models import PyLifResetModelBitAcc
from lava.proc.lif.process import LIFReset
from lava.proc.sparse.models import PyDelaySparseModelBitAcc
from lava.proc.sparse.process import DelaySparse


def save_record(path: str, record: dict[str, np.ndarray]) -> None:
    np.savez(path, spikes=record["spikes"], u=record["u"], v=record["v"])


class Frames(AbstractProcess):
    """Sends frames (step, channel), one per step, as payloads."""

    def __init__(self, frames: np.ndarray) -> None:
        super().__init__(frames=frames)
        self.s_out = OutPort(shape=(frames.shape[1],))


@implements(proc=Frames, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyFrames(PyLoihiProcessModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params) -> None:
        super().__init__(proc_params)
        self.frames = proc_params["frames"].astype(np.int32)

    def run_spk(self) -> None:
        self.s_out.send(self.frames[self.time_step - 1])


class Recorder(AbstractProcess):
    """Writes a layer's spikes, u and v of every step to an .npz file, when the last step is over.

    Lava's own probes hand their data back value by value, which takes longer than the run.
    """

    def __init__(self, n_neurons: int, n_steps: int, path: str) -> None:
        super().__init__(n_neurons=n_neurons, n_steps=n_steps, path=path)
        self.spikes = InPort(shape=(n_neurons,))
        self.u = RefPort(shape=(n_neurons,))
        self.v = RefPort(shape=(n_neurons,))


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyRecorder(PyLoihiProcessModel):
    spikes: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    u: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)
    v: PyRefPort = LavaPyType(PyRefPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params) -> None:
        super().__init__(proc_params)
        self.n_steps = proc_params["n_steps"]
        self.path = proc_params["path"]
        shape = (self.n_steps, proc_params["n_neurons"])
        self.record = {name: np.zeros(shape, np.int32) for name in ("spikes", "u", "v")}

    def run_spk(self) -> None:
        self.record["spikes"][self.time_step - 1] = self.spikes.recv()

    def post_guard(self) -> bool:
        return True

    def run_post_mgmt(self) -> None:
        self.record["u"][self.time_step - 1] = self.u.read()
        self.record["v"][self.time_step - 1] = self.v.read()
        if self.time_step == self.n_steps:
            save_record(self.path, self.record)


class _Cached:
    """The changes of the cached models: the expanded matrix is made once, and a sample's end clears what is pending.

    The matrix is Lava's own (`get_delay_wgts_mat`, after Lava's own clipping and truncation of the weights). The
    time step at which a sample begins is known from `sample_steps`, a process parameter of ours.
    """

    time_step: int
    proc_params: Any
    weights: Any
    delays: Any
    a_buff: np.ndarray
    get_delay_wgts_mat: Callable
    expanded: Any = None

    def run_spk(self) -> None:
        if (self.time_step - 1) % self.proc_params["sample_steps"] == 0:
            self.a_buff[:] = 0
        super().run_spk()  # type: ignore[misc]

    def matrix(self) -> Any:
        return self.get_delay_wgts_mat(self.weights, self.delays, self.a_buff.shape[-1] - 1)


@implements(proc=DelayDense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyCachedDelayDense(_Cached, PyDelayDenseModelBitAcc):
    """Lava's DelayDense with the expanded matrix made once, and only the columns of active inputs summed."""

    def calc_act(self, s_in: np.ndarray) -> np.ndarray:
        if self.expanded is None:
            self.expanded = np.ascontiguousarray(self.matrix().T)  # (n_in, delays x n_out)
        active = np.flatnonzero(s_in)
        total = s_in[active].astype(np.int64) @ self.expanded[active]
        return total.reshape(self.a_buff.shape[-1], self.weights.shape[0]).T


@implements(proc=DelaySparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyCachedDelaySparse(_Cached, PyDelaySparseModelBitAcc):
    """Lava's DelaySparse with the expanded matrix made once."""

    def calc_act(self, s_in: np.ndarray) -> np.ndarray:
        if self.expanded is None:
            self.expanded = self.matrix().tocsr()
        return np.reshape(self.expanded.dot(s_in), (self.a_buff.shape[-1], self.weights.shape[0])).T


@implements(proc=LIFReset, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyRecordingLIFReset(PyLifResetModelBitAcc):
    """Lava's LIFReset, which also keeps the record that `Recorder` would read over slow channels."""

    def __init__(self, proc_params) -> None:
        super().__init__(proc_params)
        shape = (proc_params["record_steps"], *proc_params["shape"])
        self.record = {name: np.zeros(shape, np.int32) for name in ("spikes", "u", "v")}

    def spiking_activation(self) -> np.ndarray:
        spikes = super().spiking_activation()
        self.record["spikes"][self.time_step - 1] = spikes
        return spikes

    def run_spk(self) -> None:
        super().run_spk()
        self.record["u"][self.time_step - 1] = self.u
        self.record["v"][self.time_step - 1] = self.v
        if self.time_step == len(self.record["u"]):
            save_record(self.proc_params["record_path"], self.record)


CACHED_MODELS = {DelayDense: PyCachedDelayDense, DelaySparse: PyCachedDelaySparse, LIFReset: PyRecordingLIFReset}
