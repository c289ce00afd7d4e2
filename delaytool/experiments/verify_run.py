"""From a network file, data and, where given, the trained run to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from delaytool import datasets
from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.class_names import numbered_as
from delaytool.datasets.subset import evenly_spaced
from delaytool.errors import DataError, ExportError, NetworkError, VerificationError
from delaytool.files import sha256_of
from delaytool.runtime.backends import Backend, BackendOptions, backend_named
from delaytool.runtime.trace import Trace
from delaytool.verification.binding import Binding
from delaytool.verification.executor import DaskExecutor, Executor
from delaytool.verification.float_figures import FloatFigures, recorded_figures
from delaytool.verification.integers import compare_integers
from delaytool.verification.verdict import (
    Figures,
    Verdict,
    check_max_drop,
    drop_reasons,
    evaluate,
    verify,
)

if TYPE_CHECKING:
    from delaytool.trainer.checkpoint import Checkpoint

Progress = Callable[[str, int, int], None]
# The value of --data with which a user allows the data that a file names to be read.
RECORDED = "recorded"
# Data that come with the package's own dependencies: nothing is read or downloaded that a file could choose.
BUILT_IN = ("digits",)


@dataclass(frozen=True)
class SampleChoice:
    """Which samples run.

    data    a source or a path; 'recorded': what the network file names; None: that too, where it is built in
    split   'train', 'validation' or 'test'
    count   only so many, evenly spaced; None: all
    """

    data: str | None = None
    split: str = "test"
    count: int | None = None


@dataclass(frozen=True)
class ExecutorChoice:
    """Where samples run: 'local', this process; 'dask', the cluster at `address`, or `workers` local processes."""

    name: str = "local"
    address: str | None = None
    workers: int | None = None


@dataclass(frozen=True)
class VerifyRequest:
    """What is verified, and how.

    network    the file
    backends   the first one's accuracy counts, the others must agree with it
    few        of slow backends, by name, on how many samples they run, evenly spaced; the others run on all
    with_torch compare with the trainer's integer simulation too, a second simulation of the same file
    run        the trained run: its checkpoint is compiled again, every integer compared, its float accuracy measured
    max_drop   points of accuracy that integers may cost; None: they may cost any
    """

    network: Path
    samples: SampleChoice = field(default_factory=SampleChoice)
    backends: tuple[str, ...] = ("engine", "reference")
    few: Mapping[str, int] = field(default_factory=dict)
    with_torch: bool = False
    run: Path | None = None
    max_drop: float | None = 0.5
    options: BackendOptions | None = None
    executor: ExecutorChoice = field(default_factory=ExecutorChoice)


@dataclass(frozen=True)
class Samples:
    """frames (sample, time, channel), labels (sample,); digest of all of them, of which `chosen` (indices) are these.

    all_labels   (sample,) of all
    warnings     sentences about the data that a user should read
    """

    frames: np.ndarray
    labels: np.ndarray
    name: str
    digest: str
    chosen: np.ndarray
    all_labels: np.ndarray
    warnings: tuple[str, ...] = ()

    def subset(self, count: int) -> Samples:
        """At most `count` of these, evenly spaced."""
        kept = evenly_spaced(len(self.frames), count)
        return replace(self, frames=self.frames[kept], labels=self.labels[kept], chosen=self.chosen[kept])

    def describe(self) -> str:
        """Name and number."""
        return f"{self.name}, {len(self.frames)} samples"


@dataclass(frozen=True)
class Verification:
    """The verdict, and the network and samples that it is about.

    why_no_floats   why no float accuracy counts; '' where one does
    """

    network: IntegerNetwork
    verdict: Verdict
    samples: Samples
    why_no_floats: str = ""


@dataclass(frozen=True)
class TwoPartVerification:
    """A verdict in two parts, because the slow reference need not run on every sample.

    whole    one backend on all samples: accuracies, drop, predictions, cost; `bits` itself where that is on all
    bits     all backends on some or all of the samples
    """

    network: IntegerNetwork
    whole: Figures
    bits: Verdict
    samples: Samples
    max_drop: float | None
    why_no_floats: str = ""

    @property
    def on_all(self) -> bool:
        return self.bits.samples == self.whole.samples

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it does not pass. An unknown drop is no reason: the page states that it is not known."""
        return tuple(dict.fromkeys((*self.bits.reasons, *drop_reasons(self.whole, self.max_drop))))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that are shown beside the verdict."""
        return self.whole.warnings

    @property
    def values_compared(self) -> int:
        """Spikes, currents and membranes that each backend had to reproduce."""
        neurons = sum(layer.n_neurons for layer in self.network.layers)
        return 3 * self.bits.samples * self.bits.steps * neurons


def verify_network(request: VerifyRequest, progress: Progress | None = None) -> Verification:
    """Load the network and its samples, compare it with its run, run the backends, compare. Raises DelaytoolError.

    progress: called with (what, done, of how many).

        verify_network(VerifyRequest(Path("net.h5"), run=Path("runs/mine"))).verdict.passed
    """
    _check(request)
    network = IntegerNetwork.load(request.network)
    binding, saved = (None, None) if request.run is None else bind(network, request.network, request.run)
    samples = load_samples(network, request.network, request.samples, progress)
    floats = _float_figures(network, samples, binding, saved)
    figures = floats if isinstance(floats, FloatFigures) else None
    on_all = replace(request, backends=tuple(name for name in request.backends if name not in request.few))
    if len(on_all.backends) + on_all.with_torch == 1:  # it is compared on few samples alone
        (first,) = on_all.backends
        backend = backend_named(first, request.options)
        whole = evaluate(
            network, samples.frames, samples.labels, first, backend, floats=figures, progress=progress
        )  # fmt: skip
        verdict = Verdict(**vars(whole), comparisons={}, max_drop=request.max_drop, binding=binding)
    else:
        verdict = _on_all(on_all, network, samples, figures, binding, progress)
    for name, count in request.few.items():
        chosen = evenly_spaced(len(samples.frames), count)
        pair = _backends(replace(request, backends=(request.backends[0], name), with_torch=False))
        frames, labels = samples.frames[chosen], samples.labels[chosen]
        verdict = verdict.with_few(verify(network, frames, labels, pair, max_drop=None, progress=progress), chosen)
    return Verification(network, verdict, samples, floats if isinstance(floats, str) else "")


def _on_all(
    request: VerifyRequest,
    network: IntegerNetwork,
    samples: Samples,
    floats: FloatFigures | None,
    binding: Binding | None,
    progress: Progress | None,
) -> Verdict:
    """The verdict of backends that all run on all samples, here or on a cluster."""
    with ExitStack() as opened:
        backends: dict[str, Backend] | Executor
        if request.executor.name == "dask":
            where = request.executor
            cluster = DaskExecutor(request.backends, request.options, address=where.address, workers=where.workers)
            backends = opened.enter_context(cluster)
        else:
            backends = _backends(request)
        return verify(
            network,
            samples.frames,
            samples.labels,
            backends,
            floats=floats,
            max_drop=request.max_drop,
            binding=binding,
            progress=progress,
        )


def verify_in_two_parts(
    request: VerifyRequest, bit_samples: int, progress: Progress | None = None
) -> TwoPartVerification:
    """Accuracies and cost on all samples of the request, bits on `bit_samples` of them. Raises DelaytoolError."""
    _check(request)
    network = IntegerNetwork.load(request.network)
    binding, saved = (None, None) if request.run is None else bind(network, request.network, request.run)
    samples = load_samples(network, request.network, request.samples, progress)
    found = _float_figures(network, samples, binding, saved)
    floats, why_not = (found, "") if isinstance(found, FloatFigures) else (None, found)
    backends = _backends(request)
    if bit_samples >= len(samples.frames):
        verdict = verify(
            network, samples.frames, samples.labels, backends,
            floats=floats, max_drop=request.max_drop, binding=binding, progress=progress,
        )  # fmt: skip
        return TwoPartVerification(network, verdict, verdict, samples, request.max_drop, why_not)
    first = request.backends[0]
    whole = evaluate(
        network, samples.frames, samples.labels, first, backends[first], floats=floats, progress=progress
    )  # fmt: skip
    few = samples.subset(bit_samples)
    # Float accuracies on these few samples would be mistaken for those on all.
    bits = verify(network, few.frames, few.labels, backends, max_drop=None, binding=binding, progress=progress)
    return TwoPartVerification(network, whole, bits, samples, request.max_drop, why_not)


def bind(network: IntegerNetwork, path: Path, run: Path) -> tuple[Binding, Checkpoint]:
    """Compile the run's checkpoint again as the network's record states, and compare every integer.

    Scales, clipping and the checkpoint's name are read from the file, so that no calibration data are needed. Raises
    VerificationError where the file has no such record, CheckpointError where the run has no such checkpoint.
    """
    from delaytool.experiments.export_run import checkpoint_path
    from delaytool.exporter.compile import compile_with_scales
    from delaytool.exporter.record import CHECKPOINTS, ExportRecord
    from delaytool.hw_configs import load_target
    from delaytool.trainer.checkpoint import Checkpoint

    record = ExportRecord.of(network)
    if record is None:
        raise VerificationError(
            f"{path}: the file does not record how it was exported, so its integers cannot be compared with {run}; "
            "export the run again, or leave out --run"
        )
    recorded = network.provenance.get("checkpoint_sha256")
    paths = [checkpoint_path(run, name) for name in CHECKPOINTS]
    if record.checkpoint is not None:
        source = checkpoint_path(run, record.checkpoint)
    else:
        source = next((one for one in paths if one.exists() and sha256_of(one) == recorded), paths[0])
    saved = Checkpoint.load(source)
    comparison, failure = None, ""
    try:
        compiled = compile_with_scales(
            saved.network(), saved.encoding, load_target(network.target), record.scales, clip_delays=record.clip_delays
        )
        comparison = compare_integers(network, compiled)
    except (ExportError, NetworkError) as error:
        failure = str(error)
    return Binding(str(source), comparison, failure, sha256_of(source), recorded), saved


def load_samples(
    network: IntegerNetwork, path: Path, choice: SampleChoice, progress: Progress | None = None
) -> Samples:
    """The samples that the choice names, as the network's frames. Raises DataError."""
    events = _events(network, path, choice.data, choice.split, progress)
    frames, labels = datasets.frames_of(events, network.encoding), events.labels
    chosen = np.arange(len(frames))
    digest = datasets.digest(frames, labels)
    whole = Samples(frames, labels, events.name, digest, chosen, labels, events.warnings)
    return whole if choice.count is None or choice.count >= len(frames) else whole.subset(choice.count)


