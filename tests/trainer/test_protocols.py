"""Each protocol against one in which another would choose differently."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from delaytool.cli import main
from delaytool.datasets import DataSpec, Splits, digits_events, load
from delaytool.datasets.recordings import NOBODY
from delaytool.datasets.sources import divide
from delaytool.errors import DataError, RecipeError
from delaytool.experiments.export_run import export_run
from delaytool.hw_configs import load_target
from delaytool.report.three_accuracies import three_accuracy_rows
from delaytool.trainer import loop
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import TrainingData, load_data
from delaytool.trainer.evaluation import Evaluation
from delaytool.trainer.loop import train
from delaytool.trainer.protocols import describe_cost
from delaytool.trainer.recipe import Recipe, load_recipe
from delaytool.trainer.reporter import Reporter
from delaytool.trainer.run_folder import RunFolder

TINY = [
    "model.hidden=[8]", "trainer.epochs=4", "trainer.batch_size=512", "trainer.sigma_schedule=constant",
    "trainer.single_tap_epochs=0",
]  # fmt: skip


def recipe_of(protocol: str, *more: str) -> Recipe:
    return load_recipe("digits", [*TINY, f"protocol={protocol}", *more])


class Looks(Reporter):
    data: TrainingData

    def begin(self, recipe: Recipe, data: TrainingData, model: Any, epochs_done: int) -> None:
        self.data = data


@pytest.fixture
def accuracies(monkeypatch: pytest.MonkeyPatch) -> dict[int, list[float]]:
    """Accuracies of evaluations to come, by the number of samples of the part, the first one first."""
    planned: dict[int, list[float]] = {}
    real = loop.evaluate

    def evaluate(*arguments: Any) -> Evaluation:
        found = real(*arguments)
        count = len(found.labels)
        n_right = round(planned[count].pop(0) * count)
        predictions = found.labels.copy()
        predictions[n_right:] = (predictions[n_right:] + 1) % 10
        return Evaluation(1.0, predictions, found.labels, found.spikes)

    monkeypatch.setattr(loop, "evaluate", evaluate)
    return planned


@pytest.fixture
def three_parts() -> Splits:
    """A program's own parts, made of the digits: 287 samples of validation, and 359 of test."""
    return replace(load(DataSpec("digits")), spec=None)


def test_fixed_takes_the_last_epoch_where_honest_takes_the_best(
    accuracies: dict[int, list[float]], three_parts: Splits, tmp_path: Path
) -> None:
    plan = [0.3, 0.9, 0.5, 0.4]
    accuracies[287] = [*plan]
    honest = train(recipe_of("honest"), tmp_path / "honest", data=three_parts)
    accuracies[287] = [*plan]
    fixed = train(recipe_of("fixed"), tmp_path / "fixed", data=three_parts)
    assert honest["best_epoch"] == Checkpoint.load(tmp_path / "honest" / "best.pt").epoch == 2
    assert fixed["best_epoch"] == Checkpoint.load(tmp_path / "fixed" / "best.pt").epoch == 4
    assert RunFolder(tmp_path / "fixed").best_epoch() == 4
    assert (honest["validation_accuracy"], fixed["validation_accuracy"]) == pytest.approx((0.9, 0.4), abs=0.002)
    assert "no epoch was chosen, the last one counts" in fixed["protocol"]


def test_fixed_trains_on_all_but_the_test_part(tmp_path: Path) -> None:
    honest, fixed, paper = (load(DataSpec("digits", protocol=name)) for name in ("honest", "fixed", "paper"))
    assert len(fixed.train) == len(honest.train) + len(honest.validation) == len(paper.train) == 1438
    assert fixed.validation is None
    np.testing.assert_array_equal(fixed.test.labels, honest.test.labels)
    looks = Looks()
    summary = train(recipe_of("fixed"), tmp_path / "run", reporter=looks)
    assert len(looks.data.train) == 1438
    assert (summary["validation_accuracy"], summary["validation_samples"]) == (None, 0)
    assert "validation: none" in summary["split"]
    lines = RunFolder(tmp_path / "run").read_metrics()
    assert [line["validation_accuracy"] for line in lines] == [None] * 4
    # An interrupted one, whose summary is not there yet, has its last epoch as the one that is kept.
    RunFolder(tmp_path / "run").summary.unlink()
    assert RunFolder(tmp_path / "run").best_epoch() == 4


