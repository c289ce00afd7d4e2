"""Folds, the choice and the training on all samples: as a program and as a user does it, interrupted or not."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from interrupting import Interrupts

import delaytool
from delaytool.cli import main
from delaytool.digests import write_signed_json
from delaytool.errors import CheckpointError, DataError, RecipeError, SweepError
from delaytool.experiments.cross_validation import folds as folds_module
from delaytool.experiments.cross_validation.folds import TrainFold, fold_settings
from delaytool.experiments.cross_validation.hyperparameters import with_folds
from delaytool.experiments.cross_validation.train import cross_validate
from delaytool.experiments.sweep import job as job_module
from delaytool.experiments.sweep.combinations import combinations
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.trainer import loop
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.evaluation import Evaluation
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import Recipe, load_recipe
from delaytool.trainer.reporter import Reporter
from delaytool.trainer.run_folder import RunFolder

TINY = [
    "model.hidden=[8]", "trainer.epochs=4", "trainer.batch_size=512", "trainer.sigma_schedule=constant",
    "trainer.single_tap_epochs=0", "data.folds=2", "trainer.threads=1",
]  # fmt: skip


def recipe_of(*more: str) -> Recipe:
    return load_recipe("digits", [*TINY, "protocol=cross-validated", *more])


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def options(*keys: str) -> list[str]:
    return [word for key in keys for word in ("--set", key)]


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Accuracies of the evaluations to come within training, the first one first."""
    accuracies: list[float] = []
    real = loop.evaluate

    def evaluate(*arguments: Any) -> Evaluation:
        found = real(*arguments)
        n_right = round(accuracies.pop(0) * len(found.labels))
        predictions = found.labels.copy()
        predictions[n_right:] = (predictions[n_right:] + 1) % 10
        return Evaluation(1.0, predictions, found.labels, found.spikes)

    monkeypatch.setattr(loop, "evaluate", evaluate)
    return accuracies


def test_the_folds_mean_chooses_where_either_fold_alone_would_choose_otherwise(
    planned: list[float], tmp_path: Path
) -> None:
    planned += [0.9, 0.1, 0.7, 0.2, 0.1, 0.2, 0.7, 0.9]  # fold 0, fold 1
    summary = cross_validate(recipe_of(), tmp_path / "run")
    assert planned == [], "the training on all samples validates nothing"
    record = summary["cross_validation"]
    assert [fold["best_epoch"] for fold in record["folds"]] == [1, 4]
    assert record["chosen_epoch"] == summary["best_epoch"] == summary["last_epoch"] == 3
    assert record["mean_accuracy"] == pytest.approx([0.5, 0.15, 0.7, 0.55], abs=0.002)
    run = RunFolder(tmp_path / "run")
    assert run.read_folds() == record
    assert "last_epoch = 3" in run.read_recipe()
    assert Checkpoint.load(run.best).epoch == 3
    assert len(run.read_metrics()) == 3
    assert "by the mean of folds" in summary["protocol"]
    # On all samples but the test part's, with the same rates in each epoch as the folds had.
    fold = RunFolder(tmp_path / "run" / "folds" / "runs" / "fold=0")
    rates = [[line["lr"] for line in each.read_metrics()] for each in (run, fold)]
    assert rates[0] == rates[1][:3]
    assert "validation: none" in summary["split"]


def test_no_fold_looks_at_the_test_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    real = loop.evaluate_both

    def evaluate_both(model: Any, frames: Any, labels: Any, *more: Any) -> Any:
        looked.append(len(labels))
        return real(model, frames, labels, *more)

    monkeypatch.setattr(loop, "evaluate_both", evaluate_both)
    summary = cross_validate(recipe_of(), tmp_path / "run")
    assert looked == [719, 719, 359], "the folds' own samples, and then, once, the test part's"
    for fold in range(2):
        of_fold = RunFolder(tmp_path / "run" / "folds" / "runs" / f"fold={fold}").read_summary()
        assert not [key for key in of_fold if key.startswith("test_")]
        assert of_fold["validation_samples"] == 719
        assert "test was not looked at" in of_fold["protocol"]
    assert summary["test_samples"] == 359


