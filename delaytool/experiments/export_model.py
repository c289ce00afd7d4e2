"""From a float network in memory, ours or anyone's, to an IntegerNetwork in memory."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from delaytool.adapters.snntorch import read_snntorch
from delaytool.adapters.spikingjelly import read_spikingjelly
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.arrays import count_frames
from delaytool.datasets.network_frames import network_frames
from delaytool.datasets.spec import MEMORY
from delaytool.errors import DataError, ExportError
from delaytool.experiments.export_run import ExportOptions, checkpoint_path, class_names_of, export_run, origin_of
from delaytool.experiments.run import Run
from delaytool.exporter.compile import READOUTS, export_stages
from delaytool.exporter.compile import export as export_delay_network
from delaytool.hw_configs import Target, load_target
from delaytool.models.stages import Staged, refuse_changed_parts, stages_of
from delaytool.quantization.float_simulation import simulate_float
from delaytool.quantization.fold_batch_norm import fold_batch_norm
from delaytool.quantization.integer_training import TrainedNetwork
from delaytool.quantization.merge_taps import merge_taps
from delaytool.quantization.program_of_network import exportable_program
from delaytool.quantization.program_of_stages import program_of_stages
from delaytool.quantization.round_delays import round_delays
from delaytool.trainer.checkpoint import Checkpoint

# Modules of other libraries; stages_of knows this package's and PyTorch's own.
READERS = (read_spikingjelly, read_snntorch)


def export(
    model: nn.Module | Staged | Run | str | os.PathLike[str],
    target: str | Target = "loihi2",
    calibration: Any = None,
    *,
    encoding: InputEncoding | None = None,
    time_step_ms: float | None = None,
    class_names: Sequence[str] = (),
    readout: str | None = None,
    clip_delays: bool = False,
    checkpoint: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> IntegerNetwork:
    """Compile a float network for a chip; `save` of what is returned writes it to a file.

    model         a run or its folder; a DelayNetwork; or any network that gives its stages: an nn.Sequential of
                  DelayedLinear, BatchNorm, LIF and LeakyReadout, of spikingjelly's and dcls' modules, of
                  torch.nn.Linear and snnTorch's neurons; or an object with a method stages() that returns them in order
    target        a chip (`delaytool.hw_configs`), or 'ideal' for the contract's own limits alone
    calibration   frames (sample, time, channel) of spike counts that stand for the input: tensor, array or lists;
                  training frames will do. Where the encoding's values are 'graded', floats are quantized as in
                  training. Scales are chosen by how well the integers follow the float network on
                  them. Of a run: None for samples of its validation part, or of the training part where it has none;
                  a run on data in memory that was loaded has none of them
    encoding      how events become those frames; None: spike counts up to the calibration's largest, from time 0, of
                  time_step_ms each. A run has its own
    time_step_ms  where there is no encoding; None: 10
    class_names   one for each class; of a run: none for those of its data
    readout       how the class is read from the membranes of the last layer, if its neurons never fire: 'softmax-sum'
                  (None), the sum over time of their softmax, or 'sum'. Where they fire, their spikes are counted and
                  none is taken. A run and a DelayNetwork have their own
    clip_delays   cut delays over the chip's limit instead of refusing them
    checkpoint    of a run: 'best' (None) or 'last'
    progress      called with (layer, scales tried, scales to try)

    A network without a DelayNetwork's settings runs in the time of its own forward pass: a spike meets the membrane
    after its delay in the same step, and on the chip one step later for each layer. Raises ExportError, which names the
    module where the network has something that no integer network has, and the argument that would have no effect;
    CheckpointError for a run without such a checkpoint.

    >>> import delaytool as dt
    >>> _ = torch.manual_seed(0)
    >>> model = nn.Sequential(dt.DelayedLinear(4, 8, 9), dt.LIF(5.0), dt.DelayedLinear(8, 2, 9), dt.LeakyReadout())
    >>> frames = torch.rand(16, 20, 4) < 0.3  # (sample, time, channel)
    >>> network = export(model, "loihi2", calibration=frames, class_names=["left", "right"])
    >>> network
    IntegerNetwork(4 -> 8 -> 2, 48 synapses, max_delay=9, n_steps=22, target='loihi2')
    >>> network.save("network.h5")
    """
    chip = target if isinstance(target, Target) else load_target(target)
    if isinstance(model, str | os.PathLike):
        model = Run(Path(model))
    if isinstance(model, Run):
        step_ms = (time_step_ms, model.recipe.data.time_step_ms)
        readouts = (readout, READOUTS[0])
        _refuse_idle("a run has its own", encoding=(encoding, None), time_step_ms=step_ms, readout=readouts)
        return _export_run(model, chip, calibration, class_names, clip_delays, checkpoint or "best", progress)
    _refuse_idle("it is for runs", checkpoint=(checkpoint, "best"))
    if isinstance(model, TrainedNetwork):
        _refuse_idle("a DelayNetwork has its own", readout=(readout, READOUTS[0]))
    if encoding is not None:
        _refuse_idle("the encoding has its own", time_step_ms=(time_step_ms, encoding.time_step_ms))
    if calibration is None:
        raise ExportError(
            "calibration is missing; give frames (sample, time, channel) that stand for the input; training frames "
            "will do"
        )
    frames = _calibrating(encoding, calibration)
    encoding = _resolved(encoding, frames, 10.0 if time_step_ms is None else time_step_ms)
    names = tuple(map(str, class_names))
    if isinstance(model, TrainedNetwork):
        refuse_changed_parts(model)
        was_training = model.training
        try:
            return export_delay_network(
                model.eval(), encoding, chip, None, frames,
                clip_delays=clip_delays, class_names=names, progress=progress,
            ).network  # fmt: skip
        finally:
            model.train(was_training)
    return export_stages(
        stages_of(model, READERS), encoding, chip, frames,
        readout=readout, clip_delays=clip_delays, class_names=names, progress=progress,
    ).network  # fmt: skip


def _calibrating(encoding: InputEncoding | None, calibration: Any) -> np.ndarray:
    """Calibration frames as integers, of no more steps than training takes of a sample."""
    frames = count_frames(calibration) if encoding is None else network_frames(encoding, calibration)
    if not frames.size:
        raise ExportError(f"calibration frames have shape {frames.shape}; give at least one sample")
    return frames if encoding is None else frames[:, : encoding.n_steps]


@torch.no_grad()
def simulate_stages(model: nn.Module | Staged, frames: Any) -> list[np.ndarray]:
    """What the exporter understands of a network, in floats: each layer's spikes, of the last its membrane if it never
    fires; each (sample, step, neuron), delays rounded.

    frames (sample, time, channel) of spike counts. Compare with your own forward pass: where they agree, what is
    exported is the network that you trained. Raises ExportError.

    >>> import delaytool as dt
    >>> model = nn.Sequential(dt.DelayedLinear(4, 8, 9), dt.LIF(5.0), dt.DelayedLinear(8, 2, 9), dt.LeakyReadout())
    >>> frames = torch.rand(16, 20, 4) < 0.3
    >>> own = model.eval()(frames.float().transpose(0, 1)).transpose(0, 1)  # (sample, time, class)
    >>> membrane = simulate_stages(model, frames)[-1]  # (sample, time, class)
    >>> np.testing.assert_allclose(membrane, own.detach(), atol=1e-5)
    """
    given = count_frames(frames)
    encoding = _resolved(None, given, 10.0)
    if isinstance(model, TrainedNetwork):
        refuse_changed_parts(model)
        program = exportable_program(model, encoding)
    else:
        program = program_of_stages(stages_of(model, READERS), encoding)
    program = merge_taps(round_delays(fold_batch_norm(program), load_target("ideal")))
    return [layer.numpy() for layer in simulate_float(program, given)]


def _refuse_idle(why: str, **given: tuple[Any, Any]) -> None:
    """Raise ExportError for an argument that would have no effect; why: the reason.

    Of each: (what is given, what is so anyhow). None and what is so anyhow are let pass.
    """
    for name, (value, own) in given.items():
        if value is not None and value != own:
            shown = f" {value!r}" if isinstance(value, str | float | int) else ""
            raise ExportError(f"{name}{shown} would have no effect, {why}; leave it out")


def _resolved(encoding: InputEncoding | None, frames: np.ndarray, time_step_ms: float) -> InputEncoding:
    steps, channels = frames.shape[1:]
    largest = max(1, int(frames.max(initial=0)))
    if encoding is None:
        return InputEncoding(
            n_units=channels, time_step_ms=time_step_ms, start="zero", n_steps=steps, max_count=min(255, largest)
        )
    if encoding.n_channels != channels:
        raise ExportError(f"calibration frames have {channels} channels, the encoding {encoding.n_channels}")
    if encoding.n_steps is None or (encoding.max_count is None and encoding.values == "count"):
        # Of values that are not counted, the encoding itself states the largest.
        most = largest if encoding.values == "count" else encoding.max_payload
        encoding = replace(encoding, n_steps=encoding.n_steps or steps, max_count=encoding.max_count or most)
    return encoding


def _export_run(
    run: Run,
    chip: Target,
    calibration: Any,
    class_names: Sequence[str],
    clip_delays: bool,
    checkpoint: str,
    progress: Callable[[str, int, int], None] | None,
) -> IntegerNetwork:
    if calibration is None:
        if run.data is None and run.recipe.data.source == MEMORY:
            raise DataError(
                f"{run.path}: these data were given in memory, so they are not on any disk; give frames that stand for "
                "them, calibration=frames (training frames will do)"
            )
        options = ExportOptions(checkpoint=checkpoint, clip_delays=clip_delays)
        done = export_run(run.path, chip, None, options, progress, data=run.data)
        for sentence in done.warnings:
            warnings.warn(sentence, stacklevel=3)
        network = done.network
        return network if not class_names else replace(network, class_names=tuple(map(str, class_names)))
    source = checkpoint_path(run.path, checkpoint)
    saved = Checkpoint.load(source)
    names = tuple(map(str, class_names)) or class_names_of(run.path, saved)
    return export_delay_network(
        saved.network(), saved.encoding, chip, None, _calibrating(saved.encoding, calibration),
        clip_delays=clip_delays, checkpoint=checkpoint, class_names=names, provenance=origin_of(saved, source),
        progress=progress,
    ).network  # fmt: skip
