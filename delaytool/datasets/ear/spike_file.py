"""Spikes of many recordings as one file of SHD's layout."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import h5py
import numpy as np

from delaytool.contract.ear import EAR_VERSION, EarModel
from delaytool.datasets.ear.workers import EarJob, block_path, encode_blocks
from delaytool.datasets.recordings import Listing, known_speakers, speakers_of
from delaytool.errors import DataError
from delaytool.files import atomic_path

Progress = Callable[[str, int, int], None]


def write_spike_file(
    path: Path,
    listing: Listing,
    part: str,
    model: EarModel,
    *,
    seed: int = 0,
    working: Path,
    processes: int = 1,
    progress: Progress | None = None,
) -> None:
    """Encode one part of a folder's recordings into the HDF5 file `path`.

    The file has SHD's layout: spikes/times (s, float32), spikes/units, labels, extra/speaker where the recordings
    have speakers, extra/keys (the classes' names), and besides extra/recording (each recording's path in its folder)
    and extra/duration (s). Its attributes are n_units and ear, the model, the seed and the recordings' sampling rate,
    null where they have several, as JSON.

    working    where blocks of recordings are kept until the file is whole: the same call goes on after an interruption.
               It may hold other jobs' blocks; this job's are removed at the end
    processes  that encode at the same time; the file does not depend on it
    progress   called with (what, recordings done, recordings)

    Where another process has made the same file meanwhile, that one is kept. Raises DataError where a recording cannot
    be read or encoded, or the file cannot be written.
    """
    already_there = path.exists()
    job = EarJob(listing.folder, tuple(listing.parts[part]), model, seed)
    blocks = working / job_key(job)
    what = "spikes of the recordings" if part == "all" else f"spikes of {part}"
    try:
        blocks.mkdir(parents=True, exist_ok=True)
        encode_blocks(
            job, blocks, processes, None if progress is None else lambda done: progress(what, done, len(job.recordings))
        )
        with atomic_path(path) as temporary:
            _write(temporary, job, listing, blocks)
    except OSError as error:
        if path.exists() and not already_there:  # another process was first, and has removed the blocks
            return
        raise DataError(
            f"{path}: the spikes cannot be written ({error.strerror or error}); give a place with room that can be "
            "written"
        ) from None
    shutil.rmtree(blocks, ignore_errors=True)


def describe_spike_file(path: Path) -> str:
    """How many recordings, classes, speakers and seconds a file of `write_spike_file` holds, in words."""
    with h5py.File(path, "r") as file:
        count, classes = len(file["labels"]), len(file["extra/keys"])
        seconds = float(file["extra/duration"][()].sum())
        speakers = known_speakers(file["extra/speaker"][()]).size if "extra/speaker" in file else None
    who = "" if speakers is None else f", {speakers:,} speakers"
    return f"{count:,} recordings, {classes} classes{who}, {seconds:,.0f} s of sound"


def part_key(listing: Listing, part: str, model: EarModel, seed: int) -> str:
    """A digest of all that decides the file of one part of a folder's recordings."""
    return job_key(EarJob(listing.folder, tuple(listing.parts[part]), model, seed))


def job_key(job: EarJob) -> str:
    """A digest of the settings and of every recording's path in the folder, size and time of change."""
    sha = hashlib.sha256(json.dumps([EAR_VERSION, asdict(job.model), job.seed], sort_keys=True).encode())
    for recording in job.recordings:
        status = recording.path.stat()
        sha.update(
            f"{job.name(recording)}\n{status.st_size} {status.st_mtime_ns} {recording.excerpt} {recording.label} "
            f"{recording.speaker}\n".encode()
        )
    return sha.hexdigest()[:32]


def _write(path: Path, job: EarJob, listing: Listing, blocks: Path) -> None:
    count = len(job.recordings)
    with h5py.File(path, "w") as file:
        file.attrs["n_units"] = job.model.n_channels
        times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.float32))
        units = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.uint16))
        durations = np.empty(count, np.float32)
        rates = set()
        for index, (some_times, some_units, duration, rate) in enumerate(_samples(job, blocks)):
            times[index], units[index], durations[index] = some_times, some_units, duration
            rates.add(rate)
        settings = {
            "version": EAR_VERSION,
            "seed": job.seed,
            "sample_rate": rates.pop() if len(rates) == 1 else None,
            **asdict(job.model),
        }
        file.attrs["ear"] = json.dumps(settings, sort_keys=True)
        file["labels"] = np.array([recording.label for recording in job.recordings], np.uint16)
        speakers = speakers_of(job.recordings)
        if speakers is not None:
            file["extra/speaker"] = speakers
        file["extra/keys"] = _texts(listing.class_names)
        file["extra/recording"] = _texts(job.name(recording) for recording in job.recordings)
        file["extra/duration"] = durations


def _texts(texts: Iterable[str]) -> np.ndarray:
    return np.array([text.encode() for text in texts])


def _samples(job: EarJob, blocks: Path) -> Iterator[tuple[np.ndarray, np.ndarray, float, int | None]]:
    for first in job.blocks:
        with np.load(block_path(blocks, first)) as block:
            times, units, lengths, durations = (block[key] for key in ("times", "units", "lengths", "durations"))
            # Blocks that an earlier version left unfinished have no rates.
            rates = block["rates"].tolist() if "rates" in block else [None] * lengths.size
        starts = np.cumsum(lengths) - lengths
        for start, length, duration, rate in zip(starts, lengths, durations, rates, strict=True):
            yield times[start : start + length], units[start : start + length], duration, rate
