"""One network on several backends over the same samples, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from delaytool.accuracy_errors import ChanceTest, binomial_standard_error, chance_test, wilson_interval
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError, DataError, VerificationError
from delaytool.printable import html_table
from delaytool.runtime import neurobench
from delaytool.runtime.backends import Backend
from delaytool.runtime.counters import Counters
from delaytool.runtime.neurobench import Operations, Static, static_metrics
from delaytool.verification.binding import Binding
from delaytool.verification.compare import ArrivingEvent, TraceComparison
from delaytool.verification.executor import Executor, InProcess
from delaytool.verification.float_figures import FloatFigures

# Bytes of one backend's trace that are held at once.
CHUNK_BYTES = 256 << 20
# Exit codes of `delaytool verify` beside 2 (cannot be done as asked), 3 (no hardware), 130 and 141.
EXIT_PASS, EXIT_FAIL, EXIT_ACCURACY_UNKNOWN = 0, 1, 4
NOT_BOUND = "not compared with a checkpoint: give the trained run with --run"

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class ClassAccuracy:
    """Of one class: its name (its number where it has none), its samples, accuracy 0..1 (None without samples)."""

    name: str
    samples: int
    accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class Figures:
    """What backends did with the samples. It is no verdict, because nothing need have been compared.

    backend       the one whose accuracy counts, the first
    accuracy      0..1, by backend; seconds, summed over workers, likewise
    predictions   (sample,) of `backend`; labels (sample,)
    static, operations   NeuroBench's metrics of the network, and of the first backend's run
    floats        the trained network's accuracies on the same samples; None: not known
    methods       by backend, for those that have several methods: which one ran
    class_names   one for each class, or empty
    """

    samples: int
    steps: int
    backend: str
    accuracy: dict[str, float]
    seconds: dict[str, float]
    predictions: np.ndarray
    labels: np.ndarray
    n_classes: int
    counters: Counters
    layer_names: tuple[str, ...]
    static: Static
    operations: Operations
    floats: FloatFigures | None = None
    methods: dict[str, str] = field(default_factory=dict)
    class_names: tuple[str, ...] = ()

    @property
    def class_accuracies(self) -> list[ClassAccuracy]:
        """How `backend` does on the samples of each class, in the classes' order."""
        found = []
        for number in range(self.n_classes):
            of_class = self.predictions[self.labels == number]
            accuracy = float((of_class == number).mean()) if of_class.size else None
            name = self.class_names[number] if self.class_names else str(number)
            found.append(ClassAccuracy(name, int(of_class.size), accuracy))
        return found

    @property
    def drop(self) -> float | None:
        """Points of accuracy that integers cost, against the network as trained with rounded delays."""
        return None if self.floats is None else 100 * (self.floats.rounded - self.accuracy[self.backend])

    @property
    def drop_is_against(self) -> str:
        """What ends a sentence on the drop: '', but where there is no float network that it could be against."""
        return " against those that were trained" if self.floats is not None and self.floats.quantized_for else ""

    @property
    def chance(self) -> ChanceTest:
        """Whether the integers do better than always giving the most frequent class."""
        return chance_test(self.predictions, self.labels)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences that are shown beside the verdict, because it means little without them."""
        return self.chance.warnings

    def samples_of(self, name: str) -> int:
        """Samples that a backend ran."""
        return self.samples

    def error(self, accuracy: float, samples: int | None = None) -> float:
        """Binomial standard error of an accuracy on so many samples; None: on all."""
        return binomial_standard_error(accuracy, self.samples if samples is None else samples)


@dataclass(frozen=True, kw_only=True)
class Verdict(Figures):
    """The figures, comparisons of every other backend with the first, and what follows from them.

    max_drop   points; None: the drop does not count
    binding    the comparison of the file's integers with the trained checkpoint; None: there was none

    >>> import delaytool as dt
    >>> network = dt.load("tests/golden/three-layers.h5")
    >>> frames = np.load("tests/golden/three-layers.npz")["frames"]
    >>> verdict = dt.verify(network, frames, labels=[3, 1], max_drop=0.5)  # of what float accuracy is not known
    >>> verdict.passed, verdict.exit_code, verdict.accuracy["engine"]
    (False, 4, 0.5)
    >>> verdict.comparisons["reference"].mismatches["readout"]  # numbers of values that differ from the engine's
    {'u': 0, 'v': 0, 'spikes': 0}
    """

    comparisons: dict[str, TraceComparison]
    max_drop: float | None
    binding: Binding | None = None

    def samples_of(self, name: str) -> int:
        """Samples that a backend ran: of one that is compared, those on which it was."""
        return self.comparisons[name].samples if name in self.comparisons else self.samples

    def with_few(self, few: Verdict, chosen: np.ndarray) -> Verdict:
        """This verdict and, beside it, the other backends of one on fewer samples, whose indices here are `chosen`."""
        comparisons = {
            name: comparison
            if comparison.first is None
            else replace(comparison, first=replace(comparison.first, sample=int(chosen[comparison.first.sample])))
            for name, comparison in few.comparisons.items()
        }
        added = {name: few.accuracy[name] for name in comparisons}
        return replace(
            self,
            accuracy=self.accuracy | added,
            seconds=self.seconds | {name: few.seconds[name] for name in comparisons},
            methods={name: how for name, how in few.methods.items() if name in added} | self.methods,
            comparisons=self.comparisons | comparisons,
        )

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it fails; empty where it does not."""
        binding = () if self.binding is None or self.binding.is_equal else (self.binding.describe(),)
        return (*binding, *bit_reasons(self), *drop_reasons(self, self.max_drop))

    @property
    def first_differences(self) -> list[tuple[str, tuple[ArrivingEvent, ...]]]:
        """Of each backend that differs: a sentence without its end, and the spikes that reach the neuron there."""
        return [
            (
                f"first difference of {self.backend} and {name}: sample {first.sample}, step {first.step}, "
                f"layer {first.layer}, neuron {first.neuron}: {first.quantity} is {first.left} and {first.right}; "
                f"{len(first.arriving)} spikes arrive there",
                first.arriving,
            )
            for name, comparison in self.comparisons.items()
            if (first := comparison.first) is not None
        ]

    @property
    def accuracy_unknown(self) -> str:
        """Why what the integers cost is not known although it should count; '' where it is, or need not be."""
        if self.max_drop is None or self.drop is not None:
            return ""
        return (
            "what the integers cost in accuracy is not known: no float accuracy on these samples; give the trained "
            "run with --run, or compare bits alone with --no-drop"
        )

    @property
    def passed(self) -> bool:
        """All backends agree on every bit, and the drop is known and small enough, or does not count."""
        return not self.reasons and not self.accuracy_unknown

    @property
    def exit_code(self) -> int:
        """0 where it passed, 1 where it failed, 4 where bits are equal but the drop is not known."""
        if self.reasons:
            return EXIT_FAIL
        return EXIT_ACCURACY_UNKNOWN if self.accuracy_unknown else EXIT_PASS

    @property
    def bound(self) -> str:
        """In a sentence, whether the integers are those of a trained checkpoint."""
        return NOT_BOUND if self.binding is None else self.binding.describe()

    def __repr__(self) -> str:
        """What it comes to, without arrays."""
        backends = ", ".join(self.accuracy)
        differing = sum(comparison.total for comparison in self.comparisons.values())
        return (
            f"Verdict({'passed' if self.passed else 'not passed'}: {backends}; {self.samples} samples, "
            f"{differing} values differ, accuracy {100 * self.accuracy[self.backend]:.2f} %)"
        )

    def _repr_html_(self) -> str:
        """For notebooks."""
        rows = [
            (
                name,
                f"{100 * accuracy:.2f} %",
                f"{self.comparisons[name].total:,}" if name in self.comparisons else "the others are compared with it",
                f"{self.seconds[name]:.3f}",
            )
            for name, accuracy in self.accuracy.items()
        ]
        return html_table(repr(self), ("backend", "accuracy", "values that differ", "seconds"), rows)

    def as_dict(self) -> dict[str, Any]:
        """For machines: JSON values only."""
        mean = {
            name: [round(float(value), 3) for value in array.mean(axis=0)]
            for name, array in (
                ("spikes", self.counters.spikes),
                ("synaptic_events", self.counters.synaptic_events),
                ("neuron_updates", self.counters.neuron_updates),
            )
        }
        return {
            "passed": self.passed,
            "exit_code": self.exit_code,
            "reasons": list(self.reasons),
            "accuracy_unknown": self.accuracy_unknown,
            "warnings": list(self.warnings),
            "binding": {"bound": False, "statement": NOT_BOUND} if self.binding is None else self.binding.as_dict(),
            "samples": self.samples,
            "samples_by_backend": {name: self.samples_of(name) for name in self.accuracy},
            "steps": self.steps,
            "accuracy": {
                "float_as_trained": self.floats.as_trained if self.floats else None,
                "float_rounded": self.floats.rounded if self.floats else None,
                **self.accuracy,
            },
            "accuracy_interval_95": {
                name: wilson_interval(value, self.samples_of(name)) for name, value in self.accuracy.items()
            },
            "class_accuracy": [vars(one) for one in self.class_accuracies],
            "chance": self.chance.as_dict(),
            "float_origin": self.floats.origin if self.floats else None,
            "float_recorded": self.floats.recorded if self.floats else None,
            # Of a checkpoint that was trained through integers no float network is run: these are its own integers'.
            "quantized_for": self.floats.quantized_for if self.floats else None,
            "drop_points": self.drop,
            "max_drop_points": self.max_drop,
            "mismatches": {
                name: {quantity: comparison.count(quantity) for quantity in ("spikes", "u", "v")}
                for name, comparison in self.comparisons.items()
            },
            "mismatches_by_layer": {name: comparison.mismatches for name, comparison in self.comparisons.items()},
            "first_divergence": {
                name: None
                if comparison.first is None
                else {**vars(comparison.first), "arriving": [str(event) for event in comparison.first.arriving]}
                for name, comparison in self.comparisons.items()
            },
            "layers": list(self.layer_names),
            "neurobench": neurobench.as_dict(self.static, self.operations),
            "per_sample": {"input_spikes": round(float(self.counters.input_spikes.mean()), 3), **mean},
            "methods": self.methods,
            "seconds": {name: round(value, 4) for name, value in self.seconds.items()},
        }


