"""Data that a program gives are what the recipe says of them, or refused: a run's protocol and split must be true."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import delaytool as dt
from delaytool.datasets import DataSpec, Splits, load
from delaytool.errors import DataError, RecipeError
from delaytool.trainer.data import TrainingData, load_data
from delaytool.trainer.given_data import refuse_other_parts
from delaytool.trainer.recipe import load_recipe

SMALL = {"model.hidden": [4], "trainer.epochs": 1}


@pytest.fixture(scope="module")
def frames() -> TrainingData:
    return load_data(load_recipe("digits"))


@pytest.mark.parametrize(
    "settings",
    [
        {"protocol": "paper"}, {"protocol": "fixed"}, {"data.test_fraction": 0.5}, {"data.validation_fraction": 0.5},
        {"data.time_unit": "ms"}, {"data.held_out_speaker": 3}, {"data.split_by": "stratified"}, {"data.classes": 10},
    ],
    ids=str,
)  # fmt: skip
def test_frames_that_were_cut_in_another_way_are_refused(
    frames: TrainingData, settings: dict[str, object], tmp_path: Path
) -> None:
    (key,) = settings
    with pytest.raises(DataError, match=rf"data: they were read and cut with {key} .*, the recipe has .*; set {key} "):
        dt.train("digits", frames, folder=tmp_path / "run", overrides=SMALL | settings)
    assert not (tmp_path / "run").exists()


def test_what_cuts_nothing_may_differ() -> None:
    whole = DataSpec("digits", protocol="cross-validated")  # of all samples, which are folded later
    refuse_other_parts(whole, load_recipe("digits", ["protocol=cross-validated", "data.folds=2"]))
    for stated in ({"n_units": 64}, {"time_unit": "s"}, {"mel": "hd"}, {"held_out_as": "test"}):
        refuse_other_parts(DataSpec("digits", **stated), load_recipe("digits"))


def test_so_are_samples_whose_validation_part_is_the_test_part(tmp_path: Path) -> None:
    paper = load(DataSpec("digits", protocol="paper"))
    with pytest.raises(DataError, match="cut with protocol 'paper', the recipe has 'honest'"):
        dt.train("digits", paper, folder=tmp_path / "run", overrides=SMALL)
    run = dt.train("digits", paper, folder=tmp_path / "run", overrides=SMALL | {"protocol": "paper"})
    assert run.summary["protocol"].startswith("paper: the epoch was chosen on the test set")


def test_another_source_than_memory_is_refused_beside_frames(frames: TrainingData, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"data.source: 'shd' is not possible with these data"):
        dt.train("digits", frames, folder=tmp_path / "run", overrides=SMALL | {"data.source": "shd"})


def test_a_protocol_needs_its_parts_however_they_were_made(frames: TrainingData) -> None:
    honest, whole = load_recipe("digits"), load_recipe("digits", ["protocol=cross-validated", "trainer.last_epoch=1"])
    unknown = replace(frames, spec=None)
    assert load_data(honest, data=unknown).validation is frames.validation
    samples = replace(load(DataSpec("digits")), spec=None)
    for data in (unknown, samples):
        assert isinstance(data, Splits | TrainingData)
        with pytest.raises(DataError, match=r"the data have no validation part, and .*'honest'.* choose protocol 'fix"):
            load_data(honest, data=replace(data, validation=None))
        with pytest.raises(DataError, match=r"their test part is their validation part too.* choose protocol 'paper'"):
            load_data(honest, data=replace(data, validation=data.test))
        with pytest.raises(DataError, match=r"'cross-validated' trains on all but the test part; give the training pa"):
            load_data(whole, data=data)


def test_runs_of_several_seeds_share_frames_and_their_split_names_the_seed_of_the_draw(frames: TrainingData) -> None:
    assert load_data(load_recipe("digits"), data=frames).split == frames.split
    other = load_data(load_recipe("digits", ["seed=3"]), data=frames)
    assert other.split == f"{frames.split}; validation was drawn with seed 0"
    assert load_data(load_recipe("digits", ["seed=3"]), data=load(DataSpec("digits"))).split == other.split
    fold = load_data(load_recipe("digits", ["protocol=cross-validated", "data.fold=1"]))
    with pytest.raises(DataError, match="cut with seed 0, the recipe has 3"):
        load_data(load_recipe("digits", ["protocol=cross-validated", "data.fold=1", "seed=3"]), data=fold)