def test_a_fixed_run_is_exported_and_calibrated_on_training_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, calibrated = Looks(), []
    train(recipe_of("fixed", "trainer.epochs=6"), tmp_path / "run", reporter=looks)
    from delaytool.experiments import export_run as module

    real = module.export

    def export(model: Any, encoding: Any, chip: Any, output: Any, frames: np.ndarray, **more: Any) -> Any:
        calibrated.append(frames)
        return real(model, encoding, chip, output, frames, **more)

    monkeypatch.setattr(module, "export", export)
    export_run(tmp_path / "run", load_target("ideal"), tmp_path / "run" / "network-ideal.h5")
    training = {frames.tobytes() for frames in looks.data.train.frames.numpy()}
    assert len(calibrated[0]) == 128
    assert all(frames.tobytes() in training for frames in calibrated[0])


def test_a_part_that_is_not_there_is_not_evaluated(tmp_path: Path) -> None:
    from delaytool.datasets import load_for_evaluation

    with pytest.raises(DataError, match="there is no validation part, protocol 'fixed' trains on all samples"):
        load_for_evaluation(DataSpec("digits", protocol="fixed"), "validation")


def test_fixed_has_no_best_epoch_to_stop_after() -> None:
    with pytest.raises(RecipeError, match=r"early_stopping_patience: 3 epochs .* protocol 'fixed' chooses none"):
        recipe_of("fixed", "trainer.early_stopping_patience=3")


def test_papers_sentence_is_about_the_part_that_it_chose_on(three_parts: Splits, tmp_path: Path) -> None:
    own = train(recipe_of("paper", "trainer.epochs=1"), tmp_path / "own", data=three_parts)
    assert "the data's own validation part" in own["protocol"]
    cut = train(recipe_of("paper", "trainer.epochs=1"), tmp_path / "cut")
    assert "chosen on the test set" in cut["protocol"]
    assert torch.isfinite(torch.tensor(cut["test_accuracy_rounded"]))


def test_three_accuracies_stand_side_by_side(accuracies: dict[int, list[float]], tmp_path: Path) -> None:
    """The last 20 of the epochs that can be chosen, the best of those, and the protocol's own."""
    plan = [0.9, *[0.5] * 5, 0.8, *[0.6] * 16, 0.7, 0.5]
    keys = ["trainer.epochs=25", "trainer.sigma_schedule=exponential", "trainer.sigma_epochs=0.2"]
    last = np.mean(plan[5:])
    for protocol, epoch in (("fixed", 25), ("paper", 7)):
        accuracies[359] = [*plan]
        every = ["trainer.test_every_epoch=true"] if protocol == "fixed" else []
        summary = train(recipe_of(protocol, *keys, *every), tmp_path / protocol)
        assert summary["best_epoch"] == epoch
        assert (summary["last_epochs"], summary["test_accuracy_last_epochs"]) == (20, pytest.approx(last, abs=0.002))
        # Epoch 1, the best of all, has not the final width, and no protocol may choose it.
        assert (summary["best_on_test_epoch"], summary["test_accuracy_best_on_test"]) == (
            7,
            pytest.approx(0.8, abs=0.002),
        )
        lines = RunFolder(tmp_path / protocol).read_metrics()
        assert [line["test_accuracy"] for line in lines] == pytest.approx(plan, abs=0.002)
        assert [line["can_be_chosen"] for line in lines] == [False] * 5 + [True] * 20
        rows = three_accuracy_rows(summary)
        keys_shown = ("test_accuracy_rounded", "test_accuracy_last_epochs", "test_accuracy_best_on_test")
        assert [percent for _, percent in rows] == [f"{100 * summary[key]:.2f} %" for key in keys_shown]
        assert "chosen on the test set" in rows[2][0]
        assert ("chosen on the test set" in rows[0][0]) == (protocol == "paper")


