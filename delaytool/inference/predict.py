"""From recordings, events or frames to classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.events import EventData
from delaytool.datasets.frames import FrameData
from delaytool.inference.inputs import frames_of_input
from delaytool.inference.prediction import Prediction, margin_of, name_of_class
from delaytool.runtime import engine
from delaytool.runtime.decode import decode


def predict(
    network: IntegerNetwork,
    inputs: Any,
    *,
    samples: Sequence[int] | np.ndarray | None = None,
    rate: int | None = None,
    time_unit: str | None = None,
    announce: Callable[[str], None] | None = None,
) -> list[Prediction]:
    """What the integer network decides about each sample of `inputs`, encoded as it was trained.

    inputs     one input or a list of several. An input is
               - the path of a recording (.wav, .flac), an HDF5 file of events in SHD's layout, or a .npy file;
               - frames, (time, channel) or (sample, time, channel): whole numbers, of any type, as the network reads
                 them, or, where its `encoding.values` is 'graded', floats, which are quantized as in training (whole
                 numbers of an integer type are then taken as quantized already);
               - a sound, (samples,) floats in -1..1 with its `rate`;
               - events, a tuple (times, units), or an `EventData`; or a `FrameData`.
               Arrays may be NumPy's, PyTorch's or nested lists.
    samples    numbers of the samples to take from each input, or a mask, with a truth value for each of its samples;
               None: all
    rate       Hz, a whole number, of sounds given as arrays
    time_unit  's', 'ms' or 'us', of the times of event files and of tuples; None: of a file, the data.time_unit that
               the network was trained with, if its file records one; else seconds as floats. A network that was
               trained on times in another unit takes no tuple without its unit
    announce   called with a line of text before something that takes long

    Frames past the encoding's n_steps are cut, fewer are followed by silence, as in training; the notes say where sound
    was cut, or an array's frames that held anything. Predictions come in the inputs' order. Raises DataError for an
    input that the network does not read, and for a rate or time_unit that an input does not have.

    >>> import numpy as np
    >>> import delaytool as dt
    >>> network = dt.load("tests/golden/three-layers.h5")
    >>> frames = np.load("tests/golden/three-layers.npz")["frames"]  # (sample, time, channel)
    >>> [(one.sample, one.class_name, one.margin) for one in predict(network, frames)]
    [(0, '3', 1727.45), (1, '3', 3339.55)]
    """
    predictions = []
    for number, given in enumerate(inputs_listed(inputs)):
        made = frames_of_input(
            network, given, samples=samples, rate=rate, time_unit=time_unit,
            source=None if isinstance(given, (str, os.PathLike)) else f"input {number}",
        )  # fmt: skip
        trace = engine.run(network, made.frames, record="readout", announce=announce)
        labels, scores = decode(network, trace.readout)
        n_steps = network.readout.stop - network.readout.start
        for index, (label, row) in enumerate(zip(labels, scores, strict=True)):
            predictions.append(
                Prediction(
                    source=made.source,
                    sample=int(made.samples[index]),
                    label=int(label),
                    class_name=name_of_class(network, int(label)),
                    margin=margin_of(network, row, n_steps),
                    scores=row,
                    true_label=None if made.labels is None else int(made.labels[index]),
                    notes=made.notes[index] if made.notes else (),
                )
            )
    return predictions


def inputs_listed(inputs: Any) -> list[Any]:
    """One input, or several in a list, as a list: a list of numbers, however nested, is one."""
    if not isinstance(inputs, list):
        return [inputs]
    several = (str, os.PathLike, tuple, EventData, FrameData)
    # Arrays of one input have a shape of their own; a nested list of numbers ends in a number, maybe one of NumPy's.
    return inputs if inputs and (isinstance(inputs[0], several) or getattr(inputs[0], "ndim", 0) > 0) else [inputs]