def verify(
    network: IntegerNetwork,
    frames: np.ndarray,
    labels: np.ndarray,
    backends: Mapping[str, Backend] | Executor,
    *,
    floats: FloatFigures | None = None,
    max_drop: float | None = 0.5,
    binding: Binding | None = None,
    progress: Progress | None = None,
    may_be_silent: bool = False,
) -> Verdict:
    """Run every backend on all samples and compare each with the first, bit for bit.

    frames     (sample, time, channel) integers; labels (sample,)
    backends   at least two: functions by name, which run here, or an executor that runs them elsewhere
               (`verification.executor`). The accuracy of the first counts, the others must agree with it
    floats     the float checkpoint's accuracies on the same samples; None: the drop is not known
    max_drop   points, finite and not negative; None: the drop does not count
    binding    the comparison of the network's integers with the trained checkpoint, where there was one
    progress   called with (backend, samples done, samples in all)
    may_be_silent   admit layers that never fire and a readout without current: the samples are some of many on which
                    the layers have been seen to fire
    Raises VerificationError where nothing would be compared and for an impossible max_drop, DataError for labels
    beyond the network's classes, BackendError where a layer never fires or nothing reaches the readout.

        verdict = verify(network, frames, labels, {name: backend_named(name) for name in ("engine", "reference")})
        verdict.passed
    """
    check_max_drop(max_drop)
    executor: Executor = InProcess(backends) if isinstance(backends, Mapping) else backends
    check_different(executor.names, list(backends.values()) if isinstance(backends, Mapping) else [])
    figures, comparisons = _run(network, frames, labels, executor, floats, progress, may_be_silent)
    return Verdict(**vars(figures), comparisons=comparisons, max_drop=max_drop, binding=binding)


