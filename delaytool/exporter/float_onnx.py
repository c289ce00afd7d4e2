"""A trained float network, its delays rounded, as an ONNX file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import ExportError
from delaytool.files import atomic_path
from delaytool.formats.onnx.float_sequence import FloatStage, FloatSynapses, float_model
from delaytool.models.config import why_no_integers
from delaytool.models.delay_network import DelayNetwork
from delaytool.quantization.fold_batch_norm import fold_batch_norm
from delaytool.quantization.program import Program
from delaytool.quantization.program_of_network import program_of_network


@dataclass(frozen=True)
class FloatDifference:
    """What two runs of one float network differ in, as shares of 0..1.

    spikes    by hidden layer: spikes that only one of the two has, over those of the first
    classes   samples of another class
    samples   that were compared
    """

    spikes: dict[str, float]
    classes: float
    samples: int


def float_stages(program: Program) -> list[FloatStage]:
    """A program whose batch norm is folded, as the stages of an ONNX graph; delays are rounded, half to even."""
    stages = []
    for layer, steps, late in zip(program.layers, program.steps, program.late, strict=True):
        within = layer.recurrent
        stages.append(
            FloatStage(
                name=layer.name,
                synapses=FloatSynapses(layer.weight, _whole(layer.delay)),
                bias=layer.bias,
                tau=layer.tau,
                threshold=layer.threshold,
                n_steps=steps,
                current_tau=layer.current_tau,
                recurrent=None if within is None else FloatSynapses(within.weight, _whole(within.delay)),
                late=int(late == 0),
            )
        )
    return stages


def write_float_onnx(
    model: DelayNetwork,
    encoding: InputEncoding,
    path: str | os.PathLike[str],
    classes: Sequence[str] | None = None,
    *,
    trace: bool = False,
) -> Path:
    """Write a trained network with rounded delays, as it is evaluated, as one ONNX graph of a whole sample.

    trace   the graph gives out spikes and membranes too
    Raises ExportError for neurons that the graph does not have, MissingExtraError without onnx.
    """
    neuron = model.config.neuron
    if why_no_integers(neuron):  # the graph's neurons are those of the integer contract, in floats
        raise ExportError(
            f"network: the ONNX graph has one constant threshold per layer, and model.neuron is {neuron!r}; evaluate "
            "the network in PyTorch (delaytool.load_run(RUN).model())"
        )
    program = fold_batch_norm(program_of_network(model, encoding))
    made = float_model(encoding, float_stages(program), classes, trace=trace)
    with atomic_path(path) as temporary:
        Path(temporary).write_bytes(made.SerializeToString(deterministic=True))
    return Path(path)


def float_difference(
    names: Sequence[str],
    spikes: tuple[Sequence[np.ndarray], Sequence[np.ndarray]],
    classes: tuple[np.ndarray, np.ndarray],
) -> FloatDifference:
    """How far two runs of the same samples are apart: hidden layers' spikes (sample, step, neuron), and classes."""
    shares = {}
    for name, first, second in zip(names, *spikes, strict=True):
        differing = int((first.astype(np.bool_) != second.astype(np.bool_)).sum())
        shares[name] = differing / max(1, int(first.astype(np.bool_).sum()))
    return FloatDifference(shares, float((classes[0] != classes[1]).mean()), len(classes[0]))


def _whole(delay: np.ndarray) -> np.ndarray:
    # In float32, as trained: a delay must not round otherwise here than in the trainer's evaluation.
    return np.round(delay.astype(np.float32)).astype(np.int64)
