"""Means, errors and order, against numpy."""

import csv

import numpy as np
import pytest

from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.results import gather, write_tables
from delaytool.experiments.sweep.worker import work
from delaytool.report.sweep_figure import draw, write_figure


@pytest.fixture
def swept(tmp_path, quick, settings):
    """(--over words, what fails) -> the results of that sweep."""

    def sweep(*over, fails=lambda recipe: False):
        def before(recipe):
            if fails(recipe):
                raise ValueError("does not work, at all")

        folder = SweepFolder(tmp_path, quick(before))
        folder.queue(settings(*over))
        work(tmp_path, quick(before), lambda news: None)
        return gather(folder)

    return sweep


def test_seeds_are_averaged_and_extended_ranges_are_in_order(swept):
    swept("model.max_delay=4..6", "seed=0..2")
    results = swept("model.max_delay=1..5..2", "seed=0..2")
    assert [setting.values["model.max_delay"] for setting in results.settings] == [1, 3, 4, 5, 6]
    for setting in results.settings:
        expected = np.array([0.49, 0.50, 0.51]) + setting.values["model.max_delay"] / 1000
        assert setting.test.mean == pytest.approx(expected.mean())
        assert setting.test.standard_error == pytest.approx(0.01 / np.sqrt(3))
        assert setting.binomial == pytest.approx(np.sqrt(expected.mean() * (1 - expected.mean()) / 400))


def test_speakers_left_out_in_turn_are_averaged_like_seeds(swept):
    results = swept("data.held_out_speaker=0..3", "model.max_delay=2,3", "seed=0..1")
    assert results.keys == ("model.max_delay",)
    assert [setting.test.seeds for setting in results.settings] == [8, 8]


def test_tables_hold_every_setting_and_every_run(swept, tmp_path):
    results = swept("model.max_delay=2,3", "seed=0..1", fails=lambda recipe: recipe.model.max_delay == 3)
    write_tables(results, tmp_path)
    settings = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert [row["model.max_delay"] for row in settings] == ["2", "3"]
    assert [(row["runs"], row["finished"], row["failed"]) for row in settings] == [("2", "2", "0"), ("2", "0", "2")]
    assert float(settings[0]["test_accuracy_rounded"]) == pytest.approx(0.497)
    assert settings[1]["test_accuracy_rounded"] == ""
    runs = list(csv.DictReader((tmp_path / "runs.csv").open()))
    assert [row["state"] for row in runs] == ["finished", "finished", "failed", "failed"]
    assert runs[3]["error"] == "ValueError: does not work, at all"


@pytest.mark.parametrize(
    ("over", "label", "lines"),
    [
        (["model.max_delay=2..4", "seed=0..1"], "model.max_delay", 1),
        (["model.delays=learned,fixed", "model.max_delay=2..3"], "model.max_delay", 2),
        (["model.delays=learned,fixed"], "model.delays", 1),
        (["seed=0..3"], "", 1),
    ],
)
def test_the_picture_is_over_the_key_with_most_numbers(swept, over, label, lines):
    (axes,) = draw(swept(*over)).axes
    assert axes.get_xlabel() == label
    assert len(axes.containers) == lines


def test_no_picture_without_a_finished_run(swept, tmp_path):
    results = swept("seed=0..1", fails=lambda recipe: True)
    assert not write_figure(results, tmp_path / "results.png")
    assert not (tmp_path / "results.png").exists()
