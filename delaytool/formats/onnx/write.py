"""An integer network's ONNX files."""

from __future__ import annotations

import os
from pathlib import Path

from delaytool.contract.network import IntegerNetwork
from delaytool.files import atomic_path
from delaytool.formats.onnx.sequence import sequence_model
from delaytool.formats.onnx.step import step_model


def write_onnx(network: IntegerNetwork, path: str | os.PathLike[str], *, trace: bool = False) -> tuple[Path, Path]:
    """Write the graph of a whole sample to `path`, that of one step beside it as `<stem>-step.onnx`: both paths.

        write_onnx(IntegerNetwork.load("network.h5"), "network.onnx")

    trace   the sequence graph gives out every spike, u and v besides scores and class
    Raises ExportError for a network that one ONNX file cannot hold, MissingExtraError without onnx. Each file appears
    whole or not at all.
    """
    path = Path(path)
    beside = step_path(path)
    models = {path: sequence_model(network, trace=trace), beside: step_model(network)}
    for where, model in models.items():
        with atomic_path(where) as temporary:
            Path(temporary).write_bytes(model.SerializeToString(deterministic=True))
    return path, beside


def step_path(path: Path) -> Path:
    """Where the graph of one step lies, beside that of a whole sample at `path`."""
    return path.with_name(f"{path.stem}-step.onnx")
