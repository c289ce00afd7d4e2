"""Means, errors and order, against numpy."""

import csv

import numpy as np
import pytest

from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.results import gather, write_tables
from delaytool.experiments.sweep.worker import work
from delaytool.report.sweep_figure import draw, write_figure
from delaytool.trainer.run_folder import RunFolder


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


@pytest.mark.parametrize("order", ["0,1,2", "1,0,2"])
def test_speakers_held_out_as_the_test_part_are_tested_on_all_their_samples(tmp_path, quick, settings, order):
    """Each speaker's samples are a test part of their own, and all seeds share it."""
    sizes, accuracies = (12, 84, 24), (0.25, 0.5, 0.75)
    job = quick(samples=lambda recipe: sizes[recipe.data.held_out_speaker])
    folder = SweepFolder(tmp_path, job)
    folder.queue(settings(f"data.held_out_speaker={order}", "seed=0,1", more=["data.held_out_as=test"]))
    work(tmp_path, job, lambda news: None)
    for setting in folder.journal.settings():  # right answers in these samples
        run = RunFolder(folder.run(setting))
        accuracy = accuracies[setting.recipe.data.held_out_speaker]
        run.write_summary({**run.read_summary(), "test_accuracy_rounded": accuracy})
    (result,) = gather(folder).settings
    assert result.test_samples == 120
    right = np.repeat([0.25, 0.5, 0.75], sizes)  # of each sample the mean
    assert result.test.mean == pytest.approx(right.mean())
    assert result.binomial == pytest.approx(np.sqrt(right.mean() * (1 - right.mean()) / 120))
    shares = np.repeat(np.array(sizes) / 240, 2)
    deviations = shares * (np.repeat(accuracies, 2) - right.mean())
    assert result.test.standard_error == pytest.approx(np.sqrt(6 / 5 * (deviations**2).sum()))


def test_speakers_held_out_for_validation_share_one_test_part(swept):
    (result,) = swept("data.held_out_speaker=0..3", "seed=0..1").settings
    assert result.test_samples == 400


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
