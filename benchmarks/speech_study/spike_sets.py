"""Spike data small enough to carry to another machine: binned to the recipe's frames, compressed, and events again.

A pack is one file: an xz-compressed NumPy archive of the frames of every sample, counts of channel and step, with
labels, speakers and how they were binned. Events made from it (`events_of`), and the HDF5 files of SHD's layout
written from those (`write_hdf5`), are binned by the same recipe to the same frames, which `differing_frames` checks.
"""

from __future__ import annotations

import io
import json
import lzma
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets import DataSpec, load
from delaytool.datasets.binner import bin_events, resolve_counts
from delaytool.datasets.events import EventData
from delaytool.datasets.hdf5 import read_folder, stated_ear
from delaytool.files import atomic_path


@dataclass(frozen=True)
class PackedPart:
    """One part of a pack: counts (all samples' steps one after the other, channel) uint8, steps of each sample."""

    counts: np.ndarray
    steps: np.ndarray
    labels: np.ndarray
    speakers: np.ndarray

    def frames(self) -> np.ndarray:
        """(sample, step of the longest, channel) uint8, shorter samples ending in silence."""
        whole = np.zeros((self.steps.size, int(self.steps.max()), self.counts.shape[1]), np.uint8)
        whole[np.arange(whole.shape[1]) < self.steps[:, None]] = self.counts
        return whole


@dataclass(frozen=True)
class Pack:
    """The parts of a data set ('train' and 'test', or 'all'), binned, and how they were binned.

    ear   the attribute `ear` of the files, where recordings went through the ear
    """

    name: str
    parts: dict[str, PackedPart]
    encoding: InputEncoding
    n_classes: int
    class_names: tuple[str, ...]
    ear: str | None

    def events(self) -> dict[str, EventData]:
        """Events that are binned to the same frames."""
        return {name: events_of(self, name) for name in self.parts}

    def samples(self) -> dict[str, EventData]:
        """Labels, speakers and, in place of spikes, one event whose unit is the sample's number: for cutting parts."""
        return {
            name: EventData(
                times=np.zeros(part.steps.size, np.float32),
                units=np.arange(part.steps.size, dtype=np.int32),
                offsets=np.arange(part.steps.size + 1),
                n_units=part.steps.size,
                **self._description(name),
            )
            for name, part in self.parts.items()
        }

    def _description(self, name: str) -> dict[str, Any]:
        return {
            "labels": self.parts[name].labels,
            "speakers": self.parts[name].speakers,
            "n_classes": self.n_classes,
            "class_names": self.class_names,
            "name": f"{self.name}/{name}",
            "ear": stated_ear(self.ear, self.name, self.encoding.n_units),
        }