def test_training_stops_at_the_epoch_with_the_rates_of_all_of_them(tmp_path: Path) -> None:
    """'To that epoch' is what a training of all epochs has been by then, bit for bit."""
    keys = ["protocol=fixed", "trainer.sigma_schedule=exponential", "trainer.sigma_epochs=1"]
    seen: list[dict[str, torch.Tensor]] = []

    class Keeps(Reporter):
        def begin(self, recipe: Any, data: Any, model: Any, epochs_done: int) -> None:
            self.model = model

        def epoch(self, metrics: dict[str, Any], is_best: bool) -> None:
            seen.append({name: tensor.clone() for name, tensor in self.model.state_dict().items()})

    train(load_recipe("digits", [*TINY, *keys]), tmp_path / "all", reporter=Keeps())
    train(load_recipe("digits", [*TINY, *keys, "trainer.last_epoch=3"]), tmp_path / "three")
    stopped = Checkpoint.load(tmp_path / "three" / "last.pt")
    assert all(torch.equal(tensor, seen[2][name]) for name, tensor in stopped.model.items())
    assert stopped.epoch == 3


def assert_same_runs(one: Path, other: Path) -> None:
    for which in ("best.pt", "last.pt"):
        first, second = (Checkpoint.load(path / which) for path in (one, other))
        assert all(torch.equal(tensor, second.model[name]) for name, tensor in first.model.items())
    assert RunFolder(one).read_summary() == RunFolder(other).read_summary() != {}
    assert RunFolder(one).read_folds() == RunFolder(other).read_folds() != {}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    cross_validate(recipe_of(), folder)
    return folder