def evaluate(
    network: IntegerNetwork,
    frames: np.ndarray,
    labels: np.ndarray,
    name: str,
    backend: Backend,
    *,
    floats: FloatFigures | None = None,
    progress: Progress | None = None,
) -> Figures:
    """Accuracy and cost on one backend, with which nothing is compared; arguments and errors as for `verify`."""
    figures, _ = _run(network, frames, labels, InProcess({name: backend}), floats, progress)
    return figures


def check_max_drop(max_drop: float | None) -> None:
    """Raise VerificationError for a limit that every or no network would meet."""
    if max_drop is not None and not (math.isfinite(max_drop) and max_drop >= 0):
        raise VerificationError(
            f"max_drop {max_drop:g}: points of accuracy that integers may cost are a finite number from 0 up; "
            "compare bits alone with --no-drop (max_drop=None)"
        )


def check_different(names: tuple[str, ...], functions: list[Backend]) -> None:
    """Raise VerificationError where fewer than two different backends would be compared."""
    for index, function in enumerate(functions):
        for earlier in range(index):
            if functions[earlier] is function:
                raise VerificationError(
                    f"backends {names[earlier]} and {names[index]} are the same function, so their "
                    "agreement would prove nothing; name different ones"
                )
    if len(set(names)) < 2:
        raise VerificationError(
            f"only {', '.join(names) or 'no backend'} would run, so nothing would be compared; "
            "name at least two different backends"
        )


def bit_reasons(verdict: Verdict) -> tuple[str, ...]:
    """Where bits differ, in a sentence for each backend."""
    return tuple(
        f"{name} differs from {verdict.backend} in {comparison.total:,} value{'s' * (comparison.total != 1)}"
        for name, comparison in verdict.comparisons.items()
        if not comparison.equal
    )


