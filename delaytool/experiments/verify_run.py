"""From a network file, data and, where given, the trained run to a verdict."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.subset import evenly_spaced
from delaytool.errors import ExportError, NetworkError, VerificationError
from delaytool.experiments.evaluated_samples import SampleChoice, Samples, load_samples
from delaytool.files import sha256_of
from delaytool.runtime.backends import Backend, BackendOptions, backend_named
from delaytool.runtime.trace import Trace
from delaytool.verification.binding import Binding
from delaytool.verification.executor import DaskExecutor, Executor
from delaytool.verification.float_figures import FloatFigures, recorded_figures
from delaytool.verification.integers import ValueDifference, compare_class_names, compare_integers
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
    for name, count in request.few.items():
        frames = samples.frames[:, : network.n_steps]
        if frames.any() and not frames[evenly_spaced(len(frames), count)].any():
            raise VerificationError(
                f"backend {name}: the input of its {count} samples holds no spike, so comparing them would prove "
                f"nothing; give more with {name}:N"
            )
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
        few = verify(network, frames, labels, pair, max_drop=None, progress=progress, may_be_silent=True)
        verdict = verdict.with_few(few, chosen)
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
    bits = verify(
        network, few.frames, few.labels, backends,
        max_drop=None, binding=binding, progress=progress, may_be_silent=True,
    )  # fmt: skip
    return TwoPartVerification(network, whole, bits, samples, request.max_drop, why_not)


def bind(network: IntegerNetwork, path: Path, run: Path) -> tuple[Binding, Checkpoint]:
    """Compile the run's checkpoint again as the network's record states; compare every integer and class name.

    Scales, clipping and the checkpoint's name are read from the file, so that no calibration data are needed. Raises
    VerificationError where the file has no such record, CheckpointError where the run has no such checkpoint.
    """
    from delaytool.experiments.export_run import checkpoint_path, class_names_of
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
    names, nameless = _compared_names(network, class_names_of(run, saved), is_of_a_run=recorded is not None)
    return Binding(str(source), comparison, failure, sha256_of(source), recorded, names, nameless), saved


def _compared_names(
    network: IntegerNetwork, trained: tuple[str, ...], *, is_of_a_run: bool
) -> tuple[tuple[ValueDifference, ...] | None, str]:
    """Classes that the file and the run name differently; or None, and which of the two holds no names."""
    if network.class_names and not trained:
        return None, "the run"
    if trained and not network.class_names and not (network.export and is_of_a_run):
        return None, "the file"  # of an earlier version, or exported from a model, which knows no names
    return compare_class_names(network.class_names, trained), ""


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
    if request.few and request.executor.name != "local":
        name, count = next(iter(request.few.items()))
        raise VerificationError(
            f"backend {name} on {count} samples would run in this process, not on {request.executor.name}; leave out "
            f":{count} or --executor"
        )
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

    from delaytool.quantization.integer_training import quantized_for
    from delaytool.trainer.evaluation import evaluate_both

    model = saved.network()
    frames, labels = torch.from_numpy(samples.frames), torch.from_numpy(samples.labels)
    trained, rounded = evaluate_both(model, frames, labels, saved.recipe.trainer.batch_size, saved.sigma)
    origin = f"measured now with {binding.checkpoint}"
    return FloatFigures(trained.accuracy, rounded.accuracy, origin, quantized_for=quantized_for(model))


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
