"""The workers of one machine, each a process of its own."""

from __future__ import annotations

import multiprocessing
import queue
import signal
from multiprocessing.queues import Queue
from pathlib import Path
from types import FrameType

import torch

from delaytool.cores import available_cores
from delaytool.errors import SweepError
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.job import Job
from delaytool.experiments.sweep.worker import OnUpdate, RunUpdate, work
from delaytool.interrupts import ignore_interrupts


def work_in_processes(path: Path, job: Job, on_update: OnUpdate, jobs: int) -> None:
    """Train in `jobs` processes until nothing is left; one: in this process.

    Where a recipe leaves trainer.threads open, the machine's cores are shared out evenly; several GPUs are taken in
    turn. KeyboardInterrupt stops all processes after their last whole epoch. Raises SweepError.
    """
    if jobs == 1:
        work(path, job, on_update)
        return
    context = multiprocessing.get_context("spawn")  # PyTorch's threads and CUDA do not survive a fork
    updates: Queue[RunUpdate] = context.Queue()
    threads = max(1, available_cores() // jobs)
    workers = [
        context.Process(target=_worker, args=(path, job, updates, index, threads), daemon=True) for index in range(jobs)
    ]
    stopped: list[str] = []
    try:
        with ignore_interrupts():
            for process in workers:
                process.start()
        while any(process.is_alive() for process in workers) or not updates.empty():
            try:
                item = updates.get(timeout=0.2)
            except queue.Empty:
                continue
            if item.kind == "stopped":
                stopped.append(item.text)
            else:
                on_update(item)
    finally:
        for process in workers:
            if process.is_alive():
                process.terminate()
        for process in workers:
            if process.pid is not None:
                process.join()
    died = [process.exitcode for process in workers if process.exitcode]
    if died and not stopped and SweepFolder(path, job).unfinished():
        stopped.append(
            f"a worker process ended with exit code {died[0]} (perhaps for lack of memory: try fewer --jobs); "
            "give the same command again to go on"
        )
    if stopped:
        raise SweepError(stopped[0])


def _worker(path: Path, job: Job, updates: Queue[RunUpdate], index: int, threads: int) -> None:
    parent = multiprocessing.parent_process()

    def send(item: RunUpdate) -> None:
        if parent is not None and not parent.is_alive():
            raise KeyboardInterrupt  # the parent alone could stop this process
        updates.put(item)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    # Ctrl-C reaches every process of the terminal; the parent alone decides, and stops its workers by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, interrupt)
    torch.set_num_threads(threads)
    if torch.cuda.is_available():
        torch.cuda.set_device(index % torch.cuda.device_count())
    try:
        work(path, job, send, index)
    except KeyboardInterrupt:
        updates.cancel_join_thread()
    except SweepError as error:
        updates.put(RunUpdate(index, "stopped", text=str(error)))
