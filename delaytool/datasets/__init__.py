"""Event data in, frames out. Needs numpy and h5py only; tonic, soundfile and scipy where a source asks for them."""

from __future__ import annotations

from delaytool.datasets.binner import bin_events, digest
from delaytool.datasets.digits import digits_events
from delaytool.datasets.download import default_root, fetch
from delaytool.datasets.encode import frames_of, resolve_encoding
from delaytool.datasets.events import EventData
from delaytool.datasets.frames import FrameData
from delaytool.datasets.hdf5 import read_file, read_folder
from delaytool.datasets.sources import Splits, load, load_every_part, load_for_evaluation
from delaytool.datasets.spec import DataSpec
from delaytool.datasets.splits import split_test, split_validation

__all__ = [
    "DataSpec",
    "EventData",
    "FrameData",
    "Splits",
    "bin_events",
    "default_root",
    "digest",
    "digits_events",
    "fetch",
    "frames_of",
    "load",
    "load_every_part",
    "load_for_evaluation",
    "read_file",
    "read_folder",
    "resolve_encoding",
    "split_test",
    "split_validation",
]
