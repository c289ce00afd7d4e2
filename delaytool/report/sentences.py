"""Sentences and key figures of a page, from its content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delaytool.accuracy_errors import binomial_standard_error, format_percent
from delaytool.contract.limits import placement
from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.splits import listed
from delaytool.experiments.verify_run import TwoPartVerification
from delaytool.hw_configs import load_target, target_names
from delaytool.report.content import Content
from delaytool.trainer.protocols import describe_cost
from delaytool.trainer.run_folder import RunFolder
from delaytool.verification.compare import MOST_EVENTS
from delaytool.verification.float_figures import TRAINED_INTEGERS
from delaytool.verification.verdict import Verdict, drop_reasons


@dataclass(frozen=True)
class Figure:
    """One key figure: its name, its value, a note on the value, and its look: 'good' or 'bad' colors, a 'name'."""

    name: str
    value: str
    note: str = ""
    mood: str = ""


@dataclass(frozen=True)
class PageVerdict:
    """The verdict in a word, in a sentence and as a mood for color, with its warnings and what it is bound to."""

    word: str
    sentence: str
    mood: str
    warnings: tuple[str, ...] = ()
    bound: str = "not compared with a checkpoint"


def describe_verdict(content: Content) -> PageVerdict:
    """PASS, BITS PASS, FAIL or NOT VERIFIED, and why."""
    verification = content.verification
    warnings = _warnings(content)
    if verification is None:
        return PageVerdict("NOT VERIFIED", content.why_not_verified, "unknown", warnings)
    bound = verification.bits.bound
    if verification.bits.binding is None:
        why_not = content.float_delays.why_not or "give the run folder in place of the network file"
        bound = f"{PageVerdict.bound}: {why_not}"
    if verification.reasons:
        return PageVerdict("FAIL", "; ".join(verification.reasons), "bad", warnings, bound)
    agreed = listed(verification.bits.accuracy)
    drop = verification.whole.drop
    if drop is None:
        return PageVerdict(
            "BITS PASS",
            f"{agreed} agree on every bit; what the integers cost in accuracy is not known: "
            f"{verification.why_no_floats}",
            "unknown",
            warnings,
            bound,
        )
    mood = "warn" if warnings else "good"
    cost = f"{_cost(drop)}{verification.whole.drop_is_against}"
    return PageVerdict("PASS", f"{agreed} agree on every bit, and {cost}", mood, warnings, bound)


def _warnings(content: Content) -> tuple[str, ...]:
    """Warnings of the run, of the data that it was verified on, and of the verification, each once."""
    of_run = [] if content.run is None else content.run.read_summary().get("warnings", [])
    verification = content.verification
    of_verification = () if verification is None else (*verification.samples.warnings, *verification.warnings)
    return tuple(dict.fromkeys((*of_run, *of_verification)))


def _cost(drop: float) -> str:
    if drop > 0:
        return f"the integers cost {drop:.2f} points of accuracy"
    return "the integers cost no accuracy" + (f" (they gain {-drop:.2f} points)" if drop < 0 else "")


def page_title(content: Content) -> str:
    """The run's name, or the file's."""
    recipe = {} if content.file is None else content.file.network.provenance.get("recipe") or {}
    name = (content.run.read_summary().get("name") if content.run else None) or recipe.get("name")
    return str(name or content.path.resolve().stem)


def page_subtitle(content: Content) -> str:
    """What kind of network this is, in a line."""
    if content.file is None:
        return "a trained run, not exported yet"
    network = content.file.network
    sizes = [network.encoding.n_channels, *(layer.n_neurons for layer in network.layers)]
    chip = load_target(network.target).title if network.target in target_names() else network.target
    chip = "no chip in particular (wide limits)" if network.target == "ideal" else chip
    return (
        f"{'–'.join(map(str, sizes))} spiking network, delays of 0 to {network.max_delay} steps of "
        f"{network.encoding.time_step_ms:g} ms, as integers for {chip}"
    )


def key_figures(content: Content) -> list[Figure]:
    """The figures at the top, in reading order."""
    return [*_accuracies(content), *_bits(content), *_size(content), *_cost_figures(content), *_chip(content)]


def _accuracies(content: Content) -> list[Figure]:
    if content.verification is None:
        summary = {} if content.run is None else content.run.read_summary()
        names = {"test_accuracy_as_trained": "as trained", "test_accuracy_rounded": "delays rounded"}
        if "quantized_for" in summary:  # both are of the integers
            names = {"test_accuracy_rounded": TRAINED_INTEGERS}
        return [
            _accuracy(f"test accuracy, {delays}", summary[name], summary["test_samples"])
            for name, delays in names.items()
            if name in summary and summary.get("test_samples")
        ]
    verdict = content.verification.whole
    figures = []
    if verdict.floats is not None:
        for what, value in verdict.floats.by_network().items():
            name = what.removeprefix("float, ")
            figures.append(_accuracy(f"accuracy, {name}", value, verdict.samples))
    figures.append(_accuracy("accuracy, integers", verdict.accuracy[verdict.backend], verdict.samples))
    if verdict.drop is not None:
        allowed = content.verification.max_drop
        limit = "not limited" if allowed is None else f"points; {allowed:g} allowed"
        over = bool(drop_reasons(verdict, allowed))
        figures.append(Figure("drop to integers", f"{verdict.drop:.2f}", limit, "bad" if over else "good"))
    return figures


def _bits(content: Content) -> list[Figure]:
    verification = content.verification
    if verification is None:
        return []
    differ = sum(comparison.total for comparison in verification.bits.comparisons.values())
    note = f"of {_short(verification.values_compared)}, on {verification.bits.samples:,} samples"
    return [Figure("values that differ", f"{differ:,}", note, "bad" if differ else "good")]


def _size(content: Content) -> list[Figure]:
    figures = []
    parameters = None if content.run is None else content.run.read_summary().get("parameters")
    if parameters is not None:
        figures.append(Figure("parameters", f"{parameters:,}", "trained, in floats"))
    if content.file is not None:
        figures.append(Figure("synapses", f"{content.file.network.n_synapses:,}", "of nonzero weight"))
    return figures


def _cost_figures(content: Content) -> list[Figure]:
    if content.verification is None:
        return []
    counters = content.verification.whole.counters
    spikes, events = counters.spikes.sum(axis=1).mean(), counters.synaptic_events.sum(axis=1).mean()
    figures = [
        Figure("spikes per sample", f"{spikes:,.0f}", f"besides {counters.input_spikes.mean():,.0f} of input"),
        Figure("synaptic events", f"{events:,.0f}", "per sample"),
    ]
    if content.activity:
        dead = sum(layer.dead for layer in content.activity)
        saturated = sum(layer.saturated for layer in content.activity)
        neurons = sum(layer.rates.size for layer in content.activity)
        note = f"of {neurons:,} hidden ones; {saturated:,} saturated"
        figures.append(Figure("neurons that never fire", f"{dead:,}", note))
    if content.decision_seconds is not None:
        verdict = content.verification.whole
        together = f"{1000 * verdict.seconds[verdict.backend] / verdict.samples:.3g} ms per sample, all together"
        figures.append(Figure("time of a decision", f"{1000 * content.decision_seconds:.3g} ms", together))
    return figures


def _chip(content: Content) -> list[Figure]:
    if content.file is None or content.file.network.target not in target_names():
        return []
    network = content.file.network
    target = load_target(network.target)
    places = [placement(network, layer, target) for layer in network.layers]
    kib = sum(place.synapse_bytes for place in places) / 1024
    if network.target == "ideal":
        return [Figure("memory", f"{kib:,.1f} KiB", "of synapses, an estimate")]
    cores = sum(place.cores for place in places)
    fit = f"of {target.limits.cores}; about {kib:,.1f} KiB of synapses"
    mood = "bad" if cores > target.limits.cores else ""
    return [Figure(f"fit on {target.name}", f"{cores} core{'s' * (cores != 1)}", fit, mood)]


def describe_kept_epoch(run: RunFolder) -> str:
    """Why the epoch is the one that counts, as the end of a sentence."""
    if record := run.read_folds():
        why = f"the epoch with the highest mean of {len(record['folds'])} folds"
    elif run.chose_none:
        why = "the last, for none was chosen"
    else:
        why = f"the best on {'test' if run.chosen_on_test else 'validation'}"
    averaged = run.read_summary().get("averaged_epochs")
    return f"{why}, as the mean of {averaged} epochs' networks" if averaged else why


def describe_measurement(content: Content) -> list[str]:
    """Protocol, split and samples, one sentence each."""
    sentences = []
    summary = {} if content.run is None else content.run.read_summary()
    provenance = {} if content.file is None else content.file.network.provenance
    recipe = provenance.get("recipe") or {}
    split = summary.get("split") or provenance.get("split")
    protocol = summary.get("protocol")
    if protocol:
        name, _, meaning = protocol.partition(": ")
        sentences.append(f"Protocol “{name}”: {meaning}.")
    elif recipe.get("protocol"):
        sentences.append(f"Protocol “{recipe['protocol']}”.")
    if cost := describe_cost(summary):
        sentences.append(f"{cost[0].upper()}{cost[1:]}.")
    if split:
        sentences.append(f"Split: {split}.")
    verification = content.verification
    if verification is None:
        return sentences
    verdict = verification.whole
    part, of, path = verification.samples.name.rpartition(" part of ")
    name = f"{part}{of}{path.rpartition('/')[2]}"
    sentences.append(
        f"Accuracies and costs are of all {verdict.samples:,} samples of {name}; ± is one binomial standard error."
    )
    if verdict.floats is not None:
        target, origin = verdict.floats.quantized_for, verdict.floats.origin
        whose = "The float network's accuracies were"
        if target is not None:
            whose = f"No float network was run: the accuracy as trained is that of {target}'s integers, through which "
            whose += "the network was trained. It was"
        sentences.append(f"{whose} {origin}.")
    return sentences


def describe_comparison(verification: TwoPartVerification) -> str:
    """Which backends, samples and values were compared."""
    bits, total = verification.bits, verification.whole.samples
    which = f"all {total:,}" if verification.on_all else f"{bits.samples:,} evenly spaced of these {total:,}"
    ran = listed([bits.backend.capitalize(), *bits.comparisons])
    return (
        f"{ran} ran {which} samples, and every spike, current u and membrane v of "
        f"every neuron at each of {bits.steps} chip steps was compared: {verification.values_compared:,} values."
    )


def describe_duration(network: IntegerNetwork) -> str:
    """How long a sample lasts, beside which a simulation's time is read."""
    steps, step = network.n_steps, network.encoding.time_step_ms
    return (
        f"A sample lasts {steps} steps of {step:g} ms: {steps * step:g} ms. Times vary with what else the machine does."
    )


def describe_divergences(verdict: Verdict) -> list[tuple[str, list[str]]]:
    """The first difference from each backend that differs, and the spikes that reach the neuron there."""
    return [
        (
            f"F{sentence[1:]}" + (f", the first {MOST_EVENTS} of them:" if len(arriving) > MOST_EVENTS else "."),
            [str(event) for event in arriving[:MOST_EVENTS]],
        )
        for sentence, arriving in verdict.first_differences
    ]


def describe_rounding(before: dict[str, np.ndarray]) -> str:
    """How far rounding moves the delays of each layer. before: delays by layer, in steps."""
    moved = [(name, float(np.abs(delay - np.round(delay)).mean())) for name, delay in before.items()]
    means = listed([f"{value:.2f} steps in {name}" for name, value in moved])
    return f"Rounding moves a delay by {means} on average (evenly spread delays would move by 0.25)."


def _accuracy(name: str, value: float, samples: int) -> Figure:
    error = 100 * binomial_standard_error(value, samples)
    return Figure(name, format_percent(value), f"± {error:.2f} on {samples:,} samples")


def _short(number: int) -> str:
    for unit, name in ((10**9, "billion"), (10**6, "million")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{number:,}"
