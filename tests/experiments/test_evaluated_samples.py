"""Networks are measured on the samples that training left out, wherever their file lies, or their user is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from spike_file import N_SAMPLES, write_spikes

import delaytool as dt
from delaytool.cli import main
from delaytool.contract.network import IntegerNetwork
from delaytool.datasets import bin_events, load_every_part, read_file
from delaytool.errors import DataError
from delaytool.experiments.evaluated_samples import RECORDED, SampleChoice, load_samples
from delaytool.experiments.export_run import export_run
from delaytool.experiments.measure_run import Measured
from delaytool.hw_configs import load_target
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import load_data
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import load_recipe

SMALL = ("model.hidden=[4]", "trainer.epochs=1", "trainer.batch_size=16", "data.n_units=12")
TESTED = 10


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one.h5, a run that was trained on it, and its network."""
    folder = tmp_path_factory.mktemp("exported")
    recipe = load_recipe("digits", [*SMALL, f'data.source="{write_spikes(folder / "one.h5")}"'])
    train(recipe, folder / "run")
    result = CliRunner().invoke(main, ["export", str(folder / "run"), "--target", "loihi2"])
    assert result.exit_code == 0, result.output
    assert "warning" not in result.stderr
    return folder


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """A copy, whose run still names the data of the first one: the file `one.h5` here is that file, moved."""
    return Path(shutil.copytree(exported, tmp_path / "moved"))


def samples_of(folder: Path, data: str, split: str = "test"):
    path = folder / "run" / "network-loihi2.h5"
    return load_samples(IntegerNetwork.load(path), path, SampleChoice(data, split))


@pytest.mark.parametrize("split", ["train", "validation", "test"])
@pytest.mark.parametrize("data", [RECORDED, "one.h5"])
def test_a_file_that_was_trained_on_is_cut_as_training_cut_it(split: str, data: str, folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    found = samples_of(folder, data, split)
    recipe = load_recipe(str(folder / "run" / "recipe.toml"))
    source = recipe.data.source if data == RECORDED else data
    part = getattr(load_data(recipe), split)
    np.testing.assert_array_equal(found.frames, part.frames.numpy())
    np.testing.assert_array_equal(found.labels, part.labels.numpy())
    assert found.name == f"the {split} part of {source}"
    assert not found.warnings


def test_another_file_is_taken_whole(folder: Path, tmp_path: Path) -> None:
    other = write_spikes(tmp_path / "other.h5", seed=1)
    found = samples_of(folder, str(other))
    assert len(found.frames) == N_SAMPLES
    assert "part of" not in found.name
    with pytest.raises(DataError, match="evaluated whole, it has no split 'train'"):
        samples_of(folder, str(other), "train")


@pytest.mark.parametrize("data", [RECORDED, "one.h5", "other.h5"])
def test_all_is_every_sample_in_the_order_of_the_file(data: str, folder: Path, monkeypatch) -> None:
    monkeypatch.chdir(folder)
    write_spikes(folder / "other.h5", seed=1)
    found = samples_of(folder, data, "all")
    network = IntegerNetwork.load(folder / "run" / "network-loihi2.h5")
    source = load_recipe(str(folder / "run" / "recipe.toml")).data.source if data == RECORDED else data
    events = read_file(source, 12)
    np.testing.assert_array_equal(found.frames, bin_events(events, network.encoding))
    np.testing.assert_array_equal(found.labels, events.labels)
    assert len(found.labels) == N_SAMPLES
    assert found.name == f"all of {source}"


def test_all_of_a_folder_is_all_its_files_whichever_there_are(folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    labels = []
    for seed, name in enumerate(("test.h5", "valid.h5", "train.h5"), 1):
        labels.insert(0, read_file(write_spikes(data / name, seed=seed)).labels)
        np.testing.assert_array_equal(samples_of(folder, str(data), "all").labels, np.concatenate(labels))


def test_all_of_built_in_data_is_more_than_their_test_part() -> None:
    events = load_every_part("digits", n_units=64, n_classes=10)
    assert [len(part) for part in events] == [1797]
    with pytest.raises(DataError, match="its 10 classes are more than the network's 4"):
        load_every_part("digits", n_classes=4)


def test_a_file_that_cannot_be_cut_is_taken_whole(folder: Path, tmp_path: Path) -> None:
    """Of one class alone: nothing could be trained on it, but a network can be tried."""
    other = write_spikes(tmp_path / "other.h5")
    with h5py.File(other, "r+") as file:
        file["labels"][:] = 1
    assert len(samples_of(folder, str(other)).frames) == N_SAMPLES


def test_verify_measures_what_training_left_out(folder: Path) -> None:
    network = folder / "run" / "network-loihi2.h5"
    arguments = ["verify", str(network), "--data", str(folder / "one.h5"), "--json", "--max-drop", "100"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    summary = json.loads((folder / "run" / "summary.json").read_text())
    assert found["samples"] == TESTED
    assert found["accuracy"]["float_rounded"] == pytest.approx(summary["test_accuracy_rounded"])


def test_compare_measures_what_training_left_out(tmp_path: Path) -> None:
    source = write_spikes(tmp_path / "one.h5")
    settings = [word for setting in (*SMALL, f'data.source="{source}"') for word in ("--set", setting)]
    result = CliRunner().invoke(
        main, ["compare", "digits", "--seeds", "1", "-o", str(tmp_path / "compared"), *settings]
    )
    assert result.exit_code == 0, result.output
    (run,) = (path.parent for path in (tmp_path / "compared").rglob("measured.json"))
    right = Measured.read(run).is_right
    assert right is not None
    assert len(right) == TESTED


def test_recorded_data_that_changed_are_named(exported: Path, tmp_path: Path) -> None:
    folder = tmp_path / "changing"
    folder.mkdir()
    source = write_spikes(folder / "one.h5")
    train(load_recipe("digits", [*SMALL, f'data.source="{source}"']), folder / "run")
    export = ["export", str(folder / "run"), "--target", "loihi2"]
    assert CliRunner().invoke(main, export).exit_code == 0
    write_spikes(source, seed=2)
    (sentence,) = samples_of(folder, RECORDED).warnings
    assert "these are not the samples that the run was tested on" in sentence
    for target in ("loihi2", "onnx-float"):
        result = CliRunner().invoke(main, [*export[:-1], target])
        assert result.exit_code == 0, result.output
        assert "one.h5: frames or labels of the training and" in " ".join(result.stderr.split())
        assert "of the training and validation and test part are not those" in " ".join(result.stderr.split())


@pytest.mark.parametrize("protocol", ["honest", "paper", "fixed", "cross-validated"])
def test_data_that_did_not_change_are_known_again(protocol: str, tmp_path: Path) -> None:
    overrides = {"protocol": protocol, "model.hidden": [4], "trainer.epochs": 1, "trainer.batch_size": 256}
    dt.train("digits", folder=tmp_path / "run", overrides=overrides)
    run = tmp_path / "run"
    assert Checkpoint.load(run / "best.pt").data, "a test of nothing, otherwise"
    assert not export_run(run, load_target("ideal"), run / "network-ideal.h5").warnings
