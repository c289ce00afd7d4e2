"""The target for firing rates has the gradient of its formula, and pulls neurons into its band."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from delaytool.errors import RecipeError
from delaytool.hw_configs import load_target
from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork, class_scores
from delaytool.quantization.choose_training_scales import choose_training_scales
from delaytool.quantization.integer_training import IntegerTraining
from delaytool.runtime.backends.torch import run_layer
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import Part, load_data
from delaytool.trainer.loop import train
from delaytool.trainer.optimizers import Optimizers
from delaytool.trainer.parallel import Team
from delaytool.trainer.rate_target import firing_rates, rate_penalty
from delaytool.trainer.recipe import TrainerConfig, load_recipe
from delaytool.trainer.run_folder import RunFolder
from delaytool.trainer.step import RecordedStep, Step

MODEL = ModelConfig(hidden=(12, 9), max_delay=5, dropout=0.3, tau=1.5)
TRAINER = TrainerConfig(epochs=3, batch_size=8, rate_target=(2.0, 3.0), rate_weight=0.7)

rates = st.lists(st.floats(0, 50), min_size=1, max_size=20)


@given(rates, st.floats(0, 20), st.floats(0, 20))
@settings(deadline=None)
def test_the_penalty_and_its_gradient_are_those_of_the_formula(rates, lower, width):
    upper = lower + width
    given = torch.tensor(rates, dtype=torch.float64, requires_grad=True)
    penalty = rate_penalty(given, lower, upper)
    penalty.backward()
    distances = [rate - upper if rate > upper else rate - lower if rate < lower else 0.0 for rate in rates]
    assert penalty.item() == pytest.approx(sum(distance**2 for distance in distances) / len(rates))
    assert given.grad.tolist() == pytest.approx([2 * distance / len(rates) for distance in distances])


def example(dtype=torch.float64):
    torch.manual_seed(0)
    frames = torch.poisson(torch.full((28, 10, 6), 0.4)).to(torch.uint8)
    part = Part(frames, torch.randint(0, 4, (28,)))
    model = DelayNetwork(6, 4, MODEL).to(dtype)
    model.sigma = 1.0
    return model, part


def test_a_step_has_the_gradient_of_the_loss_with_the_penalty():
    model, part = example()
    chosen = torch.tensor([3, 1, 20, 27, 5])
    plain = copy.deepcopy(model)
    torch.manual_seed(7)
    spikes, membrane = plain.traced(part.frames[chosen])
    loss = functional.cross_entropy(class_scores(membrane), part.labels[chosen])
    penalty = 0.0
    neurons = [layer[:, :, neuron] for layer in spikes for neuron in range(layer.shape[2])]
    for neuron in neurons:
        rate = neuron.sum() / len(chosen)
        penalty = penalty + (2.0 - rate).clamp(min=0) ** 2 + (rate - 3.0).clamp(min=0) ** 2
    penalty = penalty / len(neurons)
    (loss + 0.7 * penalty).backward()
    assert penalty.item() > 0.1
    step = Step(model, Optimizers(model, TRAINER), part, TRAINER, Team())
    torch.manual_seed(7)
    shown, _ = step.run(chosen)
    assert shown.item() == pytest.approx(loss.item())  # without the penalty
    assert step.take_rate_penalties() == pytest.approx(5 * penalty.item(), rel=1e-6)
    assert step.take_rate_penalties() == 0
    for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        if other.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-9, atol=1e-12, msg=name)


def test_the_shares_of_several_processes_have_the_gradient_of_one():
    """Each process knows all spikes' sum, and its gradient is its share's; the mean over processes is the batch's."""

    class TeamOfTwo:
        size = 2

        def __init__(self, total):
            self.total = total

        def sum(self, values):
            return values.copy_(self.total)

    torch.manual_seed(0)
    spikes = [torch.rand(7, 6, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    whole = rate_penalty(firing_rates(spikes, 6, Team()), 2.0, 3.0)
    expected = torch.autograd.grad(whole, spikes)
    team = TeamOfTwo(torch.cat([layer.detach().sum((0, 1)) for layer in spikes]) / 6)
    shares = []
    for rows in (slice(0, 2), slice(2, 6)):
        penalty = rate_penalty(firing_rates([layer[:, rows] for layer in spikes], 6, team), 2.0, 3.0)
        assert penalty.item() == pytest.approx(whole.item())
        shares.append(torch.autograd.grad(team.size * penalty, spikes))
    for one, other, both in zip(*shares, expected, strict=True):
        torch.testing.assert_close((one + other) / 2, both)


def test_a_recorded_step_has_the_same_penalties_and_weights():
    def record(work):
        return work

    def trained(make):
        model, part = example(torch.float32)
        step = make(model, Optimizers(model, TRAINER), part, TRAINER, Team())
        penalties = []
        for epoch in range(3):
            torch.manual_seed(epoch)
            step.begin_epoch()
            for chosen in torch.randperm(28).split(8):
                step.run(chosen)
            penalties.append(step.take_rate_penalties())
        return penalties, model.state_dict()

    launched = trained(Step)
    recorded = trained(lambda *parts: RecordedStep(*parts, record))
    assert recorded[0] == launched[0]
    assert all(penalty > 0 for penalty in launched[0])
    for name, tensor in launched[1].items():
        assert torch.equal(tensor, recorded[1][name]), name


SMALL = ["model.hidden=[16]", "trainer.epochs=4", "trainer.lr=0.02", "trainer.threads=1"]


def rates_of(run, recipe):
    """Mean spikes per training sample of each hidden neuron, with rounded delays."""
    saved = Checkpoint.load(run.last)
    data = load_data(recipe, saved.encoding)
    model = DelayNetwork(data.encoding.n_channels, data.n_classes, recipe.model)
    model.load_state_dict(saved.model)
    with torch.no_grad():
        spikes, _ = model.eval().traced(data.train.frames)
    return spikes[0].sum(0).mean(0)


def test_neurons_are_pulled_into_the_band_from_both_sides(tmp_path):
    inside = {}
    for name, band in (("none", []), ("few", [0.2, 0.6]), ("many", [4, 6])):
        more = [f"trainer.rate_target={band}", "trainer.rate_weight=10"] if band else []
        recipe = load_recipe("digits", [*SMALL, *more])
        train(recipe, tmp_path / name)
        inside[name] = rates_of(RunFolder(tmp_path / name), recipe)
        metrics = RunFolder(tmp_path / name).read_metrics()
        assert all(("rate_penalty" in line) == bool(band) for line in metrics)
        if band:
            assert metrics[-1]["rate_penalty"] < 0.5 * metrics[0]["rate_penalty"]
    assert inside["few"].max() < 1.2 < inside["none"].mean() < 3.5 < inside["many"].min()


def test_training_through_integers_has_the_gradient_too():
    plain = ["model.dropout=0", "trainer.channel_dropout=0", "trainer.time_jitter=0"]
    recipe = load_recipe("digits", [*SMALL, *plain, "trainer.rate_target=[1, 2]"])
    data = load_data(recipe)
    torch.manual_seed(0)
    model = DelayNetwork(data.encoding.n_channels, data.n_classes, recipe.model)
    model.sigma = None
    scales = choose_training_scales(
        model, data.encoding, load_target("loihi2"), data.train.frames[:64].numpy(), run_layer
    )
    integers = IntegerTraining(model, scales)
    step = Step(model, Optimizers(model, recipe.trainer), data.train, recipe.trainer, Team())
    step.train_through(integers)
    chosen = torch.arange(16)
    spikes, membrane = integers.traced(data.train.frames[chosen])
    loss = functional.cross_entropy(class_scores(membrane), data.train.labels[chosen])
    rates = spikes[0].sum(0).mean(0)
    penalty = ((1 - rates).clamp(min=0) ** 2 + (rates - 2).clamp(min=0) ** 2).mean()
    weights = [layer.weight for layer in model.delayed_layers()]
    expected = torch.autograd.grad(loss + recipe.trainer.rate_weight * penalty, weights)
    step.run(chosen)
    for weight, gradient in zip(weights, expected, strict=True):
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-4, atol=1e-6)


def test_impossible_bands_are_refused():
    for band in ("[3, 1]", "[-1, 4]", "[1]", "5"):
        with pytest.raises(RecipeError, match="rate_target"):
            load_recipe("digits", [f"trainer.rate_target={band}"])
    assert load_recipe("digits", ["trainer.rate_target=[1, 20]"]).trainer.rate_target == (1.0, 20.0)
    assert load_recipe("digits", ["trainer.rate_target=none"]).trainer.rate_target is None


def test_a_network_without_hidden_neurons_has_no_rates():
    with pytest.raises(RecipeError, match=r"trainer\.rate_target: \[1\.0, 2\.0\] is of hidden neurons, "):
        load_recipe("digits", ["model.hidden=[]", "trainer.rate_target=[1,2]"])
