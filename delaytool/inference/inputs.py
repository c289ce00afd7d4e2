"""Whatever a sample can be given as, to the frames that a network reads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from delaytool.contract.checks import shown
from delaytool.contract.frames import checked_frames
from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.arrays import are_whole, array_of
from delaytool.datasets.class_names import numbered_as
from delaytool.datasets.encode import frames_of
from delaytool.datasets.events import EventData
from delaytool.datasets.frames import FrameData
from delaytool.datasets.hdf5 import EXTENSIONS, read_file, refuse_other_units
from delaytool.datasets.in_memory import times_in_seconds
from delaytool.datasets.mel import mel_frames
from delaytool.datasets.network_frames import network_frames
from delaytool.datasets.recordings import FORMATS, Recording, read_sound
from delaytool.datasets.sampling_rate import check_sampling_rate
from delaytool.datasets.spec import TIME_UNITS
from delaytool.errors import DataError, first_line
from delaytool.inference.ear_encoder import spikes_of_sound
from delaytool.inference.resampler import checked_sound


@dataclass(frozen=True, eq=False)
class Frames:
    """Samples as a network reads them.

    source   what they were read from, for messages and tables
    frames   (sample, time, channel) uint8
    samples  (sample,) int64: their numbers in the source
    labels   (sample,) int64 as the data name them, or None
    notes    for each sample, what the user should know
    """

    source: str
    frames: np.ndarray
    samples: np.ndarray
    labels: np.ndarray | None = None
    notes: tuple[tuple[str, ...], ...] = ()


def frames_of_input(
    network: IntegerNetwork,
    given: Any,
    *,
    samples: Sequence[int] | np.ndarray | None = None,
    rate: int | None = None,
    time_unit: str | None = None,
    source: str | None = None,
) -> Frames:
    """One input to frames, encoded as the network was trained; `predict` lists what an input can be.

    samples   numbers of the samples to take, or a mask; None: all
    Raises DataError where it is nothing that the network reads, and for a rate or a time_unit that it does not have.
    """
    if isinstance(given, (str, os.PathLike)):
        _refuse_rate(str(given), rate)
        return _chosen(_of_file(network, Path(given), time_unit), samples)
    name = source or "input"
    if isinstance(given, EventData | FrameData):
        name = source or given.name
        _refuse_rate(name, rate)
        _refuse_time_unit(name, time_unit)
        read = _of_events(network, given, name) if isinstance(given, EventData) else _of_values(network, given, name)
        return _chosen(read, samples)
    if isinstance(given, tuple) and len(given) == 2:
        _refuse_rate(name, rate)
        return _chosen(_of_pair(network, given, time_unit, name), samples)
    _refuse_time_unit(name, time_unit)
    try:
        array = array_of(given)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    if rate is not None and array.ndim != 1:
        raise DataError(
            f"{name}: an array of shape {array.shape} with a rate; a sound is one channel, (samples,), and frames have "
            "no rate: leave it out"
        )
    if rate is not None:
        return _chosen(_of_sound(network, array, rate, name), samples)
    return _chosen(_of_array(network, array, name), samples)


def _refuse_rate(name: str, rate: int | None) -> None:
    if rate is not None:
        raise DataError(f"{name}: rate {rate} is for a sound that is given as an array (samples,); leave it out")


def _refuse_time_unit(name: str, time_unit: str | None) -> None:
    if time_unit is not None:
        raise DataError(
            f"{name}: time_unit {time_unit!r} is for HDF5 files of events and for events (times, units); leave it out"
        )


def _time_unit_of(network: IntegerNetwork, given: str | None) -> str | None:
    """The unit that is given, else the data.time_unit of the network's training; None: it had none, or it is not known.

    Raises DataError for a unit that there is not.
    """
    if given is not None and given not in TIME_UNITS:
        raise DataError(f"time_unit {given!r} is unknown; choose one of {', '.join(map(repr, TIME_UNITS))}")
    if given is not None:
        return given
    values: Any = network.provenance
    for key in ("recipe", "data", "time_unit"):
        values = values.get(key) if isinstance(values, Mapping) else None
    return values if isinstance(values, str) and values in TIME_UNITS else None


def _of_pair(network: IntegerNetwork, pair: tuple[Any, Any], time_unit: str | None, name: str) -> Frames:
    """Events as (times, units), of one sample."""
    _require_events(network, name)
    unit = _time_unit_of(network, time_unit)
    if time_unit is None and unit not in (None, "s"):  # elsewhere a pair without a unit is in seconds
        raise DataError(
            f"{name}: the network was trained on times in {unit}, and these events do not state their unit; give "
            f"time_unit {unit!r}, or 's' where they are seconds"
        )
    events = times_in_seconds([(array_of(pair[0]), array_of(pair[1]))], unit, name, key="time_unit")
    data = EventData.from_samples(events, [0], n_units=network.encoding.n_units, n_classes=1, name=name)
    refuse_other_units(name, data.times, data.offsets, unit, key="time_unit")
    return _of_events(network, data, name, labeled=False)


def _of_file(network: IntegerNetwork, path: Path, time_unit: str | None) -> Frames:
    kind = path.suffix.lower()
    if not path.exists():
        raise DataError(f"{path}: no such file; give a recording, an HDF5 file of events or a .npy file of frames")
    if path.is_dir():
        raise DataError(f"{path}: this is a folder; give the files in it, for example {path}/*.wav")
    if kind not in EXTENSIONS:
        _refuse_time_unit(str(path), time_unit)
    if kind in FORMATS:
        _require_sound(network, str(path))
        sound, rate = read_sound(Recording(path, 0, 0), None)
        return _of_sound(network, sound, rate, str(path))
    if kind in EXTENSIONS:
        _require_events(network, str(path))
        unit = _time_unit_of(network, time_unit)
        # Numbers are those of the network, where it does not name its classes: the file may name more.
        n_classes = None if network.class_names else network.n_classes
        data = read_file(path, None, n_classes, time_unit=unit, network_units=network.encoding.n_units)
        return _of_events(network, data, str(path))
    if kind == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError, MemoryError) as error:
            raise DataError(
                f"{path}: cannot be read as a NumPy array ({first_line(error)}); write it with numpy.save, of numbers"
            ) from None
        return _of_array(network, array, str(path))
    raise DataError(
        f"{path}: a file named *{kind or path.name} is nothing that is read here; give a recording "
        f"({', '.join(FORMATS)}), events ({', '.join(EXTENSIONS)}) or frames (.npy)"
    )


def _of_sound(network: IntegerNetwork, sound: np.ndarray, rate: int, source: str) -> Frames:
    _require_sound(network, source)
    sound = checked_sound(sound, f"{source}: a sound", least=1)
    check_sampling_rate(rate, source, "give the rate of the recording")
    mel, step_ms = network.encoding.mel, network.encoding.time_step_ms
    if mel is None:
        return _through_ear(network, sound, rate, source)
    seconds = sound.size / rate
    kept = mel.seconds if mel.seconds is not None else (network.encoding.n_steps or 0) * step_ms / 1000
    notes = (_cut_note(seconds, kept),) if seconds > kept + step_ms / 1000 else ()
    data = _one_sample(mel_frames(sound, rate, mel, step_ms), network, source)
    return _of_values(network, data, source, notes)


def _cut_note(seconds: float, kept: float) -> str:
    return f"lasts {seconds:.2f} s, of which the network's sample takes the first {kept:.2f} s"


def _through_ear(network: IntegerNetwork, sound: np.ndarray, rate: int, source: str) -> Frames:
    encoding = network.encoding
    assert encoding.ear is not None
    try:
        times, units = spikes_of_sound(encoding.ear, sound, rate)
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    data = EventData.from_samples([(times, units)], [0], n_units=encoding.n_units, n_classes=1, name=source)
    begin = float(times[0]) if times.size and encoding.start == "first-spike" else 0.0
    kept = begin + (encoding.n_steps or 0) * encoding.time_step_ms / 1000
    notes = (_cut_note(sound.size / rate, kept),) if times.size and float(times[-1]) >= kept else ()
    return replace(_of_events(network, data, source, labeled=False), notes=(notes,))


def _of_events(network: IntegerNetwork, data: EventData, source: str, labeled: bool = True) -> Frames:
    _require_events(network, source)
    data = numbered_as(data, network.class_names) if labeled else data
    if labeled and data.n_classes > network.n_classes:
        raise DataError(
            f"{source}: its {data.n_classes} classes are more than the network's {network.n_classes}; give data of "
            "the kind that the network was trained on"
        )
    frames = frames_of(data, network.encoding)
    return Frames(source, frames, np.arange(len(data)), data.labels if labeled else None)


def _of_values(network: IntegerNetwork, data: FrameData, source: str, notes: tuple[str, ...] = ()) -> Frames:
    frames = frames_of(data, network.encoding)
    return Frames(source, frames, np.arange(len(data)), None, (notes,) * len(data))


def _of_array(network: IntegerNetwork, array: np.ndarray, source: str) -> Frames:
    """(time, channel) or (sample, time, channel): integers as the network reads them, or real numbers to quantize."""
    encoding = network.encoding
    if array.ndim not in (2, 3) or array.shape[-1] != encoding.n_channels:
        raise DataError(
            f"{source}: an array of shape {array.shape}; the network reads frames (time, {encoding.n_channels}) or "
            f"(sample, time, {encoding.n_channels}), a sound (samples,) with its rate, or events (times, units)"
        )
    array = array[None] if array.ndim == 2 else array
    if array.shape[0] == 0 or array.shape[1] == 0:
        raise DataError(f"{source}: an array of shape {array.shape} holds no frame; give at least one")
    if array.dtype.kind == "f" and encoding.values != "graded" and not are_whole(array):
        raise DataError(
            f"{source}: it holds {array.dtype} values, the network reads integers 0..{encoding.max_payload}; "
            "bin the events first, or give the events themselves"
        )
    try:
        frames = checked_frames(encoding, network_frames(encoding, array))
    except DataError as error:
        raise DataError(f"{source}: {error}") from None
    # The network runs on in silence; what a sample holds is the encoding's.
    n_steps = encoding.n_steps or frames.shape[1]
    return _with_cut_notes(Frames(source, frames[:, :n_steps], np.arange(len(array))), frames[:, n_steps:])


def _with_cut_notes(frames: Frames, cut: np.ndarray) -> Frames:
    """With a note for each sample whose cut frames (sample, time, channel) hold anything."""
    n_steps = frames.frames.shape[1]
    note = f"has {n_steps + cut.shape[1]} steps, of which the network's sample takes the first {n_steps}"
    return replace(frames, notes=tuple((note,) if one.any() else () for one in cut))


def _one_sample(values: np.ndarray, network: IntegerNetwork, source: str) -> FrameData:
    """A recording's mel frames (time, channel), in the encoding's steps."""
    return FrameData(
        values=values,
        starts=np.zeros(1, np.int64),
        steps=np.array([len(values)], np.int64),
        labels=np.zeros(1, np.int64),
        n_classes=1,
        time_step_ms=network.encoding.time_step_ms,
        name=source,
        mel=network.encoding.mel,
    ).check()


def _require_sound(network: IntegerNetwork, source: str) -> None:
    if network.encoding.mel is None and network.encoding.ear is None:
        kind = "real numbers" if network.encoding.values == "graded" else f"events of {network.encoding.n_units} units"
        raise DataError(
            f"{source}: a recording, but the network reads {kind}; give it those, or a network trained on recordings"
        )


def _require_events(network: IntegerNetwork, source: str) -> None:
    if network.encoding.values == "graded":
        kind = "recordings" if network.encoding.mel is not None else f"{network.encoding.n_units} real numbers per step"
        raise DataError(
            f"{source}: events, but the network reads {kind}; give it those, or a network trained on events"
        )


def _chosen(frames: Frames, samples: Any) -> Frames:
    if samples is None:
        return frames
    chosen = _numbers(frames.source, samples, len(frames.frames))
    return Frames(
        frames.source,
        frames.frames[chosen],
        frames.samples[chosen],
        None if frames.labels is None else frames.labels[chosen],
        tuple(frames.notes[number] for number in chosen) if frames.notes else (),
    )


def _numbers(source: str, samples: Any, n_samples: int) -> np.ndarray:
    """(chosen,) int64: the numbers of samples that are given by number, or by a mask with a truth value for each."""
    given = array_of(samples)
    if given.ndim == 1 and given.dtype.kind == "b":
        if len(given) != n_samples:
            raise DataError(
                f"{source}: samples is a mask of {len(given)} truth values for {n_samples} samples; give one for each"
            )
        return np.flatnonzero(given)
    if given.ndim != 1 or (given.size and given.dtype.kind not in "iu"):
        raise DataError(
            f"{source}: samples {shown(samples)} is no list of sample numbers; give whole numbers, such as [0, 3], or "
            "a mask"
        )
    for number in given.tolist():
        if not 0 <= number < n_samples:
            raise DataError(f"{source}: sample {number} is outside 0..{n_samples - 1}")
    return given.astype(np.int64)