def chosen_source(recorded: object, path: Path, data: str | None) -> str:
    """What is read: what the user gave, else what the file names, where that is built in or the user allowed it.

    Raises DataError: a file that came from elsewhere must not choose what is read or downloaded here.
    """
    if data is not None and data != RECORDED:
        return data
    if not isinstance(recorded, str) or not recorded:
        raise DataError(f"{path}: the file does not record its training data; give samples with --data")
    if data is None and recorded not in BUILT_IN:
        raise DataError(
            f"{path}: the file names its data as {recorded!r}, which is not built in; read that with --data recorded, "
            "or give samples with --data PATH"
        )
    return recorded


def _events(
    network: IntegerNetwork, path: Path, data: str | None, split: str, progress: Progress | None
) -> datasets.EventData | datasets.FrameData:
    recipe = network.provenance.get("recipe") or {}
    source = chosen_source((recipe.get("data") or {}).get("source"), path, data)
    spec = datasets.DataSpec.from_recipe(recipe, network.encoding, source)
    found = datasets.load_for_evaluation(
        spec, split, n_units=network.encoding.n_units, n_classes=network.n_classes, progress=progress
    )
    return numbered_as(found, network.class_names)


def _check(request: VerifyRequest) -> None:
    """What can be refused before anything is read."""
    check_max_drop(request.max_drop)
    first, *others = request.backends
    if first in others:
        raise VerificationError(
            f"backend {first} cannot be compared with itself, which would prove nothing; name another with --against"
        )
    if not others and not request.with_torch:
        raise VerificationError(f"backend {first} would be compared with nothing; name another with --against")
    if first in request.few:
        raise VerificationError(f"backend {first}: its accuracy counts, so it runs on all samples; limit the others")
    unknown = [name for name in request.few if name not in others]
    if unknown:
        raise VerificationError(f"backend {unknown[0]} is limited to few samples, but does not run; name it")
    for name, count in request.few.items():
        if count < 1:
            raise VerificationError(f"backend {name}: {count} samples would compare nothing; give at least 1")
    if request.with_torch and request.executor.name != "local":
        raise VerificationError("the trainer's simulation runs in this process only; leave out --torch or --executor")


