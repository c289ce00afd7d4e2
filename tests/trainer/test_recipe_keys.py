"""Every key is described."""

from __future__ import annotations

import pytest

from delaytool.models.config import why_no_integers
from delaytool.trainer.recipe import Recipe, all_keys, load_recipe
from delaytool.trainer.recipe_keys import format_setting, recipe_keys


def test_every_key_is_described_with_its_default() -> None:
    rows = recipe_keys(Recipe())
    assert [row.key for row in rows] == all_keys()
    assert not [row.key for row in rows if not row.description]
    assert not [row.key for row in rows if row.is_changed]


def test_what_a_recipe_changes_is_marked() -> None:
    recipe = load_recipe("digits", ["trainer.lr=0.25", "model.hidden=[4]"])
    rows = {row.key: row for row in recipe_keys(recipe)}
    assert (rows["trainer.lr"].value, rows["trainer.lr"].default, rows["trainer.lr"].is_changed) == (0.25, 5e-3, True)
    assert rows["model.hidden"].value == (4,)
    assert not rows["trainer.delay_lr"].is_changed
    assert rows["model.delays"].choices == ("learned", "fixed-random", "none", "dense")
    assert rows["data.time_unit"].choices == ("s", "ms", "us")
    assert rows["model.recurrent"].choices == ()
    assert rows["data.ear"].choices == ("true", "false", "causal")


def test_of_every_neuron_it_is_stated_whether_integers_hold_it() -> None:
    """One that was not would be exported and mapped as plain integrate-and-fire neurons."""
    neurons = next(row.choices for row in recipe_keys(Recipe()) if row.key == "model.neuron")
    assert [neuron for neuron in neurons if why_no_integers(neuron)] == ["adaptive"]


def test_every_default_is_written_as_a_setting_that_is_read_again() -> None:
    settings = [f"{row.key}={format_setting(row.default)}" for row in recipe_keys(Recipe()) if row.key != "data.source"]
    assert load_recipe("digits", settings).model == Recipe().model


@pytest.mark.parametrize("value", [1.23456789, 1.0000004, 16777217.0, 1e-05, 0.1 + 0.2, 4096.0, 1e300])
def test_a_number_is_written_with_all_its_digits(value: float) -> None:
    assert load_recipe("digits", [f"trainer.l1={format_setting(value)}"]).trainer.l1 == value