def test_testing_every_epoch_changes_nothing_but_what_is_recorded(tmp_path: Path) -> None:
    keys = ["model.dropout=0.3", "trainer.time_jitter=1"]
    without = train(recipe_of("fixed", *keys), tmp_path / "without")
    with_it = train(recipe_of("fixed", *keys, "trainer.test_every_epoch=true"), tmp_path / "with")
    one, other = (Checkpoint.load(tmp_path / name / "last.pt") for name in ("without", "with"))
    assert all(torch.equal(one.model[name], other.model[name]) for name in one.model)
    assert with_it["test_accuracy_rounded"] == without["test_accuracy_rounded"]
    assert with_it["test_accuracy_rounded"] == RunFolder(tmp_path / "with").read_metrics()[-1]["test_accuracy"]
    assert "test was looked at once, at the end" in without["protocol"]
    assert "test was looked at in every epoch, which decided nothing" in with_it["protocol"]
    assert three_accuracy_rows(without) == []
    assert "test_accuracy" not in RunFolder(tmp_path / "without").read_metrics()[0]


def test_honest_looks_at_the_test_set_once() -> None:
    with pytest.raises(RecipeError, match=r"test_every_epoch: true looks at the test set .* 'honest' looks at it once"):
        recipe_of("honest", "trainer.test_every_epoch=true")


def with_speakers(count: int) -> Splits:
    """The digits, as if `count` writers had written them in turn."""
    data = digits_events()
    spec = DataSpec("digits", validation_fraction=0.5 if count > 10 else 0.2)
    return divide(spec, {"all": replace(data, speakers=np.arange(len(data)) // 10 % count)})


@pytest.mark.parametrize(("speakers", "validating"), [(5, 1), (40, 20)])
def test_honest_states_what_holding_few_speakers_out_costs(speakers: int, validating: int, tmp_path: Path) -> None:
    splits = with_speakers(speakers)
    fraction = f"data.validation_fraction={splits.spec.validation_fraction}"
    summary = train(recipe_of("honest", "trainer.epochs=1", fraction), tmp_path / "run", data=splits)
    total = len(splits.train) + len(splits.validation)
    assert summary["held_out"] == {"samples": len(splits.validation), "of": total, "speakers": validating}
    sentence = describe_cost(summary)
    assert bool(sentence) == (validating < 10)
    if sentence:
        assert f"{len(splits.validation):,} of {total:,} samples were not trained on, and one speaker chose" in sentence


def test_stretches_of_noise_are_no_speakers_that_choose() -> None:
    data = digits_events()
    speakers = np.arange(len(data)) // 10 % 5
    speakers[::4] = NOBODY + np.arange(speakers[::4].size)
    splits = divide(DataSpec("digits"), {"all": replace(data, speakers=speakers)})
    held_out = load_data(recipe_of("honest"), data=splits).held_out
    chosen = splits.validation.speakers
    assert (chosen >= NOBODY).any()
    assert held_out.speakers == np.unique(chosen[chosen < NOBODY]).size


def test_where_nothing_is_lost_there_is_no_cost(three_parts: Splits, tmp_path: Path) -> None:
    """Stratified validation costs samples, but its choice is not one speaker's; a part of its own costs nothing."""
    cut = train(recipe_of("honest", "trainer.epochs=1"), tmp_path / "cut")
    assert cut["held_out"] == {"samples": 287, "of": 1438, "speakers": None}
    assert describe_cost(cut) == ""
    own = replace(three_parts, cuts_validation=False)
    assert "held_out" not in train(recipe_of("honest", "trainer.epochs=1"), tmp_path / "own", data=own)
    held_out = replace(with_speakers(5), spec=None)
    assert "held_out" not in train(recipe_of("paper", "trainer.epochs=1"), tmp_path / "paper", data=held_out)


def test_the_cost_is_on_the_terminal(tmp_path: Path) -> None:
    data = digits_events()
    rows = [data.sample(index) for index in range(0, len(data), 4)]
    labels = data.labels[::4]
    with h5py.File(tmp_path / "all.h5", "w") as file:
        file.attrs["n_units"] = 64
        for key, place in (("times", 0), ("units", 1)):
            dataset = file.create_dataset(f"spikes/{key}", (len(rows),), dtype=h5py.vlen_dtype(rows[0][place].dtype))
            for index, row in enumerate(rows):
                dataset[index] = row[place]
        file["labels"] = labels
        file["extra/speaker"] = np.arange(len(rows)) // 10 % 6
    words = [word for key in TINY for word in ("--set", key)]
    result = CliRunner().invoke(
        main, ["train", "digits", "--data", str(tmp_path / "all.h5"), "-o", str(tmp_path / "run"), *words]
    )
    assert result.exit_code == 0, result.output
    assert "samples were not trained on, and one speaker chose the epoch" in " ".join(result.output.split())
