"""One run of a comparison: trained, exported, run as integers on the test part, compared bit for bit."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from delaytool.contract.network import IntegerNetwork
from delaytool.digests import read_signed_json, write_signed_json
from delaytool.errors import BackendError, ExportError, SweepError
from delaytool.experiments.evaluated_samples import RECORDED, SampleChoice, load_samples
from delaytool.experiments.export_run import export_run
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.job import RunReporter, Train
from delaytool.experiments.verify_run import TwoPartVerification, VerifyRequest, verify_in_two_parts
from delaytool.exporter.compile import Export
from delaytool.hw_configs import load_target
from delaytool.runtime.backends import backend_named
from delaytool.trainer.recipe import Recipe
from delaytool.trainer.run_records import Amount, Count, Points, Share, Text, check_record
from delaytool.verification.verdict import Figures, evaluate

# It has no limits but the contract's own, so the cost of a network that the chip cannot hold is still measured.
FALLBACK = "ideal"
Answers = Annotated[str, Field(strict=True, pattern="^[01]*$")]


@dataclass(frozen=True)
class Measured:
    """Accuracy of the integers of one run, and their cost; spikes and events are means per sample.

    target         the chip that was asked for
    why_not        why it cannot hold the network; '' where it can
    integers_for   what the integers below were made for: the target, else 'ideal', else '' for none
    no_integers    why there are none
    footprint_bytes, connection_sparsity, activation_sparsity, effective_acs, effective_macs, membrane_updates
                   NeuroBench's metrics (`runtime.neurobench`)
    drop           points that they cost against the float network with rounded delays
    differing      of `compared` spikes, currents and membranes, those in which engine and reference differ
    compared_samples   on how many samples
    right          one character per test sample, in the data's order: 1 where the integers give its class, else 0
    test_labels    SHA-256 of the test part's classes in their order, by which runs are known to have the same samples
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  read by `check_record`

    target: Text
    why_not: Text
    integers_for: Text = ""
    no_integers: Text = ""
    cores: Count | None = None
    synapse_bytes: Count | None = None
    synapses: Count | None = None
    accuracy: Share | None = None
    drop: Points | None = None
    differing: Count | None = None
    compared: Count | None = None
    compared_samples: Count | None = None
    input_spikes: Amount | None = None
    spikes: Amount | None = None
    synaptic_events: Amount | None = None
    footprint_bytes: Count | None = None
    connection_sparsity: Share | None = None
    activation_sparsity: Share | None = None
    effective_acs: Amount | None = None
    effective_macs: Amount | None = None
    membrane_updates: Amount | None = None
    right: Answers | None = None
    test_labels: Text | None = None

    @property
    def is_right(self) -> np.ndarray | None:
        """(sample,) bool: the test samples that the integers get right; None where that was not recorded."""
        return None if self.right is None else np.frombuffer(self.right.encode(), dtype=np.uint8) == ord("1")

    @staticmethod
    def path(run: Path) -> Path:
        return run / "measured.json"

    @staticmethod
    def read(run: Path) -> Measured:
        """Raises CheckpointError for a file that is damaged, lacks a value or holds one that cannot be."""
        path = Measured.path(run)
        values, _ = read_signed_json(path)
        return check_record(Measured, values, path, "delete it and give the same command again")


class Measure(Train):
    """Training, export and verification.

    samples   how many the bits are compared on; accuracies are of all test samples
    """

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

    def refuse_other_run(self, recipe: Recipe, run: Path) -> None:
        super().refuse_other_run(recipe, run)
        if Measured.path(run).exists() and (target := Measured.read(run).target) != self.target:
            raise SweepError(
                f"{run}: its integers were measured for {target}, not for {self.target}; give --target {target}, or "
                "another folder with -o"
            )

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
        except BackendError as error:  # for example, a layer never fires
            return Measured(target, why_not, no_integers=str(error))
        return _of(verification, done, target, name, why_not)
    return Measured(target, why_not, no_integers=no_integers)


def other_samples(folder: SweepFolder, samples: int) -> str:
    """A sentence where bits of finished runs were compared on another number of samples than is asked for; else ''."""
    numbers = set()
    for setting in folder.journal.settings():
        if folder.is_done(setting):
            measured = Measured.read(folder.run(setting))
            asked = min(samples, len(measured.right or ""))
            if measured.compared_samples is not None and measured.compared_samples != asked:
                numbers.add(measured.compared_samples)
    if not numbers:
        return ""
    return (
        f"--samples {samples}: runs that were measured before keep their comparison of bits, on "
        f"{', '.join(map(str, sorted(numbers)))} samples; to compare them again, delete their measured.json"
    )


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
        compared_samples=verification.bits.samples,
        input_spikes=float(counters.input_spikes.mean()),
        spikes=float(counters.spikes.sum(axis=1).mean()),
        synaptic_events=float(counters.synaptic_events.sum(axis=1).mean()),
        footprint_bytes=whole.static.footprint_bytes,
        connection_sparsity=whole.static.connection_sparsity,
        activation_sparsity=whole.operations.activation_sparsity,
        effective_acs=float(whole.operations.effective_acs.mean()),
        effective_macs=float(whole.operations.effective_macs.mean()),
        membrane_updates=float(whole.operations.membrane_updates.mean()),
        **_answers(whole),
    )


def _answers(whole: Figures) -> dict[str, str]:
    return {
        "right": "".join("01"[int(one)] for one in whole.predictions == whole.labels),
        "test_labels": hashlib.sha256(whole.labels.astype("<i8").tobytes()).hexdigest(),
    }


def record_answers(run: Path) -> None:
    """Add the answers to the record of a run that was measured before they were kept, by running its integers again.

    A run without integers, or whose accuracy is no longer the recorded one, is left as it is. Raises DelaytoolError.
    """
    measured = Measured.read(run)
    if measured.right is not None or not measured.integers_for:
        return
    path = run / f"network-{measured.integers_for}.h5"
    network = IntegerNetwork.load(path)
    samples = load_samples(network, path, SampleChoice(RECORDED))
    whole = evaluate(network, samples.frames, samples.labels, "engine", backend_named("engine"))
    if whole.accuracy["engine"] == measured.accuracy:
        write_signed_json(Measured.path(run), {**asdict(measured), **_answers(whole)})
