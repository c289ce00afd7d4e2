"""The samples that a network file is run on: those that its run was tested on, or others that a user names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from delaytool import datasets
from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.events import EventData
from delaytool.datasets.frames import FrameData
from delaytool.datasets.hdf5 import EXTENSIONS
from delaytool.datasets.spec import MEMORY
from delaytool.datasets.subset import evenly_spaced
from delaytool.errors import DataError

Progress = Callable[[str, int, int], None]
# The split that stands for every sample, whatever training held out.
ALL = "all"
# The value of --data with which a user allows the data that a file names to be read.
RECORDED = "recorded"
# Data that come with the package's own dependencies: nothing is read or downloaded that a file could choose.
BUILT_IN = ("digits",)


@dataclass(frozen=True)
class SampleChoice:
    """Which samples run.

    data    a source or a path; 'recorded': what the network file names; None: that too, where it is built in
    split   'train', 'validation' or 'test'; 'all': every sample of the data, those that were trained on too
    count   only so many, evenly spaced; None: all
    """

    data: str | None = None
    split: str = "test"
    count: int | None = None


@dataclass(frozen=True)
class Samples:
    """frames (sample, time, channel), labels (sample,); digest of all of them, of which `chosen` (indices) are these.

    all_labels   (sample,) of all
    warnings     sentences about the data that a user should read
    """

    frames: np.ndarray
    labels: np.ndarray
    name: str
    digest: str
    chosen: np.ndarray
    all_labels: np.ndarray
    warnings: tuple[str, ...] = ()

    def subset(self, count: int) -> Samples:
        """At most `count` of these, evenly spaced."""
        kept = evenly_spaced(len(self.frames), count)
        return replace(self, frames=self.frames[kept], labels=self.labels[kept], chosen=self.chosen[kept])

    def describe(self) -> str:
        """Name and number."""
        return f"{self.name}, {len(self.frames)} samples"


def load_samples(
    network: IntegerNetwork, path: Path, choice: SampleChoice, progress: Progress | None = None
) -> Samples:
    """The samples that the choice names, as the network's frames. Raises DataError.

    Of one HDF5 file that the run was trained on, the part that training cut off it: as `data` 'recorded', and where
    it is given by its path, under whatever name, and still holds the exporter's test samples. Any other file is taken
    whole.
    """
    recipe = _mapping(network.provenance.get("recipe"))
    recorded = _mapping(recipe.get("data")).get("source")
    source = chosen_source(recorded, path, choice.data)
    spec = datasets.DataSpec.from_recipe(recipe, network.encoding, source)
    tested = _mapping(network.provenance.get("float")).get("digest")
    reader = _Reader(network, spec, progress)
    if choice.split == ALL:
        whole = reader.read_every_part()
    elif choice.data in (None, RECORDED):
        whole = reader.read(choice.split, whole_file=False)
        if choice.split == "test" and tested not in (None, whole.digest):
            sentence = f"{whole.name}: these are not the samples that the run was tested on when it was exported"
            whole = replace(whole, warnings=(*whole.warnings, sentence))
    else:
        of_file = Path(str(recorded)).suffix in EXTENSIONS and os.path.isfile(source)
        cut = reader.cut_test_part() if of_file and tested is not None else None
        if cut is not None and cut.digest == tested:
            whole = cut if choice.split == "test" else reader.read(choice.split, whole_file=False)
        else:
            whole = reader.read(choice.split, whole_file=True)
    return whole if choice.count is None or choice.count >= len(whole.frames) else whole.subset(choice.count)


@dataclass(frozen=True)
class _Reader:
    """Reads parts of a source as the network's frames."""

    network: IntegerNetwork
    spec: datasets.DataSpec
    progress: Progress | None

    def read(self, split: str, *, whole_file: bool) -> Samples:
        network = self.network
        events = datasets.load_for_evaluation(
            self.spec, split, n_units=network.encoding.n_units, n_classes=network.n_classes,
            class_names=network.class_names, whole_file=whole_file, progress=self.progress,
        )  # fmt: skip
        return self._samples([events], events.name)

    def read_every_part(self) -> Samples:
        """Every sample that the source has."""
        network = self.network
        parts = datasets.load_every_part(
            self.spec, n_units=network.encoding.n_units, n_classes=network.n_classes,
            class_names=network.class_names, progress=self.progress,
        )  # fmt: skip
        return self._samples(parts, f"all of {self.spec.source}")

    def _samples(self, parts: Sequence[EventData | FrameData], name: str) -> Samples:
        pieces = [datasets.frames_of(part, self.network.encoding) for part in parts]
        frames = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        labels = np.concatenate([part.labels for part in parts])
        warnings = dict.fromkeys(sentence for part in parts for sentence in part.warnings)
        digest = datasets.digest(frames, labels)
        return Samples(frames, labels, name, digest, np.arange(len(frames)), labels, tuple(warnings))

    def cut_test_part(self) -> Samples | None:
        """The test part that training cuts off a file; None where this one cannot be cut so."""
        try:
            return self.read("test", whole_file=False)
        except DataError:
            return None


def _mapping(value: object) -> Mapping[str, Any]:
    """What a file holds under a key, if it is a table; else an empty one."""
    return value if isinstance(value, Mapping) else {}


def chosen_source(recorded: object, path: Path, data: str | None) -> str:
    """What is read: what the user gave, else what the file names, where that is built in or the user allowed it.

    Raises DataError: a file that came from elsewhere must not choose what is read or downloaded here.
    """
    if data is not None and data != RECORDED:
        return data
    if not isinstance(recorded, str) or not recorded:
        raise DataError(f"{path}: the file does not record its training data; give samples with --data")
    if data is None and recorded == MEMORY:
        raise DataError(f"{path}: its training data were given in memory; give samples with --data PATH")
    if data is None and recorded not in BUILT_IN:
        raise DataError(
            f"{path}: the file names its data as {recorded!r}, which is not built in; read that with --data recorded, "
            "or give samples with --data PATH"
        )
    return recorded