def pack(source: Path, path: Path, encoding: InputEncoding) -> None:
    """Bin an HDF5 file or a folder of train.h5 and test.h5 as `encoding` states, and write the pack."""
    parts = read_folder(source)
    arrays: dict[str, np.ndarray] = {}
    for name, part in parts.items():
        whole = resolve_counts(replace(encoding, n_steps=None, max_count=255), part)
        frames = bin_events(part, whole)  # (sample, time, channel)
        steps = frames.shape[1] - frames.any(2)[:, ::-1].argmax(1)
        rows = np.concatenate([some[:count] for some, count in zip(frames, steps, strict=True)])
        # A channel's steps beside each other compress better than a step's channels.
        arrays |= {f"{name}/counts": np.ascontiguousarray(rows.T), f"{name}/steps": steps.astype(np.int32)}
        arrays |= {f"{name}/labels": part.labels, f"{name}/speakers": np.asarray(part.speakers)}
    first = next(iter(parts.values()))
    meta = {
        "name": path.name.partition(".")[0],
        "parts": list(parts),
        "encoding": {key: getattr(encoding, key) for key in ("n_units", "time_step_ms", "channel_bins", "start")},
        "class_names": list(first.class_names),
        "n_classes": first.n_classes,
        "ear": _ear_attribute(source),
    }
    buffer = io.BytesIO()
    np.savez(buffer, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
    with atomic_path(path) as temporary:
        temporary.write_bytes(lzma.compress(buffer.getvalue(), preset=6))


def read_pack(path: Path) -> Pack:
    """What `pack` has written."""
    with np.load(io.BytesIO(lzma.decompress(path.read_bytes()))) as archive:
        arrays = {key: archive[key] for key in archive.files}
    meta = json.loads(arrays["meta"].tobytes())
    parts = {
        name: PackedPart(np.ascontiguousarray(arrays[f"{name}/counts"].T), *(arrays[f"{name}/{key}"] for key in _KEYS))
        for name in meta["parts"]
    }
    names = tuple(meta["class_names"])
    return Pack(meta["name"], parts, InputEncoding(**meta["encoding"]), meta["n_classes"], names, meta["ear"])


_KEYS = ("steps", "labels", "speakers")


def events_of(pack: Pack, name: str) -> EventData:
    """Events of a part, as many in the middle of each step as it counts.

    Where a sample's first event begins step 0, one of that step is at 0 s, so that the steps stay where they are.
    """
    part, encoding = pack.parts[name], pack.encoding
    row, channel = np.nonzero(part.counts)
    repeats = part.counts[row, channel].astype(np.int64)
    starts = np.cumsum(part.steps) - part.steps
    sample = np.repeat(np.arange(part.steps.size), part.steps)[row]
    times = ((row - starts[sample] + 0.5) * (encoding.time_step_ms / 1000)).astype(np.float32)
    times, units = np.repeat(times, repeats), np.repeat((channel * encoding.channel_bins).astype(np.int32), repeats)
    counts = np.bincount(sample, weights=repeats, minlength=part.steps.size)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if encoding.start == "first-spike":
        times[offsets[:-1][np.diff(offsets) > 0]] = 0.0
    return EventData(
        times=times, units=units, offsets=offsets, n_units=encoding.n_units, **pack._description(name)
    ).check()


def write_hdf5(spikes: Pack, folder: Path) -> None:
    """FOLDER/train.h5 and test.h5, or FOLDER/NAME.h5 where the set has no parts."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in spikes.events().items():
        write_part(part, folder / f"{spikes.name if name == 'all' else name}.h5", spikes.ear)


def write_part(part: EventData, path: Path, ear: str | None = None) -> None:
    """One HDF5 file of SHD's layout."""
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["n_units"] = part.n_units
        if ear is not None:
            file.attrs["ear"] = ear
        for key, values, kind in (("times", part.times, np.float32), ("units", part.units, np.uint16)):
            dataset = file.create_dataset(f"spikes/{key}", (len(part),), h5py.vlen_dtype(kind))
            for index in range(len(part)):
                dataset[index] = values[part.offsets[index] : part.offsets[index + 1]].astype(kind)
        file["labels"] = part.labels
        file["extra/speaker"] = part.speakers
        if part.class_names:
            file["extra/keys"] = np.array([name.encode() for name in part.class_names])


def differing_frames(one: str, other: str, settings: dict[str, Any], encoding: InputEncoding) -> dict[str, int]:
    """How many values of the frames, labels and speakers of two sources differ, by part; each read as training does."""
    read = [load(DataSpec(source, **settings)) for source in (one, other)]
    differing = {}
    for name in ("train", "validation", "test"):
        parts = [getattr(splits, name) for splits in read]
        resolved = [resolve_counts(encoding, splits.train) for splits in read]
        if resolved[0] != resolved[1] or len(parts[0]) != len(parts[1]):
            raise SystemExit(f"{one} and {other}: the encodings are {resolved}, the {name} parts of {map(len, parts)}")
        frames = [bin_events(part, resolved[0]) for part in parts]
        differing[name] = int((frames[0] != frames[1]).sum()) + sum(
            int((np.asarray(getattr(parts[0], key)) != np.asarray(getattr(parts[1], key))).sum())
            for key in ("labels", "speakers")
        )
        if not frames[0].any():
            raise SystemExit(f"{one}: the {name} frames hold no spike, so nothing was compared")
    return differing


def _ear_attribute(source: Path) -> str | None:
    if source.is_dir():
        return None
    with h5py.File(source, "r") as file:
        return file.attrs.get("ear")