def drop_reasons(figures: Figures, max_drop: float | None) -> tuple[str, ...]:
    """That the integers cost too much; nothing where they do not, or where that is not known."""
    drop = figures.drop
    if drop is None or max_drop is None or drop <= max_drop + 1e-9:
        return ()
    return (f"integers cost {drop:.2f} points of accuracy, more than the {max_drop:g} allowed (--max-drop)",)


def _run(
    network: IntegerNetwork,
    frames: np.ndarray,
    labels: np.ndarray,
    executor: Executor,
    floats: FloatFigures | None,
    progress: Progress | None,
    may_be_silent: bool = False,
) -> tuple[Figures, dict[str, TraceComparison]]:
    _check(network, frames, labels)
    chunk = _samples_at_once(network)
    if executor.n_slots > 1:
        # Several chunks per slot: backends differ in speed, and so do machines.
        chunk = min(chunk, -(-len(frames) // (4 * executor.n_slots)))
    done = dict.fromkeys(executor.names, 0)

    def finished(name: str, samples: int) -> None:
        done[name] += samples
        if progress is not None:
            progress(name, done[name], len(frames))

    parts = (frames[start : start + chunk] for start in range(0, len(frames), chunk))
    results = list(executor.run(network, parts, finished))
    first_name = executor.names[0]
    comparisons = dict(results[0].comparisons)
    begin = results[0].counters.spikes.shape[0]
    for result in results[1:]:
        for name, later in result.comparisons.items():
            comparisons[name] = comparisons[name].joined(later, begin)
        begin += result.counters.spikes.shape[0]
    seconds = {name: sum(result.seconds[name] for result in results) for name in executor.names}
    counters = _all([result.counters for result in results])
    if not may_be_silent:
        _refuse_silence(network, counters, any(result.readout_has_current for result in results))
    answers = {name: np.concatenate([result.predictions[name] for result in results]) for name in executor.names}
    figures = Figures(
        samples=len(frames),
        steps=network.n_steps,
        backend=first_name,
        accuracy={name: float((answer == labels).mean()) for name, answer in answers.items()},
        seconds=seconds,
        predictions=answers[first_name],
        labels=np.asarray(labels),
        n_classes=network.n_classes,
        counters=counters,
        layer_names=tuple(layer.name for layer in network.layers),
        static=static_metrics(network),
        operations=Operations.joined([result.operations for result in results]),
        floats=floats,
        methods=_joined([result.methods for result in results]),
        class_names=network.class_names,
    )
    return figures, comparisons


def _check(network: IntegerNetwork, frames: np.ndarray, labels: np.ndarray) -> None:
    if len(frames) == 0:
        raise DataError("the data hold no samples; give at least one")
    if len(frames) != len(labels):
        raise DataError(f"{len(frames)} samples have {len(labels)} labels; give one label per sample")
    if labels.max() >= network.n_classes or labels.min() < 0:
        worst = int(labels.max() if labels.max() >= network.n_classes else labels.min())
        raise DataError(
            f"label {worst} is beyond the network's {network.n_classes} outputs (0..{network.n_classes - 1}); "
            "give the data that the network was trained for"
        )
    if not frames.any():
        raise DataError("the input frames hold no spike; check that the data are of the network's kind")
    if not frames[:, : network.n_steps].any():
        raise DataError(
            f"the input frames hold no spike before the run ends (n_steps {network.n_steps}); check that the data are "
            "of the network's kind"
        )


def _refuse_silence(network: IntegerNetwork, counters: Counters, readout_has_current: bool) -> None:
    """Raise BackendError for zeros that would be compared with zeros."""
    for index, layer in enumerate(network.layers[:-1]):
        if not counters.spikes[:, index].any():
            raise BackendError(
                f"layer {layer.name}: it never fires on these samples, so the verdict would mean nothing; "
                "check that the data are of the network's kind, or train longer"
            )
    readout = network.layers[-1]
    # Without synapses a bias is all that it computes with.
    if not readout_has_current and (readout.n_synapses or not readout.bias.any()):
        raise BackendError(
            f"layer {readout.name}: no current reaches it on these samples, so the verdict would mean nothing; check "
            f"that it has synapses, that their delays end before the run does (n_steps {network.n_steps}) and that "
            "the data are of the network's kind"
        )


def _samples_at_once(network: IntegerNetwork) -> int:
    neurons = sum(layer.n_neurons for layer in network.layers)
    bytes_per_sample = network.n_steps * neurons * 9  # spikes 1, u 4, v 4
    return max(1, CHUNK_BYTES // bytes_per_sample)


def _joined(parts: list[dict[str, str]]) -> dict[str, str]:
    names = {name for methods in parts for name in methods}
    return {name: ", ".join(sorted({methods[name] for methods in parts if name in methods})) for name in sorted(names)}


def _all(parts: list[Counters]) -> Counters:
    return Counters(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in Counters.__dataclass_fields__}
    )