def _backends(request: VerifyRequest) -> dict[str, Backend]:
    backends = {name: backend_named(name, request.options) for name in request.backends}
    if request.with_torch:
        backends["torch"] = torch_backend()
    return backends


def _float_figures(
    network: IntegerNetwork, samples: Samples, binding: Binding | None, saved: Checkpoint | None
) -> FloatFigures | str:
    """Measured with the checkpoint where there is one, else recorded by the exporter; or why there are none."""
    if binding is None or saved is None:
        return recorded_figures(network.provenance, samples.digest, samples.all_labels, samples.chosen)
    if saved.encoding != network.encoding or saved.n_classes != network.n_classes:
        return f"{binding.checkpoint} has other inputs or outputs than the network, so its accuracy is not measured"
    import torch

    from delaytool.trainer.evaluation import evaluate_both

    frames, labels = torch.from_numpy(samples.frames), torch.from_numpy(samples.labels)
    trained, rounded = evaluate_both(saved.network(), frames, labels, saved.recipe.trainer.batch_size, saved.sigma)
    return FloatFigures(trained.accuracy, rounded.accuracy, origin=f"measured now with {binding.checkpoint}")


def torch_backend() -> Backend:
    """The trainer's own integer simulation as a backend: a second simulation of the same network."""
    import torch

    from delaytool.runtime.backends.torch import simulate

    def run(network: IntegerNetwork, frames: np.ndarray) -> Trace:
        traces = simulate(network, torch.from_numpy(frames))
        return Trace(
            spikes=tuple(layer.spikes.numpy() for layer in traces),
            u=tuple(layer.u.numpy() for layer in traces),
            v=tuple(layer.v.numpy() for layer in traces),
        )

    return run
