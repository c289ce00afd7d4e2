"""Many runs by several processes on one device, in order of priority, until a time is over.

Processes are forked after the data are read and before the device is touched, so that they share the frames. Each
takes the next job, trains it, and hands its line back; the first process alone writes `results.jsonl`, a line as soon
as a run has ended. No run is begun that would not end in time, as long as the runs of its kind have taken so far;
what still runs when the time is over is killed, and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import statistics
import tarfile
import time
import traceback
from collections.abc import Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from jobs import Job, run_job
from study_data import FramesByName

from delaytool.trainer.recipe import Recipe

# Whether there is a GPU must be asked without touching it, or forked processes could not use it.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
# Bytes of a file that brings networks back.
ARCHIVE_BYTES = 15_500_000
# Past the time that is left, a run may still take so many seconds.
GRACE = 5.0
# In a row: then the machine is at fault, not the runs.
MOST_FAILURES = 24


@dataclass
class Runner:
    """Runs jobs on `device` by `processes` at once.

    output     the folder of results.jsonl, networks/ and networks-*.tar; what has a line is not run again
    working    where runs are while they train; best in memory
    over       settings over every job's, for a trial of the study in a small size
    deadline   `time.monotonic` at which everything ends
    """

    data: FramesByName
    output: Path
    working: Path
    device: str
    processes: int
    deadline: float
    over: tuple[str, ...] = ()
    lines: list[dict[str, Any]] = field(default_factory=list)
    _failed_in_a_row: int = 0
    _took: dict[tuple[str, bool], list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        self.working.mkdir(parents=True, exist_ok=True)
        self.lines = read_lines(self.output / "results.jsonl")

    def run(self, jobs: Iterable[Job]) -> None:
        """Run all jobs that have no line yet, in their order; returns when they have ended or the time is over."""
        done = {line["name"] for line in self.lines if "error" not in line}
        waiting = [(job, job.load(self.device, self.over)) for job in jobs if job.name not in done]
        if not waiting:
            return
        self.data.prepare((recipe, job.data, job.fold) for job, recipe in waiting)
        workers: dict[Connection, BaseProcess] = {}
        begun: dict[Connection, tuple[Job, float]] = {}
        for index in range(min(self.processes, len(waiting))):
            self._hand_out(self._start(workers, index), waiting, begun)
        while begun and time.monotonic() < self.deadline + GRACE:
            for ready in wait(list(begun), timeout=0.5):
                assert isinstance(ready, Connection)
                job, since = begun.pop(ready)
                try:
                    line = ready.recv()
                except EOFError:
                    line = {"name": job.name, "error": "its process ended by itself", "ended": True}
                self._take(job, line, time.monotonic() - since)
                if self._failed_in_a_row >= MOST_FAILURES:
                    raise SystemExit(f"{self._failed_in_a_row} runs in a row failed; the last: {line['error']}")
                if line.get("ended"):
                    ready = self._start(workers, len(workers))
                self._hand_out(ready, waiting, begun)
        for connection, process in workers.items():
            if connection in begun:
                print(f"stopped      {begun[connection][0].name}: the time is over", flush=True)
                process.terminate()
            else:
                with contextlib.suppress(OSError):
                    connection.send(None)
        for connection, process in workers.items():
            process.join(timeout=5)
            connection.close()
        if waiting:
            print(f"{len(waiting)} jobs were not begun, the first of them {waiting[0][0].name}", flush=True)

    def _start(self, workers: dict[Connection, BaseProcess], index: int) -> Connection:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self.data, self.working, index), daemon=True)
        process.start()
        theirs.close()
        workers[ours] = process
        return ours

    def _hand_out(
        self, to: Connection, waiting: list[tuple[Job, Recipe]], begun: dict[Connection, tuple[Job, float]]
    ) -> None:
        left = self.deadline - time.monotonic()
        for index, (job, recipe) in enumerate(waiting):
            if self._expected(job, recipe) <= left and left > 0:
                del waiting[index]
                to.send((job, recipe))
                begun[to] = job, time.monotonic()
                return

    def _expected(self, job: Job, recipe: Recipe) -> float:
        took = self._took.get(_kind(job), [])
        return statistics.median(took) * recipe.trainer.epochs if took else 0.0

    def _take(self, job: Job, line: dict[str, Any], seconds: float) -> None:
        self._failed_in_a_row = self._failed_in_a_row + 1 if "error" in line else 0
        if "error" in line:
            print(f"FAILED       {job.name}: {line['error'].strip().splitlines()[-1]}", flush=True)
        else:
            self._keep(job)
            self._took.setdefault(_kind(job), []).append(seconds / len(line["curves"]["seconds"]))
            print(
                f"{seconds:6.1f} s     {job.name}: last {100 * line['last']:.2f} %, "
                f"mean of {line['epochs_in_mean']} {100 * line['mean_of_last']:.2f} %",
                flush=True,
            )
        self.lines.append(line)
        with open(self.output / "results.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _keep(self, job: Job) -> None:
        """Move the network that a run leaves to OUTPUT/networks/NAME/last.pt."""
        network = self.working / job.name / "last.pt"
        if network.exists():
            place = self.output / "networks" / job.name
            place.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(network, place / network.name)
            network.unlink()

    def archive(self, jobs: Iterable[Job]) -> None:
        """Put the kept networks into archives networks-0.tar, ... of at most ARCHIVE_BYTES each, in this order."""
        archives: list[tarfile.TarFile] = []
        size = ARCHIVE_BYTES + 1
        for job in jobs:
            path = self.output / "networks" / job.name / "last.pt"
            if not path.exists():
                continue
            added = path.stat().st_size + 1024
            if size + added > ARCHIVE_BYTES:
                archives.append(tarfile.open(self.output / f"networks-{len(archives)}.tar", "w"))  # noqa: SIM115
                size = 10240
            archives[-1].add(path, f"{job.name}/last.pt")
            size += added
        for archive in archives:
            archive.close()


def unpack_networks(archives: list[Path], folder: Path) -> list[str]:
    """Each network into FOLDER/NAME/last.pt; the names."""
    names = []
    for path in archives:
        with tarfile.open(path) as archive:
            archive.extractall(folder, filter="data")
            names += [Path(entry).parent.name for entry in archive.getnames()]
    return names


def _kind(job: Job) -> tuple[str, bool]:
    """Runs of one kind take about as long per epoch."""
    return job.data.partition("-")[0], job.reference


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of a results.jsonl; a last one that is not whole is left out."""
    lines = []
    if path.exists():
        for text in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(json.JSONDecodeError):
                lines.append(json.loads(text))
    return lines


def _work(connection: Connection, data: FramesByName, working: Path, index: int) -> None:
    import torch

    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, KeyboardInterrupt):
        while (given := connection.recv()) is not None:
            job, recipe = given
            folder = working / job.name
            try:
                line = run_job(job, recipe, data, folder)
            except Exception:
                shutil.rmtree(folder, ignore_errors=True)
                line = {"name": job.name, "error": traceback.format_exc(limit=-4)}
                # What went wrong on a GPU can go wrong for every later run of the same process.
                line["ended"] = torch.cuda.is_initialized()
            line["process"] = index
            connection.send(line)
            if line.get("ended"):
                return
