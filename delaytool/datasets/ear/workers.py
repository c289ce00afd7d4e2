"""Blocks of recordings to spikes, in several processes; what is done stays done."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delaytool.contract.ear import EarModel
from delaytool.datasets.ear.ear import check_sound, ear_spikes
from delaytool.datasets.ear.random_numbers import seed_of
from delaytool.datasets.recordings import Recording, read_sound
from delaytool.errors import DataError
from delaytool.files import atomic_path
from delaytool.interrupts import ignore_interrupts

# Recordings per block: what an interruption loses at most, a few seconds in each process.
BLOCK = 16


@dataclass(frozen=True)
class EarJob:
    """Recordings to encode, and how.

    folder   the folder that the recordings lie in; a recording's own seed comes of its path in it
    """

    folder: Path
    recordings: tuple[Recording, ...]
    model: EarModel
    seed: int

    @property
    def blocks(self) -> range:
        return range(0, len(self.recordings), BLOCK)

    def name(self, recording: Recording) -> str:
        """A recording's path in the folder, the same on every system."""
        return recording.path.relative_to(self.folder).as_posix()


def block_path(working: Path, first: int) -> Path:
    """Where the spikes of the block that starts with recording `first` are kept until all are done."""
    return working / f"block-{first:07d}.npz"


def encode_blocks(job: EarJob, working: Path, processes: int, progress: Callable[[int], None] | None = None) -> None:
    """Encode the blocks that are not in the folder `working` yet, `processes` at a time (1: in this process).

    progress is called with the number of recordings that are done. Spikes do not depend on the number of processes.
    KeyboardInterrupt ends all processes and leaves whole blocks. Raises DataError.
    """
    missing = [first for first in job.blocks if not block_path(working, first).exists()]
    done = len(job.recordings) - sum(_size(job, first) for first in missing)
    if progress is not None:
        progress(done)
    for first in _encoded(job, working, missing, min(processes, len(missing))):
        done += _size(job, first)
        if progress is not None:
            progress(done)


def _size(job: EarJob, first: int) -> int:
    return min(BLOCK, len(job.recordings) - first)


def _encoded(job: EarJob, working: Path, missing: list[int], processes: int) -> Iterator[int]:
    if processes <= 1:
        for first in missing:
            yield _encode_block(job, working, first)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(processes, mp_context=context, initializer=_follow_parent)
    try:
        with ignore_interrupts():
            pending = [pool.submit(_encode_block, _part(job, first), working, first) for first in missing]
        for future in as_completed(pending):
            yield future.result()
        pool.shutdown()
    except BrokenProcessPool:
        raise DataError(
            f"{job.folder}: a worker process ended by itself; it was killed for want of memory, perhaps (try fewer "
            "--processes), or a script of your own lacks its `if __name__ == '__main__':`; the same call goes on"
        ) from None
    finally:
        # Reached early by Ctrl-C or an error: what is under way is not waited for.
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        pool.shutdown(cancel_futures=True)


def _part(job: EarJob, first: int) -> EarJob:
    """The job of one block alone: what a process is sent."""
    return EarJob(job.folder, job.recordings[first : first + BLOCK], job.model, job.seed)


def _follow_parent() -> None:
    """In a worker: ignore Ctrl-C, which reaches every process of a terminal, and end when the parent has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _encode_block(job: EarJob, working: Path, first: int) -> int:
    """Encode a block, whether `job` is the whole one or the block's own; returns `first`."""
    recordings = job.recordings if len(job.recordings) <= BLOCK else job.recordings[first : first + BLOCK]
    times, units, durations, rates = [], [], [], []
    for recording in recordings:
        sound, rate = read_sound(recording, None)
        name = job.name(recording)
        try:
            check_sound(sound, rate)
        except DataError as error:
            raise DataError(f"{recording.path}: {error}") from None
        seed = seed_of(job.seed, name, recording.excerpt)
        some_times, some_units = ear_spikes(sound, rate, job.model, seed)
        times.append(some_times)
        units.append(some_units)
        durations.append(sound.size / rate)
        rates.append(rate)
    with atomic_path(block_path(working, first)) as temporary, open(temporary, "wb") as file:
        np.savez(
            file,
            times=np.concatenate(times),
            units=np.concatenate(units),
            lengths=np.array([some.size for some in times], np.int64),
            durations=np.array(durations, np.float32),
            rates=np.array(rates, np.int64),
        )
    return first
