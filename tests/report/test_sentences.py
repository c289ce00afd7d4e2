"""Sentences of the page for verdicts that a tiny run does not give."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses
from delaytool.experiments.evaluated_samples import Samples
from delaytool.experiments.verify_run import TwoPartVerification
from delaytool.report.confusion_figure import confusion
from delaytool.report.content import Content, FloatDelays, NetworkFile
from delaytool.report.inline_svg import inline_svg
from delaytool.report.page import compose
from delaytool.report.rows import EXPORT_HEADING_NOTES, EXPORT_HEADINGS, confusion_rows
from delaytool.report.sentences import describe_divergences, describe_verdict
from delaytool.runtime.backends import backend_named
from delaytool.runtime.trace import Trace
from delaytool.verification.float_figures import FloatFigures
from delaytool.verification.verdict import verify


def test_every_heading_of_the_export_is_explained() -> None:
    assert tuple(EXPORT_HEADING_NOTES) == EXPORT_HEADINGS[1:]  # all but the layer's name


def test_confusions_come_most_frequent_first() -> None:
    matrix = np.array([[5, 1, 0], [0, 6, 0], [3, 0, 3]])
    assert confusion_rows(matrix) == [("2", "0", "3 of 6"), ("0", "1", "1 of 6")]


def test_confusions_call_classes_by_name() -> None:
    matrix = np.array([[5, 1, 0], [0, 6, 0], [3, 0, 3]])
    names = ("yes", "no\x1b", "$x_1$")
    assert confusion_rows(matrix, class_names=names) == [("$x_1$", "yes", "3 of 6"), ("yes", "no\\x1b", "1 of 6")]
    figure = confusion(matrix, names)
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == ["yes", "no\\x1b", "$x_1$"]
    assert "$x_1$" in inline_svg(figure, "confusion")


def test_an_all_right_network_has_no_confusions() -> None:
    assert confusion_rows(np.diag([2, 3])) == []
    assert inline_svg(confusion(np.diag([2, 3])), "confusion").startswith("<svg")


def test_a_difference_fails_and_is_described() -> None:
    content = _content(wrong=1, rounded=1.0, accuracy_limit=100.0)
    verdict = describe_verdict(content)
    assert (verdict.word, verdict.mood) == ("FAIL", "bad")
    assert verdict.sentence == "reference differs from engine in 1 value"
    assert content.verification is not None
    sentence, _ = describe_divergences(content.verification.bits)[0]
    assert "sample 0, step 2, layer readout, neuron 1: v is" in sentence


def test_a_drop_over_the_limit_fails() -> None:
    content = _content(wrong=0, rounded=1.0, accuracy_limit=0.5)
    assert describe_verdict(content).word == "FAIL"
    assert "points of accuracy, more than the 0.5 allowed" in describe_verdict(content).sentence


def test_an_equal_network_passes() -> None:
    content = _content(wrong=0, rounded=0.5, accuracy_limit=0.5)
    assert describe_verdict(content).word == "PASS"
    assert "cost no accuracy" in describe_verdict(content).sentence


def test_a_pass_at_chance_is_not_green_and_warns() -> None:
    """Class 0 always wins and half of the samples are of it."""
    content = _content(wrong=0, rounded=0.5, accuracy_limit=0.5)
    verdict = describe_verdict(content)
    assert (verdict.word, verdict.mood) == ("PASS", "warn")
    assert "not above chance: 1 of 2 samples are right" in verdict.warnings[0]
    page = compose(content)
    assert 'class="badge warn">PASS' in page
    assert '<p class="warning"><b>Warning</b>: the accuracy is not above chance' in page
    assert "Not compared with a checkpoint" in page


def test_what_was_not_compared_suggests_only_what_the_page_s_verb_has() -> None:
    """`report` has no option --run."""
    content = _content(wrong=0, rounded=0.5, accuracy_limit=0.5)
    assert describe_verdict(content).bound.endswith("checkpoint: give the run folder in place of the network file")
    unverified = replace(content, verification=None, why_not_verified="the data are gone")
    assert describe_verdict(unverified).bound == "not compared with a checkpoint"


def test_names_with_markup_are_shown_as_they_are() -> None:
    content = _content(wrong=0, rounded=0.5, accuracy_limit=0.5, name=r"$\frac$<b>[x]")
    assert describe_verdict(content).word == "PASS"
    page = compose(content)
    assert "<b>[x]" not in page
    assert r"$\frac$&lt;b&gt;[x]" in page


def _content(wrong: int, rounded: float, accuracy_limit: float, name: str = "readout") -> Content:
    """One layer whose class 0 always wins, on one sample of each of two classes: half are right."""
    synapses = DenseSynapses(0, np.array([[4, 4], [-4, -4]]), np.zeros((2, 2), int))
    layer = IntegerLayer(name, 2, (synapses,), dv=2048, threshold=131071)
    network = IntegerNetwork(InputEncoding(2, n_steps=3), (layer,), Readout("sum", 64.0, 0, 5), 5)
    frames, labels = np.ones((2, 3, 2), np.uint8), np.array([0, 1])

    def reference(network: IntegerNetwork, frames: np.ndarray) -> Trace:
        trace = backend_named("reference")(network, frames)
        v = trace.v[0].copy()
        v[0, 2, 1] += wrong
        return replace(trace, v=(v,))

    floats = FloatFigures(rounded, rounded, "made up")
    backends = {"engine": backend_named("engine"), "reference": reference}
    verdict = verify(network, frames, labels, backends, floats=floats, max_drop=accuracy_limit)
    samples = Samples(frames, labels, "made up", "", np.arange(2), labels)
    verification = TwoPartVerification(network, verdict, verdict, samples, accuracy_limit)
    file = NetworkFile(Path("net.h5"), "", network)
    return Content(Path("net.h5"), None, file, verification, "", (), FloatDelays(None))
