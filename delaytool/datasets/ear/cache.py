"""Spikes of a folder's recordings, encoded once and kept."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from delaytool.contract.ear import EarModel
from delaytool.datasets.download import ROOT_VARIABLE, default_root
from delaytool.datasets.ear.spike_file import Progress, part_key, write_spike_file
from delaytool.datasets.events import EventData
from delaytool.datasets.hdf5 import read_file
from delaytool.datasets.recordings import Listing
from delaytool.errors import DataError


def ear_event_data(
    listing: Listing, part: str, model: EarModel, *, root: Path | None = None, progress: Progress | None = None
) -> EventData:
    """The spikes of one part of a folder's recordings, from the cache where they have been made before.

    They are kept in ROOT/ear/KEY.h5, encoded with seed 0 by as many processes as there are cores, and an interruption
    is gone on from. Raises DataError, and MissingExtraError without scipy or soundfile.
    """
    folder = (default_root() if root is None else root).expanduser() / "ear"
    name = str(listing.folder if part == "all" else listing.folder / part)
    path = folder / f"{part_key(listing, part, model, 0)}.h5"
    if not path.exists():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"{folder}: the spikes of {name} cannot be kept there ({error.strerror or error}); set {ROOT_VARIABLE} "
                "to a folder with room that can be written"
            ) from None
        write_spike_file(
            path, listing, part, model, working=folder / "unfinished", processes=cores(), progress=progress
        )
    data = read_file(path, model.n_channels, len(listing.class_names), name, time_unit="s")
    return replace(data, warnings=(*listing.warnings, *data.warnings))


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
