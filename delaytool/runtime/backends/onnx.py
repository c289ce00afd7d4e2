"""Run a network in onnxruntime, as an ONNX graph of the whole sample or step by step."""

from __future__ import annotations

from typing import Any

import numpy as np

from delaytool.contract.frames import checked_frames, padded_input
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError, MissingExtraError
from delaytool.formats.onnx.sequence import sequence_model
from delaytool.formats.onnx.step import NEXT, state_shapes, step_model
from delaytool.runtime.trace import Trace

FORMS = ("sequence", "convolution", "step")
# Shifted copies of the input and everything that is recorded, of the samples that run at once.
CHUNK_BYTES = 256 << 20


class OnnxBackend:
    """A backend `(network, frames) -> Trace` that keeps the last network's session.

    Of the graph it asks for spikes, u and v alone: scores and class are taken from v, as every backend's are.

    form      'sequence': a graph of the whole sample; 'convolution': the same with ConvInteger; 'step': a graph of one
              step, called once for each
    threads   of onnxruntime; None: its own choice
    """

    def __init__(self, form: str = "sequence", threads: int | None = None) -> None:
        if form not in FORMS:
            raise BackendError(f"onnx: form {form!r} is unknown; choose one of {', '.join(FORMS)}")
        self.form, self.threads = form, threads
        self._network: IntegerNetwork | None = None
        self._session: Any = None

    def __call__(self, network: IntegerNetwork, frames: np.ndarray) -> Trace:
        """Frames (sample, time, channel), unsigned integers, to the full trace of every layer.

        Raises MissingExtraError without onnx or onnxruntime, ExportError for a network that one ONNX file cannot hold,
        DataError for frames that the network does not read.
        """
        frames = checked_frames(network.encoding, frames)
        if network is not self._network:
            convolution = self.form == "convolution"
            model = (
                step_model(network)
                if self.form == "step"
                else sequence_model(network, trace=True, convolution=convolution)
            )
            self._session, self._network = open_session(model.SerializeToString(), self.threads), network
        run = run_steps if self.form == "step" else run_sequence
        size = _samples_at_once(network)
        parts = [run(self._session, network, frames[at : at + size]) for at in range(0, max(1, len(frames)), size)]
        return Trace(
            *(
                tuple(np.concatenate(arrays) for arrays in zip(*(getattr(part, name) for part in parts), strict=True))
                for name in ("spikes", "u", "v")
            )
        )


def open_session(model: bytes | str, threads: int | None = None) -> Any:
    """An onnxruntime session on the CPU for a model or a model file. Raises MissingExtraError without onnxruntime."""
    try:
        import onnxruntime
    except ModuleNotFoundError:
        raise MissingExtraError("the backend 'onnx'", "onnxruntime", "onnx") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_sequence(session: Any, network: IntegerNetwork, frames: np.ndarray) -> Trace:
    """All frames at once through a session of `sequence_model(network, trace=True)`."""
    names = [f"{name}/{index}" for name in ("spikes", "u", "v") for index in range(len(network.layers))]
    values = session.run(names, {"frames": frames})
    return _trace(dict(zip(names, values, strict=True)), len(network.layers))


def run_steps(session: Any, network: IntegerNetwork, frames: np.ndarray) -> Trace:
    """All frames step by step through a session of `step_model(network)`."""
    frames = padded_input(frames, network.n_steps)
    state = first_state(network, len(frames))
    outputs = [output.name for output in session.get_outputs()]
    records: dict[str, list[np.ndarray]] = {}
    for step in range(network.n_steps):
        values = dict(zip(outputs, session.run(outputs, {"frame": frames[:, step], **state}), strict=True))
        state = {name: values[NEXT + name] for name in state}
        for index in range(len(network.layers)):
            for name, source in (("spikes", "spikes"), ("u", NEXT + "u"), ("v", NEXT + "v")):
                records.setdefault(f"{name}/{index}", []).append(values[f"{source}/{index}"])
    return _trace({name: np.stack(arrays, axis=1) for name, arrays in records.items()}, len(network.layers))


def first_state(network: IntegerNetwork, n_samples: int) -> dict[str, np.ndarray]:
    """The state before the first step: zeros."""
    arrays = {
        name: np.zeros((n_samples, *shape), np.float64 if name == "scores" else np.int32)
        for name, shape in state_shapes(network).items()
    }
    return {**arrays, "step": np.zeros(1, np.int64)}


def _trace(values: dict[str, np.ndarray], n_layers: int) -> Trace:
    return Trace(
        spikes=tuple(values[f"spikes/{index}"].astype(np.bool_) for index in range(n_layers)),
        u=tuple(values[f"u/{index}"] for index in range(n_layers)),
        v=tuple(values[f"v/{index}"] for index in range(n_layers)),
    )


def _samples_at_once(network: IntegerNetwork) -> int:
    neurons = sum(layer.n_neurons for layer in network.layers)
    shifted = max(
        (
            network.n_neurons_of(source) * min(network.n_steps, layer.max_delay + 1)
            for layer in network.layers
            for source in {group.source for group in layer.synapses}
        ),
        default=0,
    )
    # spikes 1, u 4, v 4 bytes, and the sums that arrive 4
    return max(1, CHUNK_BYTES // (network.n_steps * (13 * neurons + shifted)))
