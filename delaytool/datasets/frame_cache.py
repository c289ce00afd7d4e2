"""Frames of many recordings, made once and kept; an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np

from delaytool.contract.encoding import MelSpectrogram
from delaytool.datasets.download import ROOT_VARIABLE, default_root
from delaytool.datasets.frames import FrameData
from delaytool.datasets.mel import FLOOR_DB, mel_frames
from delaytool.datasets.recordings import EXCERPT_SECONDS, Listing, Recording, read_sound, speakers_of
from delaytool.errors import DataError
from delaytool.files import atomic_path

Progress = Callable[[str, int, int], None]
# Counts up when a new version makes other frames from the same settings.
VERSION = 2
# Recordings in a block. An interruption loses at most one block, the work of some seconds.
BLOCK = 2048


def mel_frame_data(
    listing: Listing,
    part: str,
    mel: MelSpectrogram,
    time_step_ms: float,
    *,
    root: Path | None = None,
    progress: Progress | None = None,
) -> FrameData:
    """The recordings of one part as frames, from the cache where they have been made before.

    They are kept in ROOT/frames/KEY; the key is a digest of the settings and of every file's name, size and time
    of change. progress is called with (what, recordings done, recordings). Raises DataError, MissingExtraError.
    """
    recordings = listing.parts[part]
    name = str(listing.folder if part == "all" else listing.folder / part)
    folder = (default_root() if root is None else root).expanduser() / "frames" / _key(recordings, mel, time_step_ms)
    try:
        values, steps, seconds = _made(
            folder, recordings, mel, time_step_ms, lambda done: _report(progress, part, done, recordings)
        )
    except OSError as error:
        raise DataError(
            f"{folder}: the frames of {name} cannot be kept there ({error.strerror or error}); "
            f"set {ROOT_VARIABLE} to a folder with room that can be written"
        ) from None
    return FrameData(
        values=values,
        starts=np.cumsum(steps) - steps,
        steps=steps,
        labels=np.array([recording.label for recording in recordings], np.int64),
        n_classes=len(listing.class_names),
        time_step_ms=time_step_ms,
        speakers=speakers_of(recordings),
        name=name,
        class_names=listing.class_names,
        floor=FLOOR_DB,
        mel=mel,
        warnings=(*listing.warnings, *_cut_short(name, seconds, mel)),
    ).check()


def _cut_short(name: str, seconds: np.ndarray, mel: MelSpectrogram) -> tuple[str, ...]:
    """A warning where recordings are longer than what is kept of them; rounding of up to one step causes none."""
    if mel.seconds is None:
        return ()
    longer = seconds > mel.seconds + 0.01
    if not longer.any():
        return ()
    return (
        f"{name}: {longer.sum():,} of {seconds.size:,} recordings are longer than the {mel.seconds:g} s that are kept "
        f'from the start of each, the longest {seconds.max():.2f} s; data.mel = "hd" keeps them whole',
    )


def _key(recordings: list[Recording], mel: MelSpectrogram, time_step_ms: float) -> str:
    sha = hashlib.sha256(json.dumps([VERSION, asdict(mel), time_step_ms], sort_keys=True).encode())
    for recording in recordings:
        file = recording.path.stat()
        cut = f"{recording.excerpt}"
        if recording.excerpt is not None and mel.seconds is None:
            cut += f" {EXCERPT_SECONDS} s"  # version 2 took such noise whole
        sha.update(f"{os.path.abspath(recording.path)}\n{file.st_size} {file.st_mtime_ns} {cut}\n".encode())
    return sha.hexdigest()[:32]


def _made(
    folder: Path, recordings: list[Recording], mel: MelSpectrogram, time_step_ms: float, report: Callable[[int], None]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(values (rows, n_mels) float16 read from a file, steps (n_samples,) int64, seconds (n_samples,) as recorded)."""
    whole, lengths, durations = folder / "values.npy", folder / "steps.npy", folder / "seconds.npy"
    if not whole.exists():
        starts = range(0, len(recordings), BLOCK)
        steps, seconds = [], []
        for low in starts:
            _, some_steps, some_seconds = _block(folder, low, recordings, mel, time_step_ms, report)
            steps.append(some_steps)
            seconds.append(some_seconds)
            report(min(low + BLOCK, len(recordings)))
        every = np.concatenate(steps)
        for path, content in ((lengths, every), (durations, np.concatenate(seconds))):
            with atomic_path(path) as temporary, open(temporary, "wb") as file:
                np.save(file, content)
        shape = (int(every.sum()), mel.n_mels)
        # Block after block, as plain writes: on a full disk a memory map would kill the process.
        with atomic_path(whole) as temporary, open(temporary, "wb") as file:
            header = {
                "descr": np.lib.format.dtype_to_descr(np.dtype(np.float16)),
                "fortran_order": False,
                "shape": shape,
            }
            np.lib.format.write_array_header_1_0(file, header)
            for low in starts:
                some, *_ = _block(folder, low, recordings, mel, time_step_ms, report)
                file.write(np.ascontiguousarray(some, np.float16).tobytes())
        for low in starts:
            _place(folder, low).unlink(missing_ok=True)
    try:
        return np.load(whole, mmap_mode="r"), np.load(lengths), np.load(durations)
    except (ValueError, EOFError, FileNotFoundError):
        raise DataError(f"{folder}: the frames kept there are damaged; delete the folder to make them anew") from None


def _block(
    folder: Path,
    low: int,
    recordings: list[Recording],
    mel: MelSpectrogram,
    time_step_ms: float,
    report: Callable[[int], None],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(values, steps, seconds as recorded) of the recordings from `low` on, read or made and kept."""
    place = _place(folder, low)
    try:
        with np.load(place) as kept:
            return kept["values"], kept["steps"], kept["seconds"]
    except FileNotFoundError:
        pass
    frames, durations = [], []
    for index, recording in enumerate(recordings[low : low + BLOCK]):
        sound, rate = read_sound(recording, mel.seconds)
        frames.append(mel_frames(sound, rate, mel, time_step_ms))
        durations.append(sound.size / rate)
        if index % 64 == 0:
            report(low + index)
    values, steps = np.concatenate(frames), np.array([len(some) for some in frames], np.int64)
    seconds = np.array(durations)
    with atomic_path(place) as temporary, open(temporary, "wb") as file:
        np.savez(file, values=values, steps=steps, seconds=seconds)
    return values, steps, seconds


def _place(folder: Path, low: int) -> Path:
    return folder / f"block-{low:07d}.npz"


def _report(progress: Progress | None, part: str, done: int, recordings: list[Recording]) -> None:
    if progress is not None:
        progress(f"frames of {'the recordings' if part == 'all' else part}", done, len(recordings))
