# pyright: reportMissingImports=false
"""Lava processes of ours: the input, the recorder, and connections that cache their expanded matrix.

Neurons, and connections in the stock variant, are Lava's own.
"""

from __future__ import annotations

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
from lava.proc.sparse.models import PyDelaySparseModelBitAcc
from lava.proc.sparse.process import DelaySparse


class Frames(AbstractProcess):
    """Sends frames (step, channel), one a step, as payloads.

    `link` goes to every recorder, so that populations which no synapse joins are still one graph: Lava runs only
    what is connected.
    """

    def __init__(self, frames: np.ndarray) -> None:
        super().__init__(frames=frames)
        self.s_out = OutPort(shape=(frames.shape[1],))
        self.link = OutPort(shape=(1,))


@implements(proc=Frames, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyFrames(PyLoihiProcessModel):
    s_out: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    link: PyOutPort = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params) -> None:
        super().__init__(proc_params)
        self.frames = proc_params["frames"].astype(np.int32)

    def run_spk(self) -> None:
        self.s_out.send(self.frames[self.time_step - 1])
        self.link.send(np.zeros(1, np.int32))


class Recorder(AbstractProcess):
    """Writes a layer's spikes, u and v of every step to an .npz file, when the last step is over.

    Lava's own probes hand their data back value by value, which takes longer than the run.
    """

    def __init__(self, n_neurons: int, n_steps: int, path: str) -> None:
        super().__init__(n_neurons=n_neurons, n_steps=n_steps, path=path)
        self.link = InPort(shape=(1,))
        self.spikes = InPort(shape=(n_neurons,))
        self.u = RefPort(shape=(n_neurons,))
        self.v = RefPort(shape=(n_neurons,))


@implements(proc=Recorder, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyRecorder(PyLoihiProcessModel):
    link: PyInPort = LavaPyType(PyInPort.VEC_DENSE, np.int32)
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
        self.link.recv()
        self.record["spikes"][self.time_step - 1] = self.spikes.recv()

    def post_guard(self) -> bool:
        return True

    def run_post_mgmt(self) -> None:
        self.record["u"][self.time_step - 1] = self.u.read()
        self.record["v"][self.time_step - 1] = self.v.read()
        if self.time_step == self.n_steps:
            np.savez(self.path, spikes=self.record["spikes"], u=self.record["u"], v=self.record["v"])


class _Cached:
    """What the cached models change: the expanded matrix is made once, and a sample's end clears what is pending.

    The matrix is Lava's own (`get_delay_wgts_mat`, after Lava's own clipping and truncation of the weights). The
    time step at which a sample begins is known from `sample_steps`, a process parameter of ours.
    """

    expanded = None

    def run_spk(self) -> None:
        if (self.time_step - 1) % self.proc_params["sample_steps"] == 0:  # type: ignore[attr-defined]
            self.a_buff[:] = 0  # type: ignore[attr-defined]
        super().run_spk()  # type: ignore[misc]

    def matrix(self):
        if self.expanded is None:
            self.expanded = self.get_delay_wgts_mat(self.weights, self.delays, self.a_buff.shape[-1] - 1)  # type: ignore[attr-defined]
        return self.expanded


@implements(proc=DelayDense, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyCachedDelayDense(_Cached, PyDelayDenseModelBitAcc):
    """Lava's DelayDense with the expanded matrix made once, and only the columns of active inputs summed."""

    def calc_act(self, s_in: np.ndarray) -> np.ndarray:
        active = np.flatnonzero(s_in)
        if self.expanded is None:
            self.expanded = np.ascontiguousarray(self.matrix().T)  # (n_in, delays x n_out)
        total = s_in[active].astype(np.int64) @ self.expanded[active]
        return total.reshape(self.a_buff.shape[-1], self.weights.shape[0]).T


@implements(proc=DelaySparse, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyCachedDelaySparse(_Cached, PyDelaySparseModelBitAcc):
    """Lava's DelaySparse with the expanded matrix made once."""

    def calc_act(self, s_in: np.ndarray) -> np.ndarray:
        return np.reshape(self.matrix().dot(s_in), (self.a_buff.shape[-1], self.weights.shape[0])).T


CACHED_MODELS = {DelayDense: PyCachedDelayDense, DelaySparse: PyCachedDelaySparse}
