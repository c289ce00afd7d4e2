"""The mean of the last epochs' networks, against plain sums of what each epoch ended with."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from interrupting import Interrupts
from torch import Tensor, nn

from delaytool.errors import CheckpointError, RecipeError
from delaytool.quantization.integer_training import IntegerTraining
from delaytool.trainer.batch_norm_statistics import refresh_statistics
from delaytool.trainer.checkpoint import Checkpoint, signed_archive
from delaytool.trainer.evaluation import evaluate
from delaytool.trainer.loop import train
from delaytool.trainer.parallel import Team
from delaytool.trainer.recipe import Recipe, load_recipe
from delaytool.trainer.reporter import Reporter
from delaytool.trainer.run_folder import RunFolder


def recipe_with(*overrides: str, **trainer: Any) -> Recipe:
    keys = {"epochs": 8, "batch_size": 512, "single_tap_epochs": 0, "average_epochs": 3, **trainer}
    common = ["model.hidden=[8,6]", "model.dropout=0", "data.validation_fraction=0.7"]
    return load_recipe("digits", [*common, *(f"trainer.{key}={value}" for key, value in keys.items()), *overrides])


class Keeps(Reporter):
    """Parameters and buffers of the trained network after each epoch, and the data."""

    def begin(self, recipe: Recipe, data: Any, model: nn.Module, epochs_done: int) -> None:
        self.model, self.data, self.states = model, data, []

    def epoch(self, metrics: dict[str, Any], is_best: bool) -> None:
        self.states.append(copy.deepcopy(self.model.state_dict()))


def mean_of(states: list[dict[str, Tensor]], name: str) -> Tensor:
    return torch.stack([state[name].double() for state in states]).mean(0)


def learned(state: dict[str, Tensor]) -> list[str]:
    return [name for name in state if "running" not in name and "num_batches" not in name]


@pytest.mark.parametrize("protocol", ["honest", "fixed"])
def test_it_is_the_mean_of_the_last_epochs_and_the_network_that_counts(protocol: str, tmp_path: Path) -> None:
    seen = Keeps()
    summary = train(recipe_with(f"protocol={protocol}"), tmp_path / "run", reporter=seen)
    last = Checkpoint.load(tmp_path / "run" / "last.pt")
    for name in learned(last.model):
        expected = mean_of(seen.states[-3:], name)
        torch.testing.assert_close(last.model[name].double(), expected, rtol=1e-5, atol=1e-6)
    assert last.training is not None
    assert all(torch.equal(last.training[name], seen.states[-1][name]) for name in seen.states[-1])
    delays = seen.states[-1]["hidden.0.synapses.delay"]
    assert not torch.equal(delays, last.model["hidden.0.synapses.delay"]), "delays moved, and were averaged"
    assert [line.get("averaged_epochs") for line in RunFolder(tmp_path / "run").read_metrics()] == [
        *[None] * 5, 1, 2, 3,
    ]  # fmt: skip
    # What was measured is that network, and so is what is exported.
    best = Checkpoint.load(tmp_path / "run" / "best.pt")
    test = seen.data.test
    assert evaluate(best.network(), test.frames, test.labels, 512).accuracy == summary["test_accuracy_rounded"]
    assert summary["averaged_epochs"] == best.progress["averaged"] == best.epoch - 5
    if protocol == "fixed":
        assert (summary["best_epoch"], summary["averaged_epochs"]) == (8, 3)


def test_delays_are_rounded_after_they_are_averaged(tmp_path: Path) -> None:
    """1.4, 1.4 and 2.0 average to 1.6, so to 2; the mean of the rounded ones would be 1.33, so 1."""
    seen = Keeps()
    train(recipe_with("protocol=fixed", delay_lr=1.0), tmp_path / "run", reporter=seen)
    network = Checkpoint.load(tmp_path / "run" / "best.pt").float_network()
    name = "hidden.0.synapses.delay"
    rounded_after = mean_of(seen.states[-3:], name).round()
    rounded_before = torch.stack([state[name].round().double() for state in seen.states[-3:]]).mean(0).round()
    assert not torch.equal(rounded_after, rounded_before), "the two orders differ here"
    assert torch.equal(network.hidden[0].synapses.delays.detach().round().double(), rounded_after)


def test_batch_norm_is_that_of_the_mean_on_the_training_part(tmp_path: Path) -> None:
    """One batch, so that the statistics do not depend on the draw of batches: mean and variance of what comes in."""
    seen = Keeps()
    train(recipe_with(batch_size=2000), tmp_path / "run", reporter=seen)
    network = Checkpoint.load(tmp_path / "run" / "last.pt").float_network()
    came_in: list[Tensor] = []
    layer = network.hidden[0]
    layer.norm.register_forward_hook(lambda _, inputs, out: came_in.append(inputs[0]))
    with torch.no_grad():
        network(seen.data.train.frames)
    (values,) = came_in
    torch.testing.assert_close(layer.norm.running_mean, values.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(layer.norm.running_var, values.var(0), rtol=1e-4, atol=1e-5)
    assert not torch.equal(layer.norm.running_mean, seen.states[-1]["hidden.0.norm.running_mean"])


def test_refreshed_statistics_are_the_plain_mean_over_batches() -> None:
    from delaytool.models.config import ModelConfig
    from delaytool.models.delay_network import DelayNetwork

    torch.manual_seed(0)
    model = DelayNetwork(5, 3, ModelConfig(hidden=(4,), max_delay=3, dropout=0.0))
    frames = (torch.rand(60, 12, 5) < 0.3).to(torch.uint8)
    layer, order = model.hidden[0], torch.randperm(60)
    for _ in range(2):  # a second time forgets the first
        refresh_statistics(model, frames, order, 25, Team())
    means = []
    with torch.no_grad():
        for chosen in order.split(25):
            x = frames[chosen].float().transpose(0, 1)
            means.append(layer.synapses(x, model.config.steps_of(0, 12), None).flatten(0, 1).mean(0))
    assert len(means) == 3
    torch.testing.assert_close(layer.norm.running_mean, torch.stack(means).mean(0))
    assert layer.norm.momentum == 0.1


@pytest.mark.parametrize(
    "options",
    [
        ["protocol=fixed", "model.dropout=0.3"],
        ["protocol=honest", "model.sparsity=0.5", "model.neuron=plif"],
        ["protocol=fixed", "trainer.single_tap_epochs=0.25"],
        ["protocol=fixed", "trainer.quantize=loihi2", "trainer.quantize_epochs=0.4"],
    ],
)
@pytest.mark.parametrize("cut_in", [6, 8])
def test_it_goes_on_to_the_same_bits(options: list[str], cut_in: int, tmp_path: Path) -> None:
    recipe = recipe_with(*options)
    train(recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "cut", reporter=Interrupts(cut_in))
    train(None, tmp_path / "cut", resume=True)
    for which in ("best.pt", "last.pt"):
        one, other = (Checkpoint.load(tmp_path / name / which) for name in ("whole", "cut"))
        assert one.progress == other.progress
        for name, tensor in one.model.items():
            assert torch.equal(tensor, other.model[name]), name
        for name, tensor in one.training.items():
            assert torch.equal(tensor, other.training[name]), name
    assert RunFolder(tmp_path / "whole").read_summary() == RunFolder(tmp_path / "cut").read_summary()


def test_training_itself_is_what_it_is_without(tmp_path: Path) -> None:
    train(recipe_with("model.dropout=0.3"), tmp_path / "with")
    train(recipe_with("model.dropout=0.3", average_epochs=0), tmp_path / "without")
    one, other = (Checkpoint.load(tmp_path / name / "last.pt") for name in ("with", "without"))
    assert other.training is None
    assert all(torch.equal(one.training[name], other.model[name]) for name in other.model)


def test_through_integers_only_their_epochs_count_and_batch_norm_stays(tmp_path: Path) -> None:
    seen = Keeps()
    recipe = recipe_with("protocol=fixed", quantize="loihi2", quantize_epochs=0.25, average_epochs=6)
    summary = train(recipe, tmp_path / "run", reporter=seen)
    best = Checkpoint.load(tmp_path / "run" / "best.pt")
    assert isinstance(best.network(), IntegerTraining)
    assert summary["averaged_epochs"] == 2
    assert any("only 2 of the last 6 of 8 epochs" in warning for warning in summary["warnings"])
    for name in learned(best.model):
        torch.testing.assert_close(best.model[name].double(), mean_of(seen.states[-2:], name), rtol=1e-5, atol=1e-6)
    for name in set(best.model) - set(learned(best.model)):
        assert torch.equal(best.model[name], seen.states[-1][name]), name


def test_masked_taps_stay_away(tmp_path: Path) -> None:
    train(recipe_with("protocol=fixed", "model.sparsity=0.6"), tmp_path / "run")
    network = Checkpoint.load(tmp_path / "run" / "best.pt").float_network()
    layer = network.hidden[0].synapses
    assert int((layer.connected_weight() != 0).sum()) <= int(layer.mask.sum()) == round(0.4 * layer.weight.numel())


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"average_epochs: 3 networks are not averaged with model\.rewiring 'rigl'"):
        recipe_with("model.rewiring=rigl", "model.sparsity=0.5")
    with pytest.raises(RecipeError, match=r"average_epochs: 9 epochs are more than trainer\.epochs 8"):
        recipe_with(average_epochs=9)


def test_a_checkpoint_with_nonsense_in_its_mean_is_refused(tmp_path: Path) -> None:
    train(recipe_with(epochs=2, average_epochs=1, sigma_schedule="constant"), tmp_path / "run")
    path = tmp_path / "run" / "last.pt"
    content = torch.load(path, weights_only=True)
    for change, words in (
        ({"training": 3}, "training is 3, not None or tensors by name"),
        ({"training": {"x": torch.tensor([float("nan")])}}, "x has 1 values that are NaN"),
        ({"progress": {**content["progress"], "averaged": -1}}, "progress.averaged is -1"),
    ):
        path.write_bytes(signed_archive({**content, **change}))
        with pytest.raises(CheckpointError, match=words):
            Checkpoint.load(path)
