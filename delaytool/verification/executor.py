"""Where samples run: in this process, or in chunks over a cluster (Dask distributed).

A chunk's work is one function of the network, its frames and the backends. It is the same function everywhere, and the
results come back in the samples' order. Backends are sent to a cluster as names and options. A task gets everything
that it needs from its arguments or from another task, and nothing exists on one worker only. So the scheduler can run
again what a lost worker had, the network included.

Every wait is bounded by one of the constants below: for a scheduler that does not answer, a cluster without workers, a
worker that is silent, and a chunk that does not end. Workers that answer may compute as long as CHUNK_SECONDS.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.cores import available_cores
from delaytool.errors import BackendError, DataError, DelaytoolError, MissingExtraError, first_line
from delaytool.runtime.backends import Backend, BackendOptions, backend_named
from delaytool.runtime.counters import Counters, count
from delaytool.runtime.decode import decode
from delaytool.runtime.neurobench import Operations, count_operations
from delaytool.runtime.trace import Trace
from delaytool.verification.compare import TraceComparison, compare
from delaytool.version import __version__

EXECUTORS = ("local", "dask")
# Within so many seconds a scheduler is connected, and answers each question.
CONNECT_SECONDS = 30
# So long a cluster may be without workers: one that died is started again by its nanny in a few seconds.
WORKERS_SECONDS = 30
# So long a worker may send no sign of life; it sends one or two per second, while it computes too.
SILENT_SECONDS = 60
# So long one chunk of samples may take.
CHUNK_SECONDS = 3600
# How often the cluster is checked while a chunk is waited for.
LOOK_SECONDS = 1.0
# Closing takes no longer: what does not answer is left alone.
CLOSE_SECONDS = 5
# Chunks that wait at the scheduler for each one that runs: enough that no worker waits for the next.
WAITING = 2

_RUN_AGAIN = "run again"
_LOGGERS = ("distributed", "tornado.application", "asyncio")

# Called with (backend, samples) whenever a backend has run that many more samples.
Finished = Callable[[str, int], None]


@dataclass(frozen=True)
class ChunkResult:
    """What is kept of a chunk of samples: predictions and seconds by backend, comparisons with the first backend.

    operations   NeuroBench's counts of the first backend's run
    readout_has_current   whether the readout's current left 0 there, in any step of any sample
    methods   by backend, for those that have several methods: which one ran
    """

    predictions: dict[str, np.ndarray]
    seconds: dict[str, float]
    comparisons: dict[str, TraceComparison]
    counters: Counters
    operations: Operations
    readout_has_current: bool
    methods: dict[str, str]


class Executor(Protocol):
    """Runs the backends `names` on chunks of frames (sample, time, channel), `n_slots` chunks at once."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def n_slots(self) -> int: ...

    def run(self, network: IntegerNetwork, chunks: Iterable[np.ndarray], finished: Finished) -> Iterator[ChunkResult]:
        """One result per chunk, in the order of the chunks."""
        ...


def run_chunk(
    network: IntegerNetwork,
    frames: np.ndarray,
    backends: Mapping[str, Backend],
    finished: Finished | None = None,
) -> ChunkResult:
    """Run every backend on the frames and compare each with the first, bit for bit."""
    predictions: dict[str, np.ndarray] = {}
    seconds: dict[str, float] = {}
    comparisons: dict[str, TraceComparison] = {}
    methods: dict[str, str] = {}
    first: Trace | None = None
    counters: Counters | None = None
    operations: Operations | None = None
    for name, run in backends.items():
        begun = time.perf_counter()
        trace = run(network, frames)
        seconds[name] = time.perf_counter() - begun
        predictions[name] = decode(network, trace.readout)[0]
        if method := getattr(trace, "method", None):  # an EngineTrace's
            methods[name] = method
        if first is None:
            first, counters = trace, count(network, frames, trace)
            operations = count_operations(network, frames, trace)
        else:
            comparisons[name] = compare(network, frames, first, trace)
        if finished is not None:
            finished(name, len(frames))
    if first is None or counters is None or operations is None:
        raise BackendError("no backend was named; name at least one")
    has_current = bool(first.u[-1].any())
    return ChunkResult(predictions, seconds, comparisons, counters, operations, has_current, methods)


class InProcess:
    """Runs chunk after chunk in this process."""

    n_slots = 1

    def __init__(self, backends: Mapping[str, Backend]) -> None:
        self.backends = dict(backends)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.backends)

    def run(self, network: IntegerNetwork, chunks: Iterable[np.ndarray], finished: Finished) -> Iterator[ChunkResult]:
        for frames in chunks:
            yield run_chunk(network, frames, self.backends, finished)


