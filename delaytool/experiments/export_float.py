"""From a run folder to its float network as an ONNX file, and how far onnxruntime is from PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from delaytool.datasets.subset import evenly_spaced
from delaytool.errors import ExportError
from delaytool.experiments.data_of_run import data_of_run
from delaytool.experiments.export_run import ExportOptions, checkpoint_path, class_names_of
from delaytool.exporter.float_onnx import FloatDifference, float_difference, write_float_onnx
from delaytool.models.delay_network import class_scores
from delaytool.runtime.backends.onnx import open_session
from delaytool.trainer.checkpoint import Checkpoint


def export_float(
    run: Path,
    output: Path,
    options: ExportOptions,
    *,
    trace: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[FloatDifference, tuple[str, ...]]:
    """Write a run's float network with rounded delays, and compare it with PyTorch on validation samples.

    Returns what differs, and warnings about the data that it was compared on.

    options   checkpoint, data, and calibration_samples: as many samples are compared
    trace     the file gives out spikes and membranes too
    Raises DelaytoolError.
    """
    saved = Checkpoint.load(checkpoint_path(run, options.checkpoint))
    loaded, warnings = data_of_run(saved, options.data, progress)
    names = class_names_of(run, saved, loaded.class_names)
    if saved.scales is not None:
        raise ExportError(
            f"onnx: the run was trained through {saved.scales.target.name}'s integers and has no float network of its "
            f"own; export the integers with --target onnx --chip {saved.scales.target.name}"
        )
    model = saved.float_network()
    # Compared with its spikes given out, then written as asked.
    write_float_onnx(model, saved.encoding, output, names, trace=True)
    part = loaded.train if loaded.validation is None else loaded.validation
    compared = part.frames[evenly_spaced(len(part), options.calibration_samples)]
    difference = _difference(model, output, compared, saved.recipe.trainer.batch_size)
    if not trace:
        write_float_onnx(model, saved.encoding, output, names)
    return difference, warnings


def _difference(model, path: Path, frames: torch.Tensor, batch_size: int) -> FloatDifference:
    session = open_session(str(path))
    hidden = model.layer_names()[: len(model.hidden)]
    outputs = [f"spikes/{index}" for index in range(len(hidden))]
    ours: list[list[np.ndarray]] = [[] for _ in hidden]
    theirs: list[list[np.ndarray]] = [[] for _ in hidden]
    classes: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for start in range(0, len(frames), batch_size):
        batch = frames[start : start + batch_size]
        with torch.no_grad():
            spikes, membrane = model.traced(batch)
        *got, found = session.run([*outputs, "class"], {"frames": batch.numpy()})
        classes[0].append(class_scores(membrane).argmax(1).numpy())
        classes[1].append(found)
        for index, layer in enumerate(spikes):
            ours[index].append(layer.transpose(0, 1).numpy().astype(np.bool_))
            theirs[index].append(got[index].astype(np.bool_))
    return float_difference(
        hidden,
        ([np.concatenate(parts) for parts in ours], [np.concatenate(parts) for parts in theirs]),
        (np.concatenate(classes[0]), np.concatenate(classes[1])),
    )
