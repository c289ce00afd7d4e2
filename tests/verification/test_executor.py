"""Samples spread over a cluster: the verdict is the one of this process, whatever happens to a worker."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from delaytool.commands.verify import command
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.errors import BackendError, DataError, MissingExtraError
from delaytool.runtime import reference
from delaytool.runtime.backends import BACKENDS, backend_named
from delaytool.runtime.decode import decode
from delaytool.verification import executor as executor_module
from delaytool.verification.executor import DaskExecutor
from delaytool.verification.verdict import Verdict, verify

distributed = pytest.importorskip("distributed", reason="the extra 'cluster' (Dask distributed) is not installed")
cloudpickle = pytest.importorskip("cloudpickle")

N_SAMPLES = 27
# The engine's kernels need not be compiled in every worker to see where samples go.
NAMES = ("reference", "again")

Case = tuple[IntegerNetwork, np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def case() -> Case:
    rng = np.random.default_rng(0)
    encoding = InputEncoding(n_units=6, n_steps=12, max_count=2)

    def layer(name: str, source: int, n_out: int, n_in: int, threshold: int) -> IntegerLayer:
        weight = 2 * rng.integers(-60, 100, (n_out, n_in))
        synapses = (DenseSynapses(source, weight, rng.integers(0, 4, (n_out, n_in))),)
        return IntegerLayer(name, n_out, synapses, 2048, threshold)

    layers = (layer("hidden1", 0, 8, 6, 150), layer("readout", 1, 3, 8, 131071))
    network = IntegerNetwork(encoding, layers, Readout("softmax-sum", 64 * 150.0, 2, 20), 20)
    frames = rng.integers(0, 3, (N_SAMPLES, 12, 6)).astype(np.uint8)
    labels = decode(network, reference.run(network, frames).readout)[0]
    labels[::5] = (labels[::5] + 1) % 3
    return network, frames, labels


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Two worker processes, or as many as the test sets; when they die they are started again as new ones."""
    # This module cannot be imported by the workers; what it sends them goes by value.
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with (
        distributed.LocalCluster(
            n_workers=getattr(request, "param", 2),
            threads_per_worker=1,
            processes=True,
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def install(name: str, backend: Any) -> None:
    """In a worker: have it know one more backend, or another one by a known name."""
    from delaytool.runtime import backends  # the worker's own; a name of this module would travel by value

    backends.BACKENDS[name] = lambda options: backend


def again(network: IntegerNetwork, frames: np.ndarray) -> Any:
    return reference.run(network, frames)


def here(case: Case, backend: Any) -> Verdict:
    return verify(*case, {"reference": reference.run, "again": backend}, max_drop=None)


def there(case: Case, client: Any, names: tuple[str, ...] = NAMES, progress: Any = None) -> Verdict:
    with DaskExecutor(names, address=client.scheduler.address) as executor:
        return verify(*case, executor, max_drop=None, progress=progress)


def assert_same(found: Verdict, expected: Verdict) -> None:
    assert np.array_equal(found.predictions, expected.predictions)
    assert found.accuracy == expected.accuracy
    assert found.comparisons == expected.comparisons
    assert found.reasons == expected.reasons
    assert found.samples == expected.samples
    for name in ("input_spikes", "spikes", "synaptic_events", "neuron_updates"):
        assert np.array_equal(getattr(found.counters, name), getattr(expected.counters, name))


@pytest.fixture(autouse=True)
def _known_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "again", lambda options: reference.run)


def test_local_workers_give_the_verdict_of_this_process(case: Case) -> None:
    names = ("engine", "reference")
    expected = verify(*case, {name: backend_named(name) for name in names}, max_drop=None)
    with DaskExecutor(names, workers=2) as executor:
        assert executor.n_slots == 2
        found = verify(*case, executor, max_drop=None)
    assert found.passed
    assert_same(found, expected)


def test_samples_are_spread_and_progress_is_reported(case: Case, cluster: Any, tmp_path: Path) -> None:
    folder = str(tmp_path)

    def leaves_its_name(network: IntegerNetwork, frames: np.ndarray) -> Any:
        import time

        Path(folder, f"{len(frames)}-{os.getpid()}").touch()
        time.sleep(0.2)  # long enough that one worker cannot take all
        return reference.run(network, frames)

    cluster.run(install, "again", leaves_its_name)
    calls: list[tuple[str, int, int]] = []
    found = there(case, cluster, progress=lambda *what: calls.append(what))
    assert_same(found, here(case, again))
    left = [path.name.split("-") for path in tmp_path.iterdir()]
    assert len({process for _, process in left}) == 2
    assert {int(size) for size, _ in left} == {4, 3}  # 27 samples in chunks of 4
    assert calls[-1] == ("again", N_SAMPLES, N_SAMPLES)
    assert [done for name, done, _ in calls if name == "reference"] == [4, 8, 12, 16, 20, 24, 27]


def test_a_difference_keeps_its_sample_number(case: Case, cluster: Any) -> None:
    marked = case[1][17].copy()

    def wrong(network: IntegerNetwork, frames: np.ndarray) -> Any:
        trace = reference.run(network, frames)
        v = [array.copy() for array in trace.v]
        for sample in np.flatnonzero((frames == marked).all(axis=(1, 2))):
            v[0][sample, 7, 2] += 1
        return replace(trace, v=tuple(v))

    cluster.run(install, "again", wrong)
    found = there(case, cluster)
    assert found.comparisons["again"].first.sample == 17  # type: ignore[union-attr]
    assert_same(found, here(case, wrong))


def test_a_lost_workers_samples_are_run_again(case: Case, cluster: Any, tmp_path: Path) -> None:
    marker = str(tmp_path / "killed")

    def dies_once(network: IntegerNetwork, frames: np.ndarray) -> Any:
        try:
            with open(marker, "x") as file:
                file.write(str(os.getpid()))
        except FileExistsError:
            return reference.run(network, frames)
        os.kill(os.getpid(), signal.SIGKILL)

    # By the name of one that a worker knows which is started again.
    cluster.run(install, "reference", dies_once)
    before = set(cluster.run(os.getpid).values())
    found = there(case, cluster, ("reference", "engine"))
    killed = int(Path(marker).read_text())
    assert killed in before
    assert killed not in set(cluster.run(os.getpid).values())
    assert_same(found, verify(*case, {name: backend_named(name) for name in ("reference", "engine")}, max_drop=None))


@pytest.mark.parametrize("cluster", [1], indirect=True)  # a second might get the samples when it is new
def test_samples_that_kill_every_worker_are_named(case: Case, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(network: IntegerNetwork, frames: np.ndarray) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    cluster.run(install, "again", dies)
    monkeypatch.setattr(cluster.cluster.scheduler, "allowed_failures", 0)
    with pytest.raises(BackendError, match=r"samples \d+\.\.\d+: every worker that ran them died \(last tcp") as caught:
        there(case, cluster)
    assert "\n" not in str(caught.value)


def test_an_error_in_a_chunk_is_the_users_error(case: Case, cluster: Any) -> None:
    def refuses(network: IntegerNetwork, frames: np.ndarray) -> Any:
        from delaytool.runtime.backends.lava import WorkerExit

        raise WorkerExit("delaytool-lava: scipy is not installed", "python", 1)

    cluster.run(install, "again", refuses)
    with pytest.raises(BackendError, match="scipy is not installed") as caught:
        there(case, cluster)
    assert "\n" not in str(caught.value)
    network, frames, labels = case
    with (
        DaskExecutor(("engine", "reference"), address=cluster.scheduler.address) as executor,
        pytest.raises(DataError, match="frames hold the value 9, the network's encoding admits"),
    ):
        verify(network, np.where(frames > 1, 9, frames).astype(np.uint8), labels, executor)


def test_what_cannot_be_reached_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executor_module, "CONNECT_SECONDS", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(BackendError, match=f"no Dask scheduler answers at {address}") as caught:
            DaskExecutor(NAMES, address=address).__enter__()
        assert "\n" not in str(caught.value)
    with (
        distributed.LocalCluster(n_workers=0, dashboard_address="127.0.0.1:0", silence_logs=50) as empty,
        pytest.raises(BackendError, match="has no workers; start some with: dask worker tcp"),
    ):
        DaskExecutor(NAMES, address=empty.scheduler_address).__enter__()


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(BackendError, match="backend 'abacus' is unknown"):
        DaskExecutor(("abacus",))
    with pytest.raises(BackendError, match="workers 0 is below 1"):
        DaskExecutor(NAMES, workers=0)


def test_options_of_a_cluster_ask_for_one() -> None:
    for options in (["--workers", "2"], ["--executor", "dask", "--workers", "2", "--executor-address", "tcp://x:1"]):
        result = CliRunner().invoke(command, ["net.h5", *options])
        assert result.exit_code == 2
        assert "--workers" in result.output


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"'dask' needs dask distributed.*\[cluster\]"):
        DaskExecutor(NAMES)
