"""From a network file and data to a verdict: what `verify` and `report` share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from delaytool import datasets
from delaytool.commands.step_bars import StepBars
from delaytool.datasets.subset import evenly_spaced
from delaytool.errors import BackendError, DataError
from delaytool.network import IntegerNetwork
from delaytool.runtime.backends import Backend, BackendOptions, backend_named
from delaytool.runtime.trace import Trace
from delaytool.verification.executor import DaskExecutor, Executor
from delaytool.verification.verdict import FloatFigures, Verdict, verify


@dataclass(frozen=True)
class Judged:
    """The verdict, and what it was reached on."""

    network: IntegerNetwork
    verdict: Verdict
    frames: np.ndarray
    labels: np.ndarray
    data_name: str


def judge(
    path: Path,
    *,
    data: str | None = None,
    split: str = "test",
    backends: tuple[str, ...] = ("engine", "reference"),
    with_torch: bool = False,
    run: Path | None = None,
    samples: int | None = None,
    max_drop: float | None = 0.5,
    options: BackendOptions | None = None,
    progress: bool = True,
    executor: str = "local",
    executor_address: str | None = None,
    workers: int | None = None,
) -> Judged:
    """Load the network and its samples, run the backends, compare. Raises DelaytoolError.

    executor           'local': this process; 'dask': over the cluster at `executor_address`, or `workers` local ones
    """
    if with_torch and executor != "local":
        raise BackendError("the trainer's simulation runs in this process only; leave out --torch or --executor")
    network = IntegerNetwork.load(path)
    with StepBars(progress) as told:
        events = _events(network, path, data, split, told)
    frames = datasets.frames_of(events, network.encoding)
    labels = events.labels
    chosen = np.arange(len(frames))
    if samples is not None and samples < len(frames):
        chosen = evenly_spaced(len(frames), samples)
    floats = _recorded(network, frames, labels, chosen)
    if floats is None and run is not None:
        floats = _measured(run, frames[chosen], labels[chosen])
    frames, labels = frames[chosen], labels[chosen]
    with ExitStack() as opened:
        runners: dict[str, Backend] | Executor
        if executor == "dask":
            cluster = DaskExecutor(backends, options, address=executor_address, workers=workers)
            runners = opened.enter_context(cluster)
        else:
            runners = {name: backend_named(name, options) for name in dict.fromkeys(backends)}
            if with_torch:
                runners["torch"] = torch_backend()
        tell = opened.enter_context(StepBars(progress))
        verdict = verify(network, frames, labels, runners, floats=floats, max_drop=max_drop, progress=tell)
    return Judged(network, verdict, frames, labels, f"{events.name}, {len(frames)} samples")


def _events(
    network: IntegerNetwork, path: Path, data: str | None, split: str, progress: Callable[[str, int, int], None]
) -> datasets.EventData | datasets.FrameData:
    recipe = network.provenance.get("recipe") or {}
    how: dict[str, Any] = dict(recipe.get("data") or {})
    source = data or how.get("source")
    if source is None:
        raise DataError(f"{path}: the network does not say what data it was trained on; give samples with --data")
    kept = ("validation_fraction", "test_fraction", "split_by", "held_out_speaker", "held_out_as")
    read = ("classes", "pixel_bins", "polarity")
    return datasets.load_for_evaluation(
        source,
        split,
        n_classes=network.n_classes,
        seed=int(recipe.get("seed", 0)),
        n_units=None if source == "digits" else network.encoding.n_units,
        protocol=recipe.get("protocol", "honest"),
        reading=datasets.Reading(
            time_step_ms=network.encoding.time_step_ms,
            mel=network.encoding.mel,
            progress=progress,
            **{name: how[name] for name in read if name in how},
        ),
        **{name: how[name] for name in kept if name in how},
    )


def _recorded(
    network: IntegerNetwork, frames: np.ndarray, labels: np.ndarray, chosen: np.ndarray
) -> FloatFigures | None:
    """What the exporter recorded of the float network, where these are the very same samples."""
    record = network.provenance.get("float")
    if record is None or len(frames) != record["samples"] or datasets.digest(frames, labels) != record["digest"]:
        return None
    hits = {name: np.asarray(record[name])[chosen] == labels[chosen] for name in ("as_trained", "rounded")}
    return FloatFigures(
        as_trained=float(hits["as_trained"].mean()),
        rounded=float(hits["rounded"].mean()),
        origin="recorded at export on these very samples",
    )


def _measured(run: Path, frames: np.ndarray, labels: np.ndarray) -> FloatFigures:
    import torch

    from delaytool.trainer import Checkpoint, RunFolder
    from delaytool.trainer.evaluation import evaluate_both

    saved = Checkpoint.load(RunFolder(run).best)
    model = saved.network()
    given, truth, batch = torch.from_numpy(frames), torch.from_numpy(labels), saved.recipe.trainer.batch_size
    trained, rounded = evaluate_both(model, given, truth, batch, saved.sigma)
    return FloatFigures(trained.accuracy, rounded.accuracy, origin=f"measured now with {run}")


def torch_backend() -> Backend:
    """The trainer's own integer simulation as a backend."""
    import torch

    from delaytool.models.integer import simulate

    def run(network: IntegerNetwork, frames: np.ndarray) -> Trace:
        traces = simulate(network, torch.from_numpy(frames))
        return Trace(
            spikes=tuple(layer.spikes.numpy() for layer in traces),
            u=tuple(layer.u.numpy() for layer in traces),
            v=tuple(layer.v.numpy() for layer in traces),
        )

    return run
