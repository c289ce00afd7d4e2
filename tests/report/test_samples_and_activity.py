"""Which samples a page shows, how often neurons fire, what differs from a preset, and the rows made of it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")

from delaytool.report.activity import LayerActivity, measure_firing_rates, time_decisions
from delaytool.report.network_figures import firing_rates
from delaytool.report.rows import activity_rows, class_rows
from delaytool.report.samples import SHOWN, WRONG_SHOWN, choose_samples
from delaytool.runtime import reference
from delaytool.verification.verdict import ClassAccuracy


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40), st.data())
def test_samples_are_the_one_asked_for_wrong_ones_and_right_ones(
    pairs: list[tuple[int, int]], data: st.DataObject
) -> None:
    labels, predictions = np.array(pairs).T
    first = data.draw(st.integers(0, len(pairs) - 1))
    chosen = choose_samples(labels, predictions, first)
    assert chosen[0] == first
    assert len(chosen) == len(set(chosen)) <= SHOWN
    is_wrong = labels != predictions
    others = [index for index in chosen if index != first]
    there = int(is_wrong.sum()) - int(is_wrong[first])
    assert sum(bool(is_wrong[index]) for index in others) == min(WRONG_SHOWN, there)
    assert len(chosen) >= min(SHOWN - WRONG_SHOWN, len(pairs) - there)


def test_wrong_samples_are_of_different_classes() -> None:
    labels = np.array([0, 0, 0, 1, 2, 0])
    predictions = np.array([0, 1, 1, 0, 1, 0])
    assert choose_samples(labels, predictions, 0)[:3] == [0, 3, 4]


@pytest.mark.parametrize("seed", range(4))
def test_firing_rates_are_those_of_the_reference(random_network: Callable, seed: int) -> None:
    network, frames = random_network(np.random.default_rng(seed))
    layers = measure_firing_rates(network, frames, reference.run)
    trace = reference.run(network, frames)
    assert [layer.name for layer in layers] == [layer.name for layer in network.layers[:-1]]
    for index, layer in enumerate(layers):
        np.testing.assert_allclose(layer.rates, trace.spikes[index].mean(axis=(0, 1)), atol=1e-12)
        assert layer.dead == (~trace.spikes[index].any(axis=(0, 1))).sum()


def test_dead_and_saturated_neurons_are_counted() -> None:
    layer = LayerActivity("hidden1", np.array([0.0, 0.0, 0.5, 0.9, 1.0]))
    assert (layer.dead, layer.saturated) == (2, 2)
    (row,) = activity_rows([layer], steps=20, time_step_ms=10.0)
    assert row == ("hidden1", "5", "9.60", "48.0 %", "48.0 Hz", "100 % of the steps", "2", "2")
    axes = firing_rates("hidden1", layer.rates, 0.9).axes[0]
    named = {text.get_text() for text in axes.get_legend().get_texts()}
    assert named == {"never fire: 2", "saturated from here"}


def test_a_decision_takes_some_time(random_network: Callable) -> None:
    network, frames = random_network(np.random.default_rng(0))
    assert time_decisions(network, frames, reference.run) > 0


def test_a_class_without_samples_has_no_accuracy() -> None:
    known, unknown = class_rows([ClassAccuracy("yes\x1b", 4, 0.75), ClassAccuracy("no", 0, None)])
    assert known == {
        "name": "yes\\x1b", "samples": "4", "accuracy": "75.0 %", "interval": "30.1 to 95.4", "percent": 75.0,
    }  # fmt: skip
    assert (unknown["accuracy"], unknown["interval"], unknown["percent"]) == ("-", "-", None)


def test_a_recipe_is_beside_the_preset_of_its_name_or_the_nearest() -> None:
    from delaytool.report.recipe_changes import changes_from_preset
    from delaytool.trainer.recipe import load_recipe

    digits = changes_from_preset(load_recipe("digits", ["trainer.epochs=5", "model.hidden=[24]"]))
    assert digits.preset == "digits"
    assert digits.rows == (("model.hidden", "[24]", "[128, 128]"), ("trainer.epochs", "5", "100"))
    other = load_recipe("shd-2l-1kc", ["name=mine", "model.max_delay=30"])
    assert changes_from_preset(other).preset == "shd-2l-1kc"
    assert changes_from_preset(other).rows == (("model.max_delay", "30", "24"),)
    assert changes_from_preset(load_recipe("digits")).rows == ()
