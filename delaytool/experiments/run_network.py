"""An integer network in memory: loaded, run on a backend, verified on several. Needs no PyTorch."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from delaytool.contract.checks import shown
from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.arrays import array_of
from delaytool.datasets.in_memory import number_labels
from delaytool.datasets.network_frames import network_frames
from delaytool.errors import BackendError, DataError
from delaytool.experiments.verify_run import torch_backend
from delaytool.runtime.backends import Backend, BackendOptions, backend_named
from delaytool.runtime.trace import Trace
from delaytool.verification.float_figures import FloatFigures
from delaytool.verification.verdict import Verdict
from delaytool.verification.verdict import verify as verify_backends


def load(path: str | os.PathLike[str]) -> IntegerNetwork:
    """A network from its file, which `save` or `delaytool export` wrote. Raises NetworkError.

    >>> load("tests/golden/three-layers.h5")
    IntegerNetwork(12 -> 16 -> 16 -> 5, 525 synapses, max_delay=62, n_steps=120, target='loihi2')
    """
    return IntegerNetwork.load(path)


def run(
    network: IntegerNetwork, frames: Any, backend: str | Backend = "engine", *, options: BackendOptions | None = None
) -> Trace:
    """Every layer's spikes, currents and membranes at every step.

    frames    (sample, time, channel) of whole numbers: tensor, array or lists; where the network's `encoding.values` is
              'graded', floats are real numbers, which are quantized as in training
    backend   a name ('engine', 'reference', 'torch', 'lava', ...), or a function (network, frames) -> Trace

    Frames are taken as a chip would be sent them: those past the encoding's n_steps, which training, `predict` and
    `verify` cut, are read too for as long as the network runs (its n_steps).
    Raises BackendError, and DataError for frames that the network's encoding does not admit.

    >>> network = load("tests/golden/three-layers.h5")
    >>> frames = np.load("tests/golden/three-layers.npz")["frames"]  # (sample, time, channel)
    >>> trace = run(network, frames, "reference")
    >>> trace.readout.shape  # (sample, step, class): membranes of the last layer
    (2, 120, 5)
    >>> [int(layer.sum()) for layer in trace.spikes]  # of each layer, over samples, steps and neurons
    [308, 175, 0]
    """
    return _backend(backend, options)(network, network_frames(network.encoding, frames))


def verify(
    network: IntegerNetwork,
    frames: Any,
    labels: Any,
    backends: Sequence[str] | Mapping[str, str | Backend] = ("engine", "reference"),
    *,
    float_accuracy: float | None = None,
    max_drop: float | None = None,
    options: BackendOptions | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Verdict:
    """Run several backends on the same samples and compare each with the first, bit for bit.

    frames           (sample, time, channel) as of `run`; those past the encoding's n_steps are cut, as in training,
                     with a warning where they hold anything
    labels           (sample,): numbers, or the network's class names
    backends         at least two names, or functions (or names) by names of yours; the accuracy of the first counts
    float_accuracy   0..1, of the float network with rounded delays on these samples; None: not known
    max_drop         points of accuracy that the integers may cost; None: bits alone decide
    Raises VerificationError where nothing would be compared, DataError, BackendError.

    >>> network = load("tests/golden/three-layers.h5")
    >>> frames = np.load("tests/golden/three-layers.npz")["frames"]
    >>> verify(network, frames, labels=[3, 1], backends=["engine", "reference"])
    Verdict(passed: engine, reference; 2 samples, 0 values differ, accuracy 50.00 %)
    """
    named = _backends(backends, options)
    figures = None
    if float_accuracy is not None:
        if not 0 <= float_accuracy <= 1:
            raise DataError(f"float_accuracy {float_accuracy} is no share of the samples; give 0..1")
        figures = FloatFigures(float_accuracy, float_accuracy, origin="given by the caller")
    return verify_backends(
        network, _cut(network, network_frames(network.encoding, frames)), labels_of(network, labels), named,
        floats=figures, max_drop=max_drop, progress=progress,
    )  # fmt: skip


def labels_of(network: IntegerNetwork, labels: Any) -> np.ndarray:
    """(sample,) numbers of labels that may be the network's class names. Raises DataError."""
    values = array_of(labels).reshape(-1)
    if values.dtype.kind == "f" and (values == np.floor(values)).all():
        values = values.astype(np.int64)
    every = values.tolist()
    name = next((label for label in every if isinstance(label, str)), None)
    if name is not None and not network.class_names:
        raise DataError(
            f"label {shown(name)} is a name, and the network names no classes; give numbers, "
            f"0..{network.n_classes - 1}, or export it with class_names"
        )
    return number_labels({"": every}, network.class_names or None)[0][""]


def _cut(network: IntegerNetwork, frames: np.ndarray) -> np.ndarray:
    """Frames (sample, time, channel) as training cut them, with a warning where that takes anything away."""
    n_steps = network.encoding.n_steps
    if n_steps is None or frames.shape[1] <= n_steps:
        return frames
    heard = np.flatnonzero(frames[:, n_steps:].any(axis=(1, 2)))
    if heard.size:
        warnings.warn(
            f"{heard.size} of {len(frames)} samples (the first is {heard[0]}) have {frames.shape[1]} steps, of which "
            f"the network's sample takes the first {n_steps}",
            stacklevel=3,
        )
    return frames[:, :n_steps]


def _backends(
    backends: Sequence[str] | Mapping[str, str | Backend], options: BackendOptions | None
) -> dict[str, Backend]:
    if isinstance(backends, str):
        raise BackendError(
            f"backends {backends!r} is one name; give a list of at least two, as ['engine', 'reference']"
        )
    if isinstance(backends, Mapping):
        wrong = next((name for name in backends if not isinstance(name, str)), None)
        if wrong is not None:
            raise BackendError(f"backends has the key {shown(wrong)}, which is no text; name each backend by a text")
        # A name that stands twice is one function, so that it is not compared with itself.
        made = {one: _backend(one, options) for one in backends.values() if isinstance(one, str)}
        return {name: made[one] if isinstance(one, str) else _backend(one, options) for name, one in backends.items()}
    names = list(backends)
    unnamed = next((one for one in names if not isinstance(one, str)), None)
    if unnamed is not None:
        raise BackendError(
            f"backends holds {shown(unnamed)}, which is no name; give functions by name, as {{'mine': function, "
            "'engine': 'engine'}"
        )
    return {name: _backend(name, options) for name in names}


def _backend(backend: str | Backend, options: BackendOptions | None) -> Backend:
    if callable(backend):
        return backend
    if not isinstance(backend, str):
        raise BackendError(f"backend {shown(backend)} is neither a name nor a function (network, frames) -> Trace")
    return torch_backend() if backend == "torch" else backend_named(backend, options)
