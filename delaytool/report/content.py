"""All that a page shows, gathered from a run or a network file before anything is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import DataError, NetworkError
from delaytool.experiments.evaluated_samples import SampleChoice
from delaytool.experiments.verify_run import TwoPartVerification, VerifyRequest, verify_in_two_parts
from delaytool.files import sha256_of
from delaytool.report.activity import LayerActivity, measure_firing_rates, time_decisions
from delaytool.report.samples import SampleTrace, trace_samples
from delaytool.runtime.backends import backend_named
from delaytool.trainer.run_folder import RunFolder
from delaytool.verification.verdict import check_max_drop

if TYPE_CHECKING:
    from delaytool.analysis.run_analysis import RunAnalysis


@dataclass(frozen=True)
class NetworkFile:
    """An integer network and the file that it came from. others: further networks of the same run."""

    path: Path
    sha256: str
    network: IntegerNetwork
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class FloatDelays:
    """The checkpoint's delays before rounding, flat, by layer; None for those that cannot be shown, and why."""

    by_layer: dict[str, np.ndarray] | None
    checkpoint: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class Content:
    """Everything that a page shows. What is None was not there, or could not be had (`why_not_verified`).

    samples            those that are shown spike by spike
    activity           of the hidden layers, on `activity_samples` samples
    decision_seconds   that the first backend takes for one sample alone, median
    """

    path: Path
    run: RunFolder | None
    file: NetworkFile | None
    verification: TwoPartVerification | None
    why_not_verified: str
    samples: tuple[SampleTrace, ...]
    float_delays: FloatDelays
    analysis: RunAnalysis | None = None
    activity: tuple[LayerActivity, ...] = ()
    activity_samples: int = 0
    decision_seconds: float | None = None


@dataclass(frozen=True)
class PageRequest:
    """What a page is made of.

    samples    how many, evenly spaced, are compared bit for bit; accuracies are of all
    data       a source or a path; 'recorded': what the network file names; None: the same, where that is built in
    sample     the first of those that are shown spike by spike
    with_torch, max_drop   as for `verify`
    """

    samples: int = 200
    data: str | None = None
    sample: int = 0
    with_torch: bool = False
    max_drop: float | None = 0.5


Progress = Callable[[str, int, int], None]


def gather_content(path: Path, request: PageRequest | None = None, progress: Progress | None = None) -> Content:
    """From a run folder or a network file to what the page shows.

    progress: called with (what, done, of how many). Raises DelaytoolError. Without data that belong to the network and
    may be read, the network is not verified.
    """
    request = request or PageRequest()
    check_max_drop(request.max_drop)
    run, file = _found(path)
    float_delays, checkpoint = _float_delays(run, file)
    why_not = "the run has not been exported yet: delaytool export makes a network of it"
    verification = None
    if file is not None:
        asked = VerifyRequest(
            network=file.path,
            samples=SampleChoice(request.data),
            with_torch=request.with_torch,
            run=_comparable(run, file, checkpoint),
            max_drop=request.max_drop,
        )
        try:
            verification = verify_in_two_parts(asked, request.samples, progress)
            why_not = ""
        except DataError as error:
            if request.data is not None:
                raise
            why_not = str(error)
    content = Content(path, run, file, verification, why_not, (), float_delays)
    if verification is not None:
        content = _with_measurements(content, verification, request, progress)
    return replace(content, analysis=_analyzed(checkpoint, progress))


def _with_measurements(
    content: Content, verification: TwoPartVerification, request: PageRequest, progress: Progress | None
) -> Content:
    """The samples spike by spike, firing rates, and the time of a decision."""
    backend = backend_named(verification.whole.backend)
    few = verification.samples.subset(request.samples)
    return replace(
        content,
        samples=trace_samples(verification, request.sample),
        activity=measure_firing_rates(verification.network, few.frames, backend, progress),
        activity_samples=len(few.frames),
        decision_seconds=time_decisions(verification.network, few.frames, backend),
    )


def _found(path: Path) -> tuple[RunFolder | None, NetworkFile | None]:
    if path.is_dir():
        run = RunFolder(path)
        run.require_intact()
        networks = run.networks()
        return run, _network_file(networks) if networks else None
    if not path.exists():
        raise NetworkError(
            f"{path}: no such file or folder; give a run folder that `delaytool train` made, or a network file"
        )
    file = _network_file([path])
    around = RunFolder(path.parent)
    if not around.is_run:
        return None, file
    around.require_intact()
    return around, file


def _network_file(paths: list[Path]) -> NetworkFile:
    path = paths[0]
    network = IntegerNetwork.load(path)
    return NetworkFile(path, sha256_of(path), network, tuple(other.name for other in paths[1:]))


def _float_delays(run: RunFolder | None, file: NetworkFile | None) -> tuple[FloatDelays, Path | None]:
    """The delays of the checkpoint that the network was exported from, and that checkpoint."""
    if run is None:
        return FloatDelays(None, why_not="the file does not lie in a run folder, so there is no float checkpoint"), None
    exported_from = None if file is None else file.network.provenance.get("checkpoint_sha256")
    for checkpoint in (run.best, run.last):
        if checkpoint.exists() and exported_from in (None, sha256_of(checkpoint)):
            break
    else:
        if exported_from is None:
            return FloatDelays(None, why_not="the run has no checkpoint yet"), None
        return FloatDelays(None, why_not="the network was not exported from this run's present checkpoints"), None
    if find_spec("torch") is None:
        return FloatDelays(None, why_not="PyTorch, which reads the float checkpoint, is not installed"), None
    from delaytool.trainer.checkpoint import Checkpoint

    model = Checkpoint.load(checkpoint).float_network()
    if not any(layer.config.learns_delays for layer in model.delayed_layers()):
        return FloatDelays(None, why_not="they are integers from the start and are not learned"), checkpoint
    delays: dict[str, np.ndarray] = {}
    for name, layer in zip(model.layer_names(), model.delayed_layers(), strict=True):
        # An exported layer holds all synapses to it, recurrent ones too.
        place, own = name.removesuffix("-recurrent"), layer.delays.detach().numpy().ravel()
        delays[place] = np.concatenate([delays[place], own]) if place in delays else own
    return FloatDelays(delays, checkpoint.name), checkpoint


def _analyzed(checkpoint: Path | None, progress: Progress | None) -> RunAnalysis | None:
    """The structure of the first layer's receptive fields; None where `FloatDelays.why_not` gives the reason."""
    if checkpoint is None:
        return None
    from delaytool.analysis.run_analysis import analyze_run

    return analyze_run(checkpoint.parent, checkpoint=checkpoint.stem, progress=progress)


def _comparable(run: RunFolder | None, file: NetworkFile, checkpoint: Path | None) -> Path | None:
    """The run whose checkpoint the network is compared with; None without one, or without a record of the export."""
    if run is None or checkpoint is None:
        return None
    from delaytool.exporter.record import ExportRecord

    return None if ExportRecord.of(file.network) is None else run.path
