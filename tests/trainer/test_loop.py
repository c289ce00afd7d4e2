"""Training: the same seed gives the same bits, interrupted or not."""

import json
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest
import torch
from interrupting import Interrupts

from delaytool import datasets
from delaytool.datasets import DataSpec, load
from delaytool.errors import CheckpointError, DataError, RecipeError
from delaytool.trainer import loop
from delaytool.trainer.checkpoint import Checkpoint, signed_archive
from delaytool.trainer.data import load_data
from delaytool.trainer.evaluation import Evaluation
from delaytool.trainer.initial_network import initial_network
from delaytool.trainer.loop import Reporter, train
from delaytool.trainer.parallel import Team
from delaytool.trainer.recipe import load_recipe
from delaytool.trainer.run_folder import RunFolder


def parameters(folder):
    return Checkpoint.load(RunFolder(folder).last).model


def assert_equal_runs(one, other):
    for name, tensor in parameters(one).items():
        assert torch.equal(tensor, parameters(other)[name]), name
    timeless = [
        [{key: value for key, value in line.items() if key != "seconds"} for line in RunFolder(run).read_metrics()]
        for run in (one, other)
    ]
    assert timeless[0] == timeless[1]
    assert RunFolder(one).read_summary() == RunFolder(other).read_summary()


def test_the_same_seed_gives_the_same_bits(tiny_recipe, tmp_path):
    train(tiny_recipe, tmp_path / "a")
    train(tiny_recipe, tmp_path / "b")
    assert_equal_runs(tmp_path / "a", tmp_path / "b")


def test_frames_that_are_ready_train_as_the_data_do_and_nothing_is_read(tiny_recipe, tmp_path, monkeypatch):
    train(tiny_recipe, tmp_path / "read")
    frames = load_data(tiny_recipe)
    monkeypatch.setattr(datasets, "load", lambda *_, **__: pytest.fail("data are read again"))
    train(tiny_recipe, tmp_path / "given", data=frames)
    assert_equal_runs(tmp_path / "read", tmp_path / "given")
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe, tmp_path / "cut", data=frames, reporter=Interrupts(3))
    train(None, tmp_path / "cut", resume=True, data=frames)
    assert_equal_runs(tmp_path / "read", tmp_path / "cut")


def test_frames_that_were_made_for_another_recipe_are_refused(tiny_recipe, tmp_path):
    frames = load_data(load_recipe("digits", ["data.n_steps=7"]))
    assert frames.train.frames.shape[1] == 7
    train(tiny_recipe, tmp_path / "run")
    for recipe, resume in ((load_recipe("digits", ["data.n_steps=9"]), False), (None, True)):
        folder = tmp_path / ("run" if resume else "new")
        with pytest.raises(DataError, match=r"data: the frames were made with n_steps 7, the recipe has \d+; give"):
            train(recipe, folder, resume=resume, data=frames)
    assert not (tmp_path / "new").exists()
    other = load_recipe("digits", ["data.values=binary"])
    with pytest.raises(DataError, match="the frames were made with values count, the recipe has binary"):
        load_data(other, data=frames)


@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_an_interrupted_run_resumes_to_the_same_bits(epoch, tiny_recipe, tmp_path):
    train(tiny_recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe, tmp_path / "cut", reporter=Interrupts(epoch))
    assert len(RunFolder(tmp_path / "cut").read_metrics()) == epoch - 1
    assert not RunFolder(tmp_path / "cut").summary.exists()
    train(None, tmp_path / "cut", resume=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("part", ["training", "validation", "test"])
def test_a_run_is_not_resumed_with_other_data(part, tiny_recipe, tmp_path):
    """One label of one part has changed since: another experiment, whose metrics would look like the first's."""
    splits = load(DataSpec.from_recipe(tiny_recipe.model_dump(mode="json")))
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe, tmp_path / "cut", reporter=Interrupts(3), data=splits)
    before = (tmp_path / "cut" / "last.pt").read_bytes()
    name = {"training": "train"}.get(part, part)
    samples = getattr(splits, name)
    labels = samples.labels.copy()
    labels[0] = (labels[0] + 1) % samples.n_classes
    changed = replace(splits, **{name: replace(samples, labels=labels)})
    with pytest.raises(CheckpointError, match=f"frames or labels of the {part} part are not those that the run began"):
        train(None, tmp_path / "cut", resume=True, data=changed)
    assert (tmp_path / "cut" / "last.pt").read_bytes() == before
    train(None, tmp_path / "cut", resume=True, data=splits)


