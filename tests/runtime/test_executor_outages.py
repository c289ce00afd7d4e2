"""A cluster that dies, stops or does not answer ends in one clear error, within the documented times."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import BackendError
from delaytool.verification import executor as executor_module
from delaytool.verification.executor import DaskExecutor

pytest.importorskip("distributed", reason="the extra 'cluster' (Dask distributed) is not installed")

SCHEDULER = """
import asyncio
from distributed import Scheduler

async def main():
    async with Scheduler(port=0, host="127.0.0.1", dashboard=False) as scheduler:
        print(scheduler.address, flush=True)
        await scheduler.finished()

asyncio.run(main())
"""
WORKER = """
import asyncio, sys
from distributed import Worker

async def main():
    async with Worker(sys.argv[1], nthreads=1) as worker:
        print("up", flush=True)
        await worker.finished()

asyncio.run(main())
"""
Outage = Callable[[subprocess.Popen[str], subprocess.Popen[str]], None]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONNECT_SECONDS", "WORKERS_SECONDS", "SILENT_SECONDS", "CLOSE_SECONDS"):
        monkeypatch.setattr(executor_module, name, 2)


@pytest.fixture
def processes() -> Iterator[tuple[subprocess.Popen[str], subprocess.Popen[str], str]]:
    """A scheduler and one worker, which nobody starts again, and the scheduler's address."""
    started: list[subprocess.Popen[str]] = []

    def start(code: str, *arguments: str) -> str:
        command = [sys.executable, "-c", code, *arguments]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True))
        assert started[-1].stdout is not None
        return started[-1].stdout.readline().strip()

    try:
        address = start(SCHEDULER)
        assert start(WORKER, address) == "up"
        yield started[0], started[1], address
    finally:
        for process in started:
            process.kill()  # ends a stopped one too
            process.communicate()


def network() -> IntegerNetwork:
    encoding = InputEncoding(n_units=3, n_steps=5, max_count=1)
    synapses = (DenseSynapses(0, np.full((2, 3), 20), np.ones((2, 3), int)),)
    return IntegerNetwork(
        encoding, (IntegerLayer("readout", 2, synapses, 2048, 131071),), Readout("softmax-sum", 64.0, 0, 8), 8
    )


@pytest.mark.parametrize(
    ("outage", "words"),
    [
        (lambda scheduler, worker: scheduler.kill(), "the connection to the Dask scheduler .*was lost"),
        (
            lambda scheduler, worker: scheduler.send_signal(signal.SIGSTOP),
            r"the Dask scheduler at tcp://\S+ has not answered for 2 s",
        ),
        (
            lambda scheduler, worker: worker.kill(),
            r"the Dask scheduler at tcp://\S+ has had no workers for 2 s; start some with: dask worker tcp://",
        ),
        (
            lambda scheduler, worker: worker.send_signal(signal.SIGSTOP),
            r"the Dask worker at tcp://\S+ has given no sign of life for 2 s",
        ),
    ],
    ids=["scheduler killed", "scheduler stopped", "all workers killed", "worker stopped"],
)
def test_an_outage_in_the_middle(
    outage: Outage, words: str, processes: tuple[subprocess.Popen[str], subprocess.Popen[str], str]
) -> None:
    scheduler, worker, address = processes
    chunks = (np.ones((4, 5, 3), np.uint8) for _ in range(500))
    with DaskExecutor(("reference",), address=address) as executor:
        results = executor.run(network(), chunks, lambda *what: None)
        next(results)
        outage(scheduler, worker)
        with pytest.raises(BackendError, match=rf"^executor: samples \d+\.\.\d+: {words}") as caught:
            list(results)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_chunk_that_does_not_end(
    processes: tuple[subprocess.Popen[str], subprocess.Popen[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executor_module, "CHUNK_SECONDS", 0)
    monkeypatch.setattr(executor_module, "LOOK_SECONDS", 0.001)
    with (
        DaskExecutor(("reference",), address=processes[2]) as executor,
        pytest.raises(BackendError, match=r"samples 0\.\.9999: have not ended within 0 s"),
    ):
        list(executor.run(network(), [np.ones((10_000, 5, 3), np.uint8)], lambda *what: None))


def test_a_server_that_takes_connections_and_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BackendError, match=rf"no Dask scheduler answers at {address} \(no answer within 2 s\)"):
            DaskExecutor(("reference",), address=address).__enter__()


def test_a_chunk_cancelled_while_it_is_waited_for_is_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Dask raises depends on whether the connection is lost before or while a chunk is waited for."""
    distributed = pytest.importorskip("distributed")
    executor = object.__new__(DaskExecutor)
    executor.names, executor._distributed = ("reference",), distributed

    def cancelled(*arguments: object) -> None:
        raise distributed.client.FuturesCancelledError([])

    monkeypatch.setattr(executor, "_awaited", cancelled)
    with pytest.raises(BackendError, match=r"^executor: samples 4\.\.7: the connection to the Dask scheduler was lost"):
        executor._result(range(4, 8), None, lambda *what: None)