class DaskExecutor:
    """Chunks over a Dask cluster: the one at `address`, or local worker processes of its own.

        with DaskExecutor(("engine", "reference"), workers=4) as executor:
            verdict = verify(network, frames, labels, executor)

    names     backends, as in `runtime.backends`; every other one is compared with the first
    options   theirs; the engine runs on one thread per chunk, because a worker runs a chunk on each of its threads
    address   of a scheduler ('tcp://host:8786'), whose workers must have this version of delaytool
    workers   local processes where no address is given; None: one for each core that this process may use

    Raises MissingExtraError without Dask, BackendError where the cluster cannot be reached or has no workers.
    """

    def __init__(
        self,
        names: Sequence[str],
        options: BackendOptions | None = None,
        *,
        address: str | None = None,
        workers: int | None = None,
    ) -> None:
        self.names = tuple(dict.fromkeys(names))
        # A function that prints cannot be sent to a worker.
        self._options = replace(options or BackendOptions(), announce=None, threads=1)
        for name in self.names:
            backend_named(name, self._options)  # an unknown one is refused here, before a cluster starts
        if workers is not None and workers < 1:
            raise BackendError(f"executor: workers {workers} is below 1")
        self._distributed = _distributed()
        self._address, self._workers = address, workers
        self._cluster: Any = None
        self._client: Any = None
        self._levels: dict[str, int] = {}

    @property
    def n_slots(self) -> int:
        return max(1, sum(worker["nthreads"] for worker in self._workers_now().values()))

    def __enter__(self) -> DaskExecutor:
        # They log a lost connection as tracebacks; here it is raised as one error.
        self._levels = {name: logging.getLogger(name).level for name in _LOGGERS}
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        try:
            if self._address is None:
                self._cluster = self._distributed.LocalCluster(
                    n_workers=self._workers or available_cores(),
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address="127.0.0.1:0",  # None is its usual port, which may be taken
                    silence_logs=logging.CRITICAL,
                )
            self._client = self._connected()
            self._client.wait_for_workers(1, timeout=CONNECT_SECONDS)
        except (OSError, asyncio.TimeoutError, ValueError) as error:  # up to Python 3.10 not the built-in TimeoutError
            client = self._client
            self.__exit__(None, None, None)
            where = self._address or "this machine"
            if client is not None:
                raise BackendError(
                    f"executor: the Dask scheduler at {where} has no workers; start some with: dask worker {where}"
                ) from None
            reason = first_line(error)
            raise BackendError(
                f"executor: no Dask scheduler answers at {where} ({reason}); start one with: dask scheduler"
            ) from None
        return self

    def _connected(self) -> Any:
        """A client. Raises TimeoutError where what listens at the address does not answer.

        Dask bounds the connection but not the first question, so that waits in a thread of its own.
        """
        made: queue.Queue[Any] = queue.Queue()

        def connect() -> None:
            try:
                made.put(self._distributed.Client(self._cluster or self._address, timeout=CONNECT_SECONDS))
            except Exception as error:
                made.put(error)

        threading.Thread(target=connect, daemon=True, name="delaytool-dask-connect").start()
        try:
            client = made.get(timeout=CONNECT_SECONDS + 1)
        except queue.Empty:
            raise asyncio.TimeoutError(f"no answer within {CONNECT_SECONDS} s") from None
        if isinstance(client, Exception):
            raise client
        return client

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for opened in (self._client, self._cluster):
            if opened is not None:
                # A scheduler that is gone or does not answer cannot be closed in order.
                with suppress(OSError, asyncio.TimeoutError, RuntimeError):
                    opened.close(timeout=CLOSE_SECONDS)
        self._client = self._cluster = None
        for name, level in self._levels.items():
            logging.getLogger(name).setLevel(level)

    def run(self, network: IntegerNetwork, chunks: Iterable[np.ndarray], finished: Finished) -> Iterator[ChunkResult]:
        if self._client is None:
            raise BackendError("executor: it is not open; use it in a with statement")
        run, room = uuid.uuid4().hex, (1 + WAITING) * self.n_slots
        # A task's result, not scattered data, which would be lost with the worker that holds it.
        shared = self._client.submit(_held_by_cluster, network, key=f"delaytool-network-{run}")
        waiting: deque[tuple[range, Any]] = deque()
        begin = 0
        for frames in chunks:
            samples = range(begin, begin + len(frames))
            arguments = (shared, frames, self.names, self._options, __version__)
            key = f"delaytool-samples-{samples.start}-{run}"
            waiting.append((samples, self._client.submit(_run_chunk_on_worker, *arguments, key=key)))
            begin = samples.stop
            if len(waiting) >= room:
                yield self._result(*waiting.popleft(), finished)
        while waiting:
            yield self._result(*waiting.popleft(), finished)

    def _result(self, samples: range, future: Any, finished: Finished) -> ChunkResult:
        where = f"executor: samples {samples.start}..{samples.stop - 1}"
        try:
            result = self._awaited(future, where)
        except DelaytoolError:
            raise
        except self._distributed.KilledWorker as error:
            raise BackendError(
                f"{where}: every worker that ran them died (last {error.last_worker.address}); "
                "see its log, it may lack memory"
            ) from None
        except ModuleNotFoundError as error:
            raise BackendError(
                f"{where}: a worker has no {error.name}; install delaytool {__version__} with the same extras there"
            ) from None
        except (asyncio.CancelledError, concurrent.futures.CancelledError, self._distributed.comm.CommClosedError):
            raise BackendError(f"{where}: the connection to the Dask scheduler was lost; {_RUN_AGAIN}") from None
        for name in self.names:
            finished(name, len(samples))
        return result

    def _awaited(self, future: Any, where: str) -> ChunkResult:
        """The future's result, or its error. Raises BackendError where nothing more can be expected of the cluster."""
        begun = with_workers = time.monotonic()
        seen: dict[str, tuple[float, float]] = {}  # by worker: its last sign of life by its clock, and by this one
        while True:
            try:
                self._distributed.wait(future, timeout=LOOK_SECONDS)
                result: ChunkResult = future.result(timeout=CONNECT_SECONDS)
                return result
            except asyncio.TimeoutError:
                if future.status == "error":  # the chunk's own
                    raise
            workers = self._workers_now(where)
            now = time.monotonic()
            for address, worker in workers.items():
                if address not in seen or seen[address][0] != worker["last_seen"]:
                    seen[address] = (worker["last_seen"], now)
                elif now - seen[address][1] > SILENT_SECONDS:
                    raise BackendError(
                        f"{where}: the Dask worker at {address} has given no sign of life for {SILENT_SECONDS} s "
                        f"(stopped, or its machine hangs); end it, and {_RUN_AGAIN}"
                    )
            with_workers = now if workers else with_workers
            if now - with_workers > WORKERS_SECONDS:
                scheduler = self._client.scheduler.address
                raise BackendError(
                    f"{where}: the Dask scheduler at {scheduler} has had no workers for {WORKERS_SECONDS} s; "
                    f"start some with: dask worker {scheduler}"
                )
            if now - begun > CHUNK_SECONDS:
                raise BackendError(
                    f"{where}: have not ended within {CHUNK_SECONDS} s; run fewer samples, or with --executor local"
                )

    def _workers_now(self, where: str = "executor") -> dict[str, Any]:
        """What the scheduler knows of each worker, by address. Raises BackendError where it does not answer."""
        address = self._address or "this machine"
        try:
            identity = self._client.sync(self._client.scheduler.identity, callback_timeout=CONNECT_SECONDS)
        except asyncio.TimeoutError:
            raise BackendError(
                f"{where}: the Dask scheduler at {address} has not answered for {CONNECT_SECONDS} s "
                f"(stopped, or the network is cut); {_RUN_AGAIN}"
            ) from None
        except (OSError, RuntimeError):
            raise BackendError(
                f"{where}: the connection to the Dask scheduler at {address} was lost; {_RUN_AGAIN}"
            ) from None
        workers: dict[str, Any] = identity["workers"]
        return workers


def _run_chunk_on_worker(
    network: IntegerNetwork, frames: np.ndarray, names: tuple[str, ...], options: BackendOptions, version: str
) -> ChunkResult:
    """`run_chunk` on a worker."""
    if version != __version__:
        raise BackendError(f"a worker has delaytool {__version__}, this is {version}; install the same version there")
    try:
        return run_chunk(network, frames, {name: backend_named(name, options) for name in names})
    except DataError as error:
        raise DataError(str(error)) from None
    except DelaytoolError as error:
        # Errors made from several arguments cannot be unpickled from their message alone.
        raise BackendError(str(error)) from None


def _held_by_cluster(network: IntegerNetwork) -> IntegerNetwork:
    return network


def _distributed() -> Any:
    """Dask distributed; it takes a second to import and need not be there."""
    try:
        import distributed
    except ModuleNotFoundError:
        raise MissingExtraError("the executor 'dask'", "dask distributed", "cluster") from None
    return distributed