def test_a_width_that_goes_by_accuracy_goes_on_where_it_was(tiny_recipe, tmp_path):
    trainer = tiny_recipe.trainer.model_copy(
        update={"sigma_schedule": "plateau", "sigma_patience": 1, "single_tap_epochs": 0.0, "epochs": 8, "lr": 1e-4}
    )
    recipe = tiny_recipe.model_copy(update={"trainer": trainer})
    train(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", reporter=Interrupts(7))
    # What the first six epochs left behind decides the width of the seventh.
    assert Checkpoint.load(tmp_path / "cut" / "last.pt").progress["sigma"]["width"] < 4
    train(None, tmp_path / "cut", resume=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")
    assert len({line["sigma"] for line in RunFolder(tmp_path / "cut").read_metrics()}) > 2


@pytest.mark.parametrize("rule", ["deep-r", "rigl", "rigl-signed"])
def test_a_rewired_run_resumes_to_the_same_bits(rule, tiny_recipe, tmp_path):
    (tmp_path / "recipe.toml").write_text(tiny_recipe.to_toml())
    recipe = load_recipe(
        str(tmp_path / "recipe.toml"),
        [f"model.rewiring={rule}", "model.sparsity=0.9", "trainer.l1=1e-4", "trainer.lr=0.1", "model.kernel_count=2"],
    )
    train(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", reporter=Interrupts(3))
    train(None, tmp_path / "cut", resume=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")
    assert any(sum(line["grown"].values()) > 0 for line in RunFolder(tmp_path / "whole").read_metrics()[2:])


def test_other_neurons_and_recurrence_resume_to_the_same_bits_and_record_what_moved(tmp_path):
    keys = [
        "model.neuron=plif", "model.recurrent=[true,false]", "model.delays_per=presynaptic", "model.hidden=[12,10]",
        "trainer.epochs=2", "trainer.batch_size=256", "data.validation_fraction=0.5", "model.dropout=0",
    ]  # fmt: skip
    recipe = load_recipe("digits", keys)
    train(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", reporter=Interrupts(2))
    train(None, tmp_path / "cut", resume=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")
    first, _ = RunFolder(tmp_path / "whole").read_metrics()
    assert list(first["tau"]) == ["hidden1", "hidden2", "readout"]
    assert all(0.001 < abs(tau - 2.0) < 0.5 for tau in first["tau"].values())
    assert all(moved > 0 for name, moved in first["delay_moved"].items())
    assert list(first["delay_moved"]) == ["hidden1", "hidden2", "readout", "hidden1-recurrent"]


def test_learning_happens_and_the_run_folder_is_complete(tmp_path):
    recipe = load_recipe("digits", ["model.hidden=[48]", "trainer.epochs=20", "trainer.time_jitter=0"])
    summary = train(recipe, tmp_path / "run")
    metrics = RunFolder(tmp_path / "run").read_metrics()
    assert [line["epoch"] for line in metrics] == list(range(1, 21))
    assert metrics[-1]["train_loss"] < 0.5 * metrics[0]["train_loss"]
    assert metrics[0]["delay_moved"]["hidden1"] > 0
    assert metrics[-1]["sigma"] is None
    assert summary["test_accuracy_rounded"] > 0.75
    assert "honest" in summary["protocol"]
    names = {entry.name for entry in (tmp_path / "run").iterdir()}
    assert names == {
        ".lock",
        "recipe.toml",
        "environment.json",
        "class_names.json",
        "metrics.jsonl",
        "tensorboard",
        "best.pt",
        "last.pt",
        "summary.json",
    }
    best = max(metrics, key=lambda line: (line["validation_accuracy"], -line["validation_loss"]))
    assert summary["best_epoch"] == best["epoch"] == Checkpoint.load(tmp_path / "run" / "best.pt").epoch
    assert json.loads((tmp_path / "run" / "environment.json").read_text())["seed"] == 0


def test_the_papers_protocol_validates_on_test_and_states_it(tiny_recipe, tmp_path):
    recipe = tiny_recipe.model_copy(update={"protocol": "paper"})
    summary = train(recipe, tmp_path / "run")
    assert "on the test set" in summary["protocol"]
    assert "test part itself" in summary["split"]
    assert summary["validation_accuracy"] == pytest.approx(summary["test_accuracy_rounded"])


@pytest.mark.parametrize("override", ["model.delays=fixed-random", "model.delays=none", "model.delays=dense",
                                      "model.max_delay=0", "model.interpolation=triangle",
                                      "model.interpolation=laplace", "trainer.sigma_schedule=constant",
                                      "model.timing=paper"])  # fmt: skip
def test_delays_move_where_they_are_learned(override, tiny_recipe, tmp_path):
    values = tiny_recipe.to_toml()
    (tmp_path / "recipe.toml").write_text(values)
    recipe = load_recipe(str(tmp_path / "recipe.toml"), ["trainer.epochs=2", override])
    before_and_after = []

    class Watches(Reporter):
        def begin(self, recipe, data, model, epochs_done):
            before_and_after.append(model.hidden[0].synapses.delay.detach().clone())
            self.model = model

        def end(self, summary):
            before_and_after.append(self.model.hidden[0].synapses.delay.detach().clone())

    train(recipe, tmp_path / "run", reporter=Watches())
    moved = not torch.equal(*before_and_after)
    assert moved == recipe.model.learns_delays


def test_training_leaves_the_process_as_it_was(tiny_recipe, tmp_path):
    threads = torch.get_num_threads()
    smallest = torch.tensor([1e-40])
    train(
        tiny_recipe.model_copy(update={"trainer": tiny_recipe.trainer.model_copy(update={"epochs": 1})}), tmp_path / "a"
    )
    assert torch.get_num_threads() == threads
    assert (smallest / 2).item() > 0, "denormal numbers are back"


def test_a_run_is_not_overwritten(tiny_recipe, tmp_path):
    train(tiny_recipe, tmp_path / "run")
    with pytest.raises(CheckpointError, match="a run is there already"):
        train(tiny_recipe, tmp_path / "run")
    with pytest.raises(CheckpointError, match="no run to resume"):
        train(None, tmp_path / "none", resume=True)


def test_missing_data_leaves_no_folder_behind(tiny_recipe, tmp_path):
    recipe = tiny_recipe.model_copy(
        update={"data": tiny_recipe.data.model_copy(update={"source": str(tmp_path / "x")})}
    )
    with pytest.raises(DataError, match="no such data"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_diverging_run_ends_in_an_error(tiny_recipe, tmp_path):
    trainer = tiny_recipe.trainer.model_copy(update={"lr": 1e30, "lr_schedule": "constant", "epochs": 30})
    model = tiny_recipe.model.model_copy(update={"batch_norm": False})
    with pytest.raises(RecipeError, match=r"the loss is NaN; lower trainer\.lr"):
        train(tiny_recipe.model_copy(update={"trainer": trainer, "model": model}), tmp_path / "run")


@pytest.fixture
def worse_each_epoch(monkeypatch):
    """Validation that finds the first epoch best, and each one after it worse."""
    right = [10_000]

    def evaluated(model, frames, labels, batch_size, sigma=None):
        right[0] -= 1
        predictions = np.where(np.arange(len(labels)) < right[0] - 9_900, labels.numpy(), -1)
        return Evaluation(1.0, predictions, labels.numpy(), (0.0,) * len(model.config.hidden))

    monkeypatch.setattr(loop, "evaluate", evaluated)


@pytest.mark.parametrize(
    ("settings", "best"),
    [
        (["trainer.single_tap_epochs=0.5"], 5),
        (["trainer.single_tap_epochs=0"], 3),  # sigma has its final width after a quarter of the epochs
        (["trainer.single_tap_epochs=0", "trainer.sigma_schedule=constant"], 1),
        (["trainer.single_tap_epochs=0", "trainer.sigma_schedule=plateau", "trainer.sigma_patience=9"], 8),
        (["trainer.single_tap_epochs=0", "trainer.quantize=loihi2", "trainer.quantize_epochs=0.25"], 7),
        (["trainer.single_tap_epochs=0", "model.delays=dense"], 1),
    ],
)
def test_the_best_epoch_is_one_with_the_final_width(settings, best, tmp_path, worse_each_epoch):
    common = ["model.hidden=[12,10]", "trainer.epochs=8", "trainer.batch_size=256", "data.validation_fraction=0.5"]
    summary = train(load_recipe("digits", [*common, *settings]), tmp_path / "run")
    assert summary["best_epoch"] == Checkpoint.load(tmp_path / "run" / "best.pt").epoch == best
    assert all("above chance" in warning for warning in summary["warnings"])  # as of any training that short


def test_where_no_epoch_has_the_final_width_the_last_one_counts_with_a_warning(tiny_recipe, tmp_path, worse_each_epoch):
    trainer = tiny_recipe.trainer.model_copy(update={"single_tap_epochs": 0.0, "sigma_epochs": 1.0})
    recipe = tiny_recipe.model_copy(update={"trainer": trainer})
    summary = train(recipe, tmp_path / "run")
    assert summary["best_epoch"] == Checkpoint.load(tmp_path / "run" / "best.pt").epoch == 4
    (warning,) = [one for one in summary["warnings"] if "above chance" not in one]
    assert "the last epoch, which was chosen, has sigma 0.47" in warning
    assert "no epoch has reached the final width of taps that the recipe sets" in warning
    assert warning.endswith("; train with a smaller trainer.sigma_epochs (now 1.0)")
    assert RunFolder(tmp_path / "run").read_summary() == summary


@pytest.mark.parametrize(
    ("settings", "missing", "way"),
    [
        (
            ["single_tap_epochs=0.5"],
            "the single taps that the recipe ends on, from epoch 5 on",
            "train to a later trainer.last_epoch (now 2 of 8)",
        ),
        (
            ["single_tap_epochs=0", "sigma_schedule=plateau"],
            "the final width of taps that the recipe sets",
            "train to a later trainer.last_epoch (now 2 of 8)",
        ),
        (
            ["single_tap_epochs=0", "sigma_epochs=0.5"],
            "the final width of taps that the recipe sets",
            "train to a later trainer.last_epoch (now 2 of 8), or with a smaller trainer.sigma_epochs (now 0.5)",
        ),
        (
            ["single_tap_epochs=0", "sigma_schedule=linear", "sigma_epochs=1"],
            "the final width of taps that the recipe sets",
            "train with a smaller trainer.sigma_epochs (now 1.0)",
        ),
        (
            ["single_tap_epochs=0", "sigma_epochs=1", "last_epoch=1"],
            "the final width of taps that the recipe sets",
            "train to a later trainer.last_epoch (now 1 of 8) and with a smaller trainer.sigma_epochs (now 1.0)",
        ),
        (
            ["single_tap_epochs=0", "sigma_epochs=1", "epochs=1", "last_epoch=1"],
            "the final width of taps that the recipe sets",
            "train for more epochs (now 1) and with a smaller trainer.sigma_epochs (now 1.0)",
        ),
        (  # 0.3 of more epochs are whole ones, on single taps
            ["single_tap_epochs=0.3", "sigma_epochs=1", "epochs=1", "last_epoch=1"],
            "the final width of taps that the recipe sets",
            "train for more epochs (now 1)",
        ),
    ],
)
def test_what_no_epoch_has_reached_is_named_with_the_way_to_it(settings, missing, way, tmp_path):
    changes = dict(setting.split("=") for setting in ("epochs=8", "last_epoch=2", "batch_size=512", *settings))
    recipe = load_recipe("digits", ["model.hidden=[6]", *(f"trainer.{key}={value}" for key, value in changes.items())])
    (warning,) = [one for one in train(recipe, tmp_path / "run")["warnings"] if "above chance" not in one]
    sigma = Checkpoint.load(tmp_path / "run" / "best.pt").sigma
    chosen = f"the last epoch, which was chosen, has sigma {sigma:.3g}, so that"
    assert f"no epoch has reached {missing}: {chosen}" in warning
    assert warning.endswith(f"may cost accuracy; {way}")
    assert warning in train(None, tmp_path / "run", resume=True)["warnings"]


def test_movement_is_that_of_the_delays_whose_taps_exist(tmp_path):
    settings = ["model.hidden=[12]", "model.sparsity=0.9", "trainer.epochs=1", "trainer.batch_size=256"]
    recipe = load_recipe("digits", settings)
    train(recipe, tmp_path / "run")
    saved = Checkpoint.load(tmp_path / "run" / "last.pt")
    before, after = initial_network(recipe, 64, 10), saved.float_network()
    (line,) = RunFolder(tmp_path / "run").read_metrics()
    for name, one, other in zip(after.layer_names(), before.delayed_layers(), after.delayed_layers(), strict=True):
        moved = (one.delay - other.delay).abs().detach()
        assert float(moved[~one.mask].max()) == 0
        assert line["delay_moved"][name] == pytest.approx(float(moved[one.mask].mean()), rel=1e-6)


class TwoOfOne(Team):
    """The first of two processes, without the other."""

    def joined(self, model, all_learn=True):
        return model

    def sum(self, values):
        return values

    def gather(self, value):
        return [value]

    def wait(self):
        pass


def test_callbacks_get_no_share_of_a_batchs_loss_for_its_mean(tiny_recipe, tmp_path, monkeypatch):
    class Losses(Reporter):
        def __init__(self):
            self.seen = []

        def batch(self, epoch, index, count, loss):
            self.seen.append(loss)

    alone, together = Losses(), Losses()
    recipe = tiny_recipe.model_copy(update={"trainer": tiny_recipe.trainer.model_copy(update={"last_epoch": 1})})
    train(recipe, tmp_path / "one", reporter=alone)
    monkeypatch.setattr(loop, "team", lambda device: nullcontext(TwoOfOne(0, 2)))
    train(recipe, tmp_path / "two", reporter=together)
    assert len(alone.seen) == len(together.seen) == 3
    assert all(isinstance(loss, float) for loss in alone.seen)
    assert set(together.seen) == {None}


@pytest.mark.parametrize("epoch", [2, 3, 4])
def test_a_resumed_run_knows_whether_its_best_epoch_had_the_final_width(epoch, tiny_recipe, tmp_path):
    trainer = tiny_recipe.trainer.model_copy(update={"single_tap_epochs": 0.5})
    recipe = tiny_recipe.model_copy(update={"trainer": trainer})
    train(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", reporter=Interrupts(epoch))
    # As earlier versions wrote it, that chose among all epochs: it is worked out from the schedule.
    path = tmp_path / "cut" / "last.pt"
    content = torch.load(path, weights_only=True)
    content["progress"].pop("final")
    content["progress"]["sigma"] = {}
    path.write_bytes(signed_archive(content))
    train(None, tmp_path / "cut", resume=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")


class Spoils(Reporter):
    """Puts NaN into one number of the model after the last batch of the second epoch."""

    def __init__(self, name):
        self.name = name

    def begin(self, recipe, data, model, epochs_done):
        self.model = model

    @torch.no_grad()
    def batch(self, epoch, index, count, loss):
        if (epoch, index) == (2, count):
            self.model.state_dict()[self.name].flatten()[3] = float("nan")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hidden.0.synapses.weight", r"layer hidden1: synapses\.weight has 1 of 768 values"),
        ("hidden.1.synapses.delay", r"layer hidden2: synapses\.delay has 1 of 120 values"),
        ("hidden.1.norm.running_var", r"layer hidden2: norm\.running_var has 1 of 10 values"),
        ("readout.weight", r"layer readout: weight has 1 of 100 values"),
    ],
)
def test_nan_in_a_layer_is_found_before_anything_is_saved(name, words, tiny_recipe, tmp_path):
    class Keeps(Spoils):
        def epoch(self, metrics, is_best):
            self.saved = [path.read_bytes() for path in (run.best, run.last, run.metrics)]

    run, reporter = RunFolder(tmp_path / "run"), Keeps(name)
    with pytest.raises(RecipeError, match=rf"diverged in epoch 2: {words} .* lower trainer\.lr .* are kept$"):
        train(tiny_recipe, run.path, reporter=reporter)
    assert [path.read_bytes() for path in (run.best, run.last, run.metrics)] == reporter.saved


def test_an_unusable_device_is_named(tiny_recipe, tmp_path):
    recipe = tiny_recipe.model_copy(update={"trainer": tiny_recipe.trainer.model_copy(update={"device": "warp"})})
    with pytest.raises(RecipeError, match=r"trainer\.device: 'warp'"):
        train(recipe, tmp_path / "run")
