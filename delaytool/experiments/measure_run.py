"""One run of a comparison: trained, exported, run as integers on the test part, compared bit for bit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from delaytool.digests import read_signed_json, write_signed_json
from delaytool.errors import BackendError, ExportError
from delaytool.experiments.export_run import export_run
from delaytool.experiments.sweep.job import RunReporter, Train
from delaytool.experiments.verify_run import (
    RECORDED,
    SampleChoice,
    TwoPartVerification,
    VerifyRequest,
    verify_in_two_parts,
)
from delaytool.exporter.compile import Export
from delaytool.hw_configs import load_target
from delaytool.runtime.neurobench import as_dict
from delaytool.trainer.recipe import Recipe

# Has no limits but the contract's own: what a chip cannot hold can still be counted there.
FALLBACK = "ideal"


@dataclass(frozen=True)
class Measured:
    """What the integers of one run are worth and what they cost; means a sample.

    target         the chip that was asked for
    why_not        why it cannot hold the network; '' where it can
    integers_for   what the integers below were made for: the target, else 'ideal', else '' for none
    no_integers    why there are none
    drop           points that they cost against the float network with rounded delays
    neurobench     NeuroBench's metrics of the integers (`runtime.neurobench.as_dict`); None: measured without them
    differing      of `compared` spikes, currents and membranes, those in which engine and reference differ
    """

    target: str
    why_not: str
    integers_for: str = ""
    no_integers: str = ""
    cores: int | None = None
    synapse_bytes: int | None = None
    synapses: int | None = None
    accuracy: float | None = None
    drop: float | None = None
    differing: int | None = None
    compared: int | None = None
    input_spikes: float | None = None
    spikes: float | None = None
    synaptic_events: float | None = None
    neurobench: dict[str, Any] | None = None

    @staticmethod
    def path(run: Path) -> Path:
        return run / "measured.json"

    @staticmethod
    def read(run: Path) -> Measured:
        return Measured(**read_signed_json(Measured.path(run))[0])


class Measure(Train):
    """Training and what comes after it. samples: how many the bits are compared on; accuracies take all."""

    def __init__(self, target: str, samples: int) -> None:
        self.target, self.samples = target, samples

    @property
    def purpose(self) -> str:  # type: ignore[override]
        return f"compare methods for {self.target}"

    @staticmethod
    def target_of(purpose: str) -> str | None:
        """The chip that a folder's comparison is for; None where it holds something else."""
        start = "compare methods for "
        return purpose.removeprefix(start) if purpose.startswith(start) else None

    def is_done(self, run: Path) -> bool:
        return super().is_done(run) and Measured.path(run).exists()

    def __call__(self, recipe: Recipe, run: Path, reporter: RunReporter) -> None:
        if not super().is_done(run):
            super().__call__(recipe, run, reporter)
        write_signed_json(Measured.path(run), asdict(measure(run, self.target, self.samples, reporter)))


def measure(run: Path, target: str, samples: int, reporter: RunReporter) -> Measured:
    """Export a finished run for `target`, or for `ideal` where that cannot hold it, and verify it."""
    why_not, no_integers = "", ""
    for name in dict.fromkeys((target, FALLBACK)):
        path = run / f"network-{name}.h5"
        reporter.stage(f"exporting for {name}")
        try:
            done = export_run(run, load_target(name), path)
        except ExportError as error:
            why_not = why_not or str(error)
            no_integers = str(error)
            continue
        reporter.stage("verifying")
        try:
            # The run was trained on these data just now, so its own record may be read.
            request = VerifyRequest(path, SampleChoice(RECORDED), max_drop=None)
            verification = verify_in_two_parts(request, samples)
        except BackendError as error:  # a layer that never fires, say
            return Measured(target, why_not, no_integers=str(error))
        return _of(verification, done, target, name, why_not)
    return Measured(target, why_not, no_integers=no_integers)


def _of(verification: TwoPartVerification, done: Export, target: str, made_for: str, why_not: str) -> Measured:
    whole, comparisons = verification.whole, verification.bits.comparisons
    counters = whole.counters
    return Measured(
        target=target,
        why_not=why_not,
        integers_for=made_for,
        cores=sum(layer.cores for layer in done.layers),
        synapse_bytes=sum(layer.synapse_bytes for layer in done.layers),
        synapses=done.network.n_synapses,
        accuracy=whole.accuracy[whole.backend],
        drop=whole.drop,
        differing=sum(comparison.total for comparison in comparisons.values()),
        compared=verification.values_compared * len(comparisons),
        input_spikes=float(counters.input_spikes.mean()),
        spikes=float(counters.spikes.sum(axis=1).mean()),
        synaptic_events=float(counters.synaptic_events.sum(axis=1).mean()),
        neurobench=as_dict(whole.static, whole.operations),
    )
