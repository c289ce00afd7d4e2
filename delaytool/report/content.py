"""What a page tells, gathered from a run or a network file before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from delaytool.commands.judging import Judged, judge
from delaytool.errors import DataError, NetworkError
from delaytool.files import sha256_of
from delaytool.network import IntegerNetwork
from delaytool.runtime.backends import backend_named
from delaytool.runtime.trace import Trace, padded_input
from delaytool.runtime.verify import Verdict
from delaytool.trainer.run_folder import RunFolder

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
class Judgement:
    """The verdict in two parts, because the slow reference need not run on every sample.

    whole   the judged backend alone on all samples: accuracies, drop, predictions, cost
    bits    all backends on some or all of the samples; the same verdict as `whole.verdict` where on all
    """

    whole: Judged
    bits: Verdict

    @property
    def on_all(self) -> bool:
        return self.bits.samples == self.whole.verdict.samples

    @property
    def drop_known(self) -> bool:
        return self.whole.verdict.drop is not None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it does not pass. An unknown drop is no reason: the page says that it is unknown."""
        bits = [
            f"{name} differs from {self.bits.backend} in {comparison.total:,} value{'s' * (comparison.total != 1)}"
            for name, comparison in self.bits.comparisons.items()
            if not comparison.equal
        ]
        verdict = self.whole.verdict
        cost = []
        if verdict.drop is not None and verdict.max_drop is not None and verdict.drop > verdict.max_drop + 1e-9:
            cost.append(
                f"integers cost {verdict.drop:.2f} points of accuracy, more than the {verdict.max_drop:g} allowed"
            )
        return (*bits, *cost)

    @property
    def values_compared(self) -> int:
        """Spikes, currents and membranes that each backend had to reproduce."""
        neurons = sum(layer.n_neurons for layer in self.whole.network.layers)
        return 3 * self.bits.samples * self.bits.steps * neurons


@dataclass(frozen=True)
class SampleTrace:
    """One sample as the integer network ran it. frames (step, channel); trace holds this one sample."""

    index: int
    label: int
    prediction: int
    frames: np.ndarray
    trace: Trace


@dataclass(frozen=True)
class FloatDelays:
    """The checkpoint's delays before rounding, flat, by layer; None for those that cannot be shown, and why."""

    by_layer: dict[str, np.ndarray] | None
    checkpoint: str = ""
    why_not: str = ""


@dataclass(frozen=True)
class Content:
    """Everything that a page tells. What is None was not there, or could not be had (`why_not_judged`)."""

    path: Path
    run: RunFolder | None
    file: NetworkFile | None
    judgement: Judgement | None
    why_not_judged: str
    sample: SampleTrace | None
    float_delays: FloatDelays
    analysis: RunAnalysis | None = None


def gather(
    path: Path,
    *,
    samples: int = 200,
    data: str | None = None,
    sample: int = 0,
    with_torch: bool = False,
    max_drop: float | None = 0.5,
    progress: bool = False,
) -> Content:
    """From a run folder or a network file to what the page tells.

    samples   how many, evenly spaced, the backends are compared on bit for bit; accuracies take all
    sample    the one that is shown spike by spike
    Raises DelaytoolError. Where nothing says what data belong to the network, it stays unjudged.
    """
    run, file = _found(path)
    float_delays, chosen = _float_delays(run, file)
    judgement, why_not, shown = None, "the run has not been exported yet: delaytool export makes a network of it", None
    if file is not None:
        try:
            judgement = judged(file.path, _measurable(run, chosen), samples, data, with_torch, max_drop, progress)
            why_not = ""
        except DataError as error:
            if data is not None:
                raise
            why_not = str(error)
    if judgement is not None:
        shown = _shown(judgement, sample)
    return Content(path, run, file, judgement, why_not, shown, float_delays, _analysed(chosen, progress))


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
    from delaytool.trainer import Checkpoint

    model = Checkpoint.load(checkpoint).network()
    if not any(layer.config.learns_delays for layer in model.delayed_layers()):
        return FloatDelays(None, why_not="they were whole from the start, never learned"), checkpoint
    delays: dict[str, np.ndarray] = {}
    for name, layer in zip(model.layer_names(), model.delayed_layers(), strict=True):
        # An exported layer holds all that it hears, what it says to itself too.
        place, own = name.removesuffix("-recurrent"), layer.delays.detach().numpy().ravel()
        delays[place] = np.concatenate([delays[place], own]) if place in delays else own
    return FloatDelays(delays, checkpoint.name), checkpoint


def _analysed(checkpoint: Path | None, progress: bool) -> RunAnalysis | None:
    """The structure of the first layer's receptive fields; None where `FloatDelays.why_not` says why."""
    if checkpoint is None:
        return None
    from delaytool.analysis.run_analysis import analyse_run
    from delaytool.commands.step_bars import StepBars

    with StepBars(progress) as tell:
        return analyse_run(checkpoint.parent, checkpoint=checkpoint.stem, progress=tell)


def _measurable(run: RunFolder | None, checkpoint: Path | None) -> Path | None:
    """The run whose float accuracy `judge` may measure: it measures best.pt, so that must be the network's own."""
    return run.path if run is not None and checkpoint is not None and checkpoint.name == "best.pt" else None


def judged(
    path: Path,
    run: Path | None,
    samples: int,
    data: str | None,
    with_torch: bool,
    max_drop: float | None,
    progress: bool,
) -> Judgement:
    """Accuracies and cost on all samples, bits on `samples` of them; `run`: a float checkpoint to measure."""
    backends = ("engine", "reference")
    whole = judge(path, data=data, backends=backends[:1], run=run, max_drop=max_drop, progress=progress)
    all_samples = samples >= whole.verdict.samples
    bits = judge(
        path, data=data, backends=backends, with_torch=with_torch, run=run if all_samples else None,
        samples=samples, max_drop=max_drop if all_samples else None, progress=progress,
    )  # fmt: skip
    if all_samples:
        return Judgement(bits, bits.verdict)
    # Float accuracies on the samples of the bit comparison alone would stand beside those on all, and confuse.
    return Judgement(whole, replace(bits.verdict, floats=None))


def _shown(judgement: Judgement, index: int) -> SampleTrace:
    whole = judgement.whole
    if index >= len(whole.frames):
        raise DataError(f"--sample {index}: the data hold samples 0..{len(whole.frames) - 1}; choose one of them")
    frames = whole.frames[index : index + 1]
    return SampleTrace(
        index=index,
        label=int(whole.labels[index]),
        prediction=int(whole.verdict.predictions[index]),
        frames=padded_input(frames, whole.network.n_steps)[0],
        trace=backend_named(whole.verdict.backend)(whole.network, frames),
    )