@pytest.mark.parametrize("place", ["fold 1", "before the choice", "after the choice", "on all samples"])
def test_it_goes_on_from_wherever_it_stopped(
    place: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = tmp_path / "run", loop.train
    done: list[str] = []

    def stops(recipe: Any, path: Any, **more: Any) -> Any:
        if place == "fold 1" and Path(path).name == "fold=1":
            return real(recipe, path, **{**more, "reporter": Interrupts(3)})
        done.append(Path(path).name)
        return real(recipe, path, **more)

    def interrupt(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(job_module, "train", stops)
        if place == "before the choice":
            patched.setattr("delaytool.experiments.cross_validation.train.choose_from_folds", interrupt)
        if place == "after the choice":
            patched.setattr("delaytool.experiments.cross_validation.train.train", interrupt)
        with pytest.raises(KeyboardInterrupt):
            cross_validate(recipe_of(), folder, reporter=Interrupts(2))
    stamps = {path: path.stat().st_mtime_ns for path in folder.glob("folds/runs/*/last.pt")}
    result = call("train", "--resume", folder)
    assert result.exit_code == 0, result.output
    assert_same_runs(whole, folder)
    if place != "fold 1":
        assert {path: path.stat().st_mtime_ns for path in stamps} == stamps, "no fold was trained again"
    hidden = {path.name for path in folder.iterdir() if path.name.startswith(".")}
    assert hidden == {".lock"}


def test_a_user_trains_folds_side_by_side_sees_the_choice_and_goes_on(whole: Path, tmp_path: Path) -> None:
    command = ["train", "digits", "--protocol", "cross-validated", "-o", tmp_path / "run", *options(*TINY)]
    result = call(*command, "--jobs", 2)
    assert result.exit_code == 0, result.output
    assert_same_runs(whole, tmp_path / "run")
    chosen = RunFolder(whole).read_folds()["chosen_epoch"]
    assert "protocol cross-validated: 2 folds, then one training on all samples" in result.output
    assert result.output.count("/2  fold=") == 2  # both '2/2' where they end at once
    assert "drawn class by class, 719 of 1438 samples of the rest of digits" in " ".join(result.output.split())
    assert f"their mean is highest in epoch {chosen}:" in result.output
    assert f"chosen epoch {chosen}: test" in result.output
    again = call(*command)
    assert again.exit_code == 2
    assert "a run is there already; go on with it by --resume" in again.output
    for verb in (("report", tmp_path / "run"), ("show", tmp_path / "run")):
        shown = call(*verb)
        assert shown.exit_code == 0, shown.output
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Folds that chose the epoch" in page
    assert "the epoch with the highest mean of 2 folds" in page
    exported = call("export", tmp_path / "run", "--target", "ideal")
    assert exported.exit_code == 0, exported.output


def test_the_recipe_of_a_finished_run_trains_the_same_network_without_folds(whole: Path, tmp_path: Path) -> None:
    result = call("train", whole / "recipe.toml", "-o", tmp_path / "again")
    assert result.exit_code == 0, result.output
    one, other = (Checkpoint.load(path / "best.pt") for path in (whole, tmp_path / "again"))
    assert all(torch.equal(tensor, other.model[name]) for name, tensor in one.model.items())
    assert "the folds that chose it are not recorded with this run" in result.output.replace("\n", " ")


def test_data_in_memory_are_folded_too(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 3
    frames = (generator.random((60, 10, 6)) < 0.15).astype(np.uint8)
    frames[np.arange(60), 2 + labels, labels] = 1
    overrides = {"protocol": "cross-validated", "data.folds": 3, "model.hidden": [8], "trainer.epochs": 3}
    run = delaytool.train("digits", (frames, labels), folder=tmp_path / "run", overrides=overrides)
    record = run.summary["cross_validation"]
    assert [fold["samples"] for fold in record["folds"]] == [16, 16, 16]
    assert run.summary["test_samples"] == 12
    again = delaytool.train(data=(frames, labels), folder=tmp_path / "run", resume=True)
    assert again.summary == run.summary


def test_class_names_of_data_in_memory_are_those_that_the_folds_began_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the order of the alphabet, by which names would be numbered otherwise."""
    labels = np.arange(60) % 2
    frames = (np.random.default_rng(0).random((60, 10, 6)) < 0.3).astype(np.uint8)
    data, overrides = (frames, np.array(["up", "down"])[labels]), {
        "protocol": "cross-validated", "data.folds": 2, "model.hidden": [4], "trainer.epochs": 1,
    }  # fmt: skip
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr("delaytool.experiments.cross_validation.train.work_in_processes", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            delaytool.train("digits", data, folder=run, overrides=overrides, class_names=["up", "down"])
    finished = delaytool.train(data=data, folder=run, resume=True)
    assert delaytool.export(finished).class_names == ("up", "down")
    whole = delaytool.train("digits", data, folder=tmp_path / "whole", overrides=overrides, class_names=["up", "down"])
    assert finished.checkpoint().data == whole.checkpoint().data


def test_folds_go_on_with_the_data_that_they_began_with_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(60) % 2
    frames = (np.random.default_rng(0).random((60, 10, 6)) < 0.3).astype(np.uint8)
    overrides = {"protocol": "cross-validated", "data.folds": 2, "model.hidden": [4], "trainer.epochs": 1}
    run = tmp_path / "run"
    with monkeypatch.context() as patched:
        patched.setattr("delaytool.experiments.cross_validation.train.work_in_processes", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            delaytool.train("digits", (frames, labels), folder=run, overrides=overrides)
    with pytest.raises(CheckpointError, match="training and test part are not those that the run began with"):
        delaytool.train(data=(frames, 1 - labels), folder=run, resume=True)
    assert not (run / "folds" / "runs").exists()


def test_a_user_goes_on_with_the_data_of_the_folds_alone(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "folds", tmp_path / "run" / "folds")
    run = RunFolder(tmp_path / "run")
    write_signed_json(run.folds_data, {**run.read_folds_data(), "training": "0" * 64})
    for resumed in (
        lambda: cross_validate(None, run.path, resume=True),
        lambda: train(recipe_of("trainer.last_epoch=1"), run.path),
    ):
        with pytest.raises(CheckpointError, match="labels of the training part are not those that the run began with"):
            resumed()
    result = call("train", "--resume", run.path)
    assert result.exit_code == 2
    assert "are not those that the run began with" in result.output


def test_a_run_in_its_folds_is_shown_as_one(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "folds", tmp_path / "run" / "folds")
    RunFolder(tmp_path / "run" / "folds" / "runs" / "fold=1").summary.unlink()
    shown = json.loads(call("show", tmp_path / "run", "--json").output)
    assert (shown["state"], shown["folds"]) == ("not finished: in the folds that choose its epoch", "1 of 2")
    for verb in ("report", "export"):
        refused = call(verb, tmp_path / "run")
        assert refused.exit_code == 2
        assert (
            "the folds that choose this run's epoch are not over; go on with: delaytool train --res" in refused.output
        )
    last = RunFolder(whole).read_summary()["last_epoch"]
    assert json.loads(call("show", whole, "--json").output)["epochs"] == f"{last} of {last}"


def test_folds_of_different_data_choose_no_epoch(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "folds", tmp_path / "run" / "folds")
    fold = RunFolder(tmp_path / "run" / "folds" / "runs" / "fold=1")
    summary = fold.read_summary()
    fold.write_summary({**summary, "data_sha256": {**summary["data_sha256"], "test": "0" * 64}})
    with pytest.raises(SweepError, match="the data have changed between fold=0 and fold=1"):
        cross_validate(None, tmp_path / "run", resume=True)
    assert not RunFolder(tmp_path / "run").folds.exists()


def test_a_fold_that_another_process_trains_is_no_error(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "folds", tmp_path / "run" / "folds")
    run = RunFolder(tmp_path / "run")
    RunFolder(run.folds_folder / "runs" / "fold=1").summary.unlink()
    other = SweepFolder(run.folds_folder, TrainFold())
    other.queue(fold_settings(recipe_of()))
    claim = other.claim()
    assert claim is not None
    result = call("train", "--resume", run.path)
    assert result.exit_code == 0, result.output
    assert "not finished: another process trains fold=1" in result.output
    with pytest.raises(SweepError, match="another process trains fold=1 now, and goes on by itself"):
        cross_validate(None, run.path, resume=True)
    claim.lock.release()
    assert not run.is_run


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("key", "message"),
    [("data.held_out_speaker=1", "makes folds of all speakers"), ("data.folds=1000", "folds")],
)
def test_data_that_cannot_be_folded_are_refused_before_anything_is_written(
    key: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message) as refused:
        delaytool.train(recipe_of(key), folder=tmp_path / "run")
    assert "--retry-failed" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["trainer.channel_shift=64", "trainer.device=cuda:99"])
def test_what_every_fold_would_be_refused_for_is_refused_before_them(key: str, tmp_path: Path) -> None:
    result = call("train", "digits", "--protocol", "cross-validated", "-o", tmp_path / "run", *options(*TINY, key))
    assert result.exit_code == 2
    assert result.output.count(f"error: {key.partition('=')[0]}: ") == 1
    assert list(tmp_path.iterdir()) == []


def test_folds_that_cannot_begin_are_gone_on_with_by_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **more: Any) -> Any:
        raise RecipeError("it does not work today")

    with monkeypatch.context() as patched:
        patched.setattr(job_module, "train", fails)
        with pytest.raises(SweepError, match=r"go on with: delaytool train --resume .*resume=True") as stopped:
            delaytool.train(recipe_of("data.folds=3"), folder=tmp_path / "run")
    assert "--retry-failed" not in str(stopped.value)
    assert delaytool.train(folder=tmp_path / "run", resume=True).summary["cross_validation"]


def test_a_failed_fold_is_named_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = job_module.train

    def fails(recipe: Any, path: Any, **more: Any) -> Any:
        if Path(path).name == "fold=1":
            raise RecipeError("it does not work today")
        return real(recipe, path, **more)

    with monkeypatch.context() as patched:
        patched.setattr(job_module, "train", fails)
        result = call("train", "digits", "--protocol", "cross-validated", "-o", tmp_path / "run", *options(*TINY))
    assert result.exit_code == 2
    assert (
        "fold=1 failed: it does not work today; see to that, and go on with: delaytool train --resume" in result.output
    )
    assert not RunFolder(tmp_path / "run").is_run
    assert call("train", "--resume", tmp_path / "run").exit_code == 0


def test_other_runs_and_options_are_kept_apart(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole / "folds", tmp_path / "run" / "folds")
    with pytest.raises(CheckpointError, match="a run is there already"):
        train(load_recipe("digits", TINY), tmp_path / "run")
    with pytest.raises(RecipeError, match="trains folds first"):
        train(recipe_of(), tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert "--jobs is for the folds" in call("train", "digits", "--jobs", 2, "-o", tmp_path / "other").output
    for keys, words in (
        (["data.fold=0"], "data.fold: 0 is one of 0..4 with protocol 'cross-validated'"),
        (["protocol=cross-validated", "data.fold=5"], "data.fold: 5 is one of 0..4"),
        (["protocol=cross-validated", "trainer.early_stopping_patience=2"], "needs all epochs of every fold"),
        (["trainer.last_epoch=101"], "trainer.last_epoch: 101 is beyond trainer.epochs 100"),
    ):
        with pytest.raises(RecipeError, match=words):
            load_recipe("digits", keys)
    compared = call("compare", "digits", "-o", tmp_path / "c", *options("protocol=cross-validated", *TINY))
    assert compared.exit_code == 2
    assert "is several runs" in compared.output


def test_a_sweep_chooses_by_the_mean_of_the_folds_and_tests_that_alone(tmp_path: Path) -> None:
    words = ["digits", "-o", tmp_path, "--over", "trainer.lr=1e-6,2e-2", "--over", "seed=0,1"]
    keys = options("protocol=cross-validated", "trainer.epochs=5", *(key for key in TINY if "epochs=4" not in key))
    result = call("sweep", *words, *keys)
    assert result.exit_code == 0, result.output
    assert "chosen by the mean of the folds: trainer.lr=0.02" in result.output
    rows = list(csv.DictReader((tmp_path / "results.csv").open()))
    assert [row["trainer.lr"] for row in rows] == ["1e-06", "0.02"]
    assert rows[0]["test_accuracy_rounded"] == "" != rows[1]["test_accuracy_rounded"]
    finals = sorted(path for path in (tmp_path / "chosen" / "runs").iterdir())
    assert [path.name.partition(",last")[0] for path in finals] == ["lr=0.02,seed=0", "lr=0.02,seed=1"]
    page = (tmp_path / "sweep.html").read_text()
    assert "2 runs, delays rounded" in page, "two trainings were tested, one per seed, whatever the folds are"
    assert ">Mean accuracy of the folds<" in page
    assert "the epoch was chosen by the mean of folds" in page, "the protocol of what was tested"
    # The mean over seeds of the folds' mean in the epoch that they choose.
    means = []
    for seed, final in enumerate(finals):
        curves = [
            [line["validation_accuracy"] for line in RunFolder(run).read_metrics()]
            for run in sorted(tmp_path.glob(f"runs/lr=0.02,seed={seed},fold=*"))
        ]
        assert len(curves) == 2
        mean = np.mean(curves, axis=0)
        means.append(mean.max())
        record = json.loads((final / "summary.json").read_text())["cross_validation"]
        assert record["chosen_epoch"] == mean.argmax() + 1
    assert float(rows[1]["validation_accuracy"]) == pytest.approx(np.mean(means), abs=1e-6)
    assert not [
        key for run in tmp_path.glob("runs/*") for key in RunFolder(run).read_summary() if key.startswith("test_")
    ]
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/runs/*/last.pt")}
    assert call("sweep", *words, *keys).exit_code == 0
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert call("sweep", "--table", tmp_path).exit_code == 0


def test_a_sweep_of_folds_and_of_other_runs_is_refused() -> None:
    mixed = combinations("digits", ["protocol=honest,cross-validated"], TINY)
    with pytest.raises(folds_module.SweepError, match="some of the runs are 'cross-validated' and some are not"):
        with_folds(mixed)
    assert with_folds(mixed[:1]) == mixed[:1]
    assert [setting.name for setting in with_folds(mixed[1:])] == [
        "protocol=cross-validated,fold=0", "protocol=cross-validated,fold=1",
    ]  # fmt: skip
