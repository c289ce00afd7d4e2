"""The judge: one network on several backends over the same samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from delaytool.accuracy_errors import binomial_standard_error, wilson_interval
from delaytool.errors import BackendError, DataError
from delaytool.network import IntegerNetwork
from delaytool.runtime.backends import Backend
from delaytool.runtime.counters import Counters
from delaytool.verification.compare import Comparison
from delaytool.verification.executor import Executor, InProcess

# Bytes of one backend's trace that are held at once.
CHUNK_BYTES = 256 << 20


@dataclass(frozen=True)
class FloatFigures:
    """Accuracies (0..1) of the float checkpoint on the same samples, and where the figures come from."""

    as_trained: float
    rounded: float
    origin: str


@dataclass(frozen=True)
class Verdict:
    """accuracy and seconds (summed over workers) by backend; comparisons of every other backend with the first."""

    samples: int
    steps: int
    backend: str
    accuracy: dict[str, float]
    seconds: dict[str, float]
    comparisons: dict[str, Comparison]
    predictions: np.ndarray
    counters: Counters
    layer_names: tuple[str, ...]
    floats: FloatFigures | None
    max_drop: float | None
    methods: dict[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = field(default=())

    @property
    def passed(self) -> bool:
        return not self.reasons

    @property
    def drop(self) -> float | None:
        """Points of accuracy that integers cost, against the float network with rounded delays."""
        return None if self.floats is None else 100 * (self.floats.rounded - self.accuracy[self.backend])

    def error(self, accuracy: float) -> float:
        """Binomial standard error of an accuracy on so many samples."""
        return binomial_standard_error(accuracy, self.samples)

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
            "reasons": list(self.reasons),
            "samples": self.samples,
            "steps": self.steps,
            "accuracy": {
                "float_as_trained": self.floats.as_trained if self.floats else None,
                "float_rounded": self.floats.rounded if self.floats else None,
                **self.accuracy,
            },
            "accuracy_interval_95": {
                name: wilson_interval(value, self.samples) for name, value in self.accuracy.items()
            },
            "float_origin": self.floats.origin if self.floats else None,
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
    progress: Callable[[str, int, int], None] | None = None,
) -> Verdict:
    """Run every backend on all samples and compare each with the first, bit for bit.

    frames     (sample, time, channel) integers; labels (sample,)
    backends   functions by name, which run here, or an executor that runs them elsewhere (`verification.executor`).
               The first is judged: its accuracy counts, the others must agree with it
    floats     the float checkpoint's accuracies on the same samples; None: the drop cannot be judged
    max_drop   points; None: the drop is not judged
    progress   told (backend, samples done, samples in all)
    Raises DataError for labels beyond the network's classes, BackendError for a network that never fires.
    """
    _check(network, frames, labels)
    executor: Executor = InProcess(backends) if isinstance(backends, Mapping) else backends
    chunk = _samples_at_once(network)
    if executor.n_slots > 1:
        # Several chunks a slot: backends differ in speed, and so do machines.
        chunk = min(chunk, -(-len(frames) // (4 * executor.n_slots)))
    done = dict.fromkeys(executor.names, 0)

    def finished(name: str, samples: int) -> None:
        done[name] += samples
        if progress is not None:
            progress(name, done[name], len(frames))

    parts = (frames[start : start + chunk] for start in range(0, len(frames), chunk))
    results = list(executor.judged(network, parts, finished))
    first_name = executor.names[0]
    comparisons = dict(results[0].comparisons)
    begin = results[0].counters.spikes.shape[0]
    for result in results[1:]:
        for name, later in result.comparisons.items():
            comparisons[name] = comparisons[name].joined(later, begin)
        begin += result.counters.spikes.shape[0]
    seconds = {name: sum(result.seconds[name] for result in results) for name in executor.names}
    counters = _all([result.counters for result in results])
    _refuse_silence(network, counters)
    answers = {name: np.concatenate([result.predictions[name] for result in results]) for name in executor.names}
    accuracy = {name: float((answer == labels).mean()) for name, answer in answers.items()}
    verdict = Verdict(
        samples=len(frames),
        steps=network.n_steps,
        backend=first_name,
        accuracy=accuracy,
        seconds=seconds,
        comparisons=comparisons,
        predictions=answers[first_name],
        counters=counters,
        layer_names=tuple(layer.name for layer in network.layers),
        floats=floats,
        max_drop=max_drop,
        methods=_joined([result.methods for result in results]),
    )
    return Verdict(**{**vars(verdict), "reasons": tuple(_reasons(verdict))})


def _reasons(verdict: Verdict) -> list[str]:
    """Why it does not pass; empty where it does."""
    reasons = [
        f"{name} differs from {verdict.backend} in {comparison.total} values"
        for name, comparison in verdict.comparisons.items()
        if not comparison.equal
    ]
    if verdict.max_drop is not None:
        drop = verdict.drop
        if drop is None:
            reasons.append(
                "the accuracy drop cannot be judged: the float accuracy on these samples is not known; "
                "give the trained run with --run, or leave the drop out with --no-drop"
            )
        elif drop > verdict.max_drop + 1e-9:
            reasons.append(f"integers cost {drop:.2f} points of accuracy, more than --max-drop {verdict.max_drop:g}")
    return reasons


def _check(network: IntegerNetwork, frames: np.ndarray, labels: np.ndarray) -> None:
    if len(frames) == 0:
        raise DataError("the data hold no samples; give at least one")
    if len(frames) != len(labels):
        raise DataError(f"{len(frames)} samples have {len(labels)} labels; give one label a sample")
    if labels.max() >= network.n_classes or labels.min() < 0:
        worst = int(labels.max() if labels.max() >= network.n_classes else labels.min())
        raise DataError(
            f"label {worst} is beyond the network's {network.n_classes} outputs (0..{network.n_classes - 1}); "
            "give the data that the network was trained for"
        )
    if not frames.any():
        raise DataError("not one spike falls into the input frames; check that the data is the network's kind")


def _refuse_silence(network: IntegerNetwork, counters: Counters) -> None:
    for index, layer in enumerate(network.layers[:-1]):
        if not counters.spikes[:, index].any():
            raise BackendError(
                f"layer {layer.name}: it never fires on these samples, so the verdict would mean nothing; "
                "check that the data is the network's kind, or train longer"
            )


def _samples_at_once(network: IntegerNetwork) -> int:
    neurons = sum(layer.n_neurons for layer in network.layers)
    bytes_a_sample = network.n_steps * neurons * 9  # spikes 1, u 4, v 4
    return max(1, CHUNK_BYTES // bytes_a_sample)


def _joined(parts: list[dict[str, str]]) -> dict[str, str]:
    names = {name for methods in parts for name in methods}
    return {name: ", ".join(sorted({methods[name] for methods in parts if name in methods})) for name in sorted(names)}


def _all(parts: list[Counters]) -> Counters:
    return Counters(
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in Counters.__dataclass_fields__}
    )
