"""Rewiring against plain loops: what falls, what is grown, and what must never change."""

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import plain
from torch.nn import functional

from delaytool.errors import ModelError, RecipeError
from delaytool.models.config import ModelConfig
from delaytool.models.connectivity import n_connections
from delaytool.models.delay_network import DelayNetwork, class_scores
from delaytool.trainer.data import Part
from delaytool.trainer.optimizers import Optimizers
from delaytool.trainer.parallel import Team
from delaytool.trainer.recipe import TrainerConfig, load_recipe
from delaytool.trainer.rewiring import GROWN_THETA, by_rank, by_selection, choose, growth_score, rewire
from delaytool.trainer.step import RecordedStep, make_step

RULES = ["deep-r", "rigl", "rigl-signed"]
seeds = st.integers(0, 2**31)


def few_values(shape, values=5):
    """Random numbers among few, so that there are many ties."""
    return torch.randint(-values, values, shape).float()


@pytest.mark.parametrize("highest", [by_selection, by_rank])
@given(seed=seeds, n=st.integers(1, 40), data=st.data())
def test_the_highest_are_as_many_as_asked_for(highest, seed, n, data):
    torch.manual_seed(seed)
    score, count = few_values((n,)), torch.tensor(data.draw(st.integers(0, n)))
    chosen = highest(score, count)
    assert sorted(score[chosen].tolist()) == sorted(score.tolist())[n - int(count) :]


@given(seed=seeds, n=st.integers(1, 40), data=st.data())
def test_choice_is_that_of_a_sorted_list(seed, n, data):
    torch.manual_seed(seed)
    score, candidates = few_values((n,)), torch.rand(n) < 0.6
    count = data.draw(st.integers(0, int(candidates.sum())))
    chosen = choose(score, candidates, torch.tensor(count))
    assert int(chosen.sum()) == count
    assert not bool((chosen & ~candidates).any())
    ranked = sorted((float(score[place]) for place in range(n) if candidates[place]), reverse=True)
    assert sorted(score[chosen].tolist(), reverse=True) == ranked[:count]


def test_ties_are_broken_at_random_and_evenly():
    torch.manual_seed(0)
    score = torch.tensor([2.0, 1.0, 1.0, 1.0, 1.0, 0.0, 3.0])
    candidates = torch.tensor([True] * 6 + [False])
    drawn = sum(choose(score, candidates, torch.tensor(3)).int() for _ in range(400))
    assert drawn[0] == 400
    assert drawn[5] == drawn[6] == 0
    assert all(150 < int(count) < 250 for count in drawn[1:5]), drawn


def test_the_signed_rule_grows_where_theta_would_rise_and_the_plain_one_where_the_gradient_is_large():
    sign = torch.tensor([1, -1, 1, -1], dtype=torch.int8)
    grad = torch.tensor([-1.0, 2.0, 3.0, -4.0])  # by the weight; by theta: -1, -2, 3, 4
    assert growth_score(grad, sign, "rigl-signed").tolist() == [1.0, 2.0, -3.0, -4.0]
    assert growth_score(grad, sign, "rigl").tolist() == [1.0, 2.0, 3.0, 4.0]
    assert len(set(growth_score(grad, sign, "deep-r").tolist())) == 1
    with pytest.raises(ModelError, match="rewiring 'none' does not say where taps grow"):
        growth_score(grad, sign, "none")


@given(seed=seeds, shape=st.tuples(*[st.integers(1, 5)] * 3), sparsity=st.floats(0, 0.99))
def test_as_many_are_grown_as_fell_and_signs_stay(seed, shape, sparsity):
    torch.manual_seed(seed)
    sign = torch.randint(0, 2, shape).mul(2).sub(1).to(torch.int8)
    n_existing = n_connections(sign.numel(), sparsity)
    existed = torch.zeros(sign.numel(), dtype=torch.bool)
    existed[torch.randperm(sign.numel())[:n_existing]] = True
    existed = existed.view(shape)
    weight = torch.where(existed, torch.randn(shape), 0.0)  # after a step: about half have crossed zero
    before, score = weight.clone(), few_values(shape)
    survives, grown = rewire(weight, sign, existed, score, n_existing)
    theta = sign * weight
    assert int((theta > 0).sum()) == n_existing
    assert bool((theta >= 0).all())
    fell = existed & (sign * before <= 0)
    assert int(grown.sum()) == int(fell.sum())
    assert torch.equal(weight[survives], before[survives])
    assert torch.equal(theta[grown], torch.full_like(theta[grown], GROWN_THETA))
    candidates = sorted(score[~survives].tolist(), reverse=True)
    assert sorted(score[grown].tolist(), reverse=True) == candidates[: int(grown.sum())]


def trained(config, trainer, epochs=3, make=None, watch=lambda step, model: None):
    """A small network through a few epochs of the trainer's own steps."""
    torch.manual_seed(0)
    frames = torch.poisson(torch.full((28, 10, 6), 0.4)).to(torch.uint8)
    part = Part(frames, torch.randint(0, 4, (28,)))
    model = DelayNetwork(6, 4, config)
    model.sigma = 1.5
    optimizers = Optimizers(model, trainer)
    step = (make or make_step)(model, optimizers, part, trainer, Team())
    for epoch in range(epochs):
        torch.manual_seed(epoch)
        step.begin_epoch()
        for chosen in torch.randperm(28).split(8):
            step.run(chosen)
            watch(step, model)
    return model


@settings(max_examples=20)
@given(
    rule=st.sampled_from(RULES), sparsity=st.sampled_from([0.0, 0.5, 0.9, 0.998]), dale=st.booleans(),
    delays=st.sampled_from(["learned", "fixed-random", "dense"]), taps=st.integers(1, 4),
    l1=st.sampled_from([0.0, 0.01]),
)  # fmt: skip
def test_training_keeps_the_number_of_taps_and_their_signs(rule, sparsity, dale, delays, taps, l1):
    config = ModelConfig(hidden=(12, 9), max_delay=5, kernel_count=taps, sparsity=sparsity, rewiring=rule, dale=dale,
                         delays=delays)  # fmt: skip
    signs, starting_delays = [], []

    def watch(step, model):
        layers = model.delayed_layers()
        if not signs:
            signs.extend(layer.sign.clone() for layer in layers)
            starting_delays.extend(layer.delay.detach().clone() for layer in layers)
        for layer, sign, delay in zip(layers, signs, starting_delays, strict=True):
            theta = sign * layer.weight.detach()
            assert torch.equal(layer.sign, sign)
            assert bool((theta >= 0).all())
            assert int((theta > 0).sum()) == n_connections(theta.numel(), sparsity)
            if dale:
                assert bool((layer.weight.detach().sign() * sign[:1, :, :1] >= 0).all())
            if delays != "learned":
                assert torch.equal(layer.delay.detach(), delay)
            idle = (theta == 0) | (theta == torch.tensor(GROWN_THETA))
            for parameter in (layer.weight, layer.delay):
                for moment in step.optimizers.moments(parameter):
                    assert bool((moment[idle] == 0).all()), "what is not there, or new, has no moments"

    trained(config, TrainerConfig(epochs=3, batch_size=8, lr=0.05, l1=l1), watch=watch)


@pytest.mark.parametrize("rule", RULES)
def test_taps_do_fall_and_grow(rule):
    config = ModelConfig(hidden=(12, 9), max_delay=5, sparsity=0.7, rewiring=rule)
    steps = []
    trained(config, TrainerConfig(epochs=3, batch_size=8, lr=0.05, l1=0.01), watch=lambda step, _: steps.append(step))
    counts = steps[-1].rewiring.grown()
    assert list(counts) == ["hidden1", "hidden2", "readout"]
    assert all(count > 0 for count in counts.values())
    assert set(steps[-1].rewiring.grown().values()) == {0}, "since it was last asked"


def test_a_layer_that_is_left_whole_is_not_rewired_beside_others():
    config = ModelConfig(hidden=(12, 9), max_delay=5, sparsity=(0.7, 0.5, 0.0), rewiring="deep-r", dale=True)
    seen = []

    def watch(step, model):
        seen.append(step.rewiring)
        *rewired, whole = model.delayed_layers()
        for layer, share in zip(rewired, (0.7, 0.5), strict=True):
            assert int(layer.exists().sum()) == n_connections(layer.weight.numel(), share)
        assert whole.sign is None
        assert bool(whole.exists().all())

    trained(config, TrainerConfig(epochs=3, batch_size=8, lr=0.05, l1=0.01), watch=watch)
    counts = seen[-1].grown()
    assert list(counts) == ["hidden1", "hidden2"]
    assert all(count > 0 for count in counts.values())


def test_a_mask_drawn_once_never_changes():
    config = ModelConfig(hidden=(12, 9), max_delay=5, kernel_count=2, sparsity=0.8)
    masks = []

    def watch(step, model):
        if not masks:
            masks.extend(layer.mask.clone() for layer in model.delayed_layers())
        for layer, mask in zip(model.delayed_layers(), masks, strict=True):
            assert torch.equal(layer.mask, mask)
            assert bool((layer.weight.detach()[~mask] == 0).all())

    trained(config, TrainerConfig(epochs=3, batch_size=8, lr=0.05, weight_decay=1e-3), watch=watch)


@pytest.mark.parametrize("rule", RULES)
def test_a_recorded_step_rewires_as_one_launched_by_one(rule):
    config = ModelConfig(hidden=(12, 9), max_delay=5, dropout=0.3, sparsity=0.7, rewiring=rule)
    trainer = TrainerConfig(epochs=3, batch_size=8, lr=0.05, l1=0.01)

    def recorded(model, optimizers, part, config, team):
        return RecordedStep(model, optimizers, part, config, team, lambda work: work)

    one, other = trained(config, trainer), trained(config, trainer, make=recorded)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name]), name


class InTheta:
    """The paper's method as it is written: parameters theta, loops over taps, for one network and rule."""

    def __init__(self, model, rule, trainer):
        self.model, self.rule, self.trainer = model, rule, trainer
        self.layers = model.delayed_layers()
        self.signs = [layer.sign.double() for layer in self.layers]
        both = zip(self.layers, self.signs, strict=True)
        self.theta = [(sign * layer.weight.detach()).requires_grad_() for layer, sign in both]
        self.wanted = [int((theta > 0).sum()) for theta in self.theta]
        self.adam = torch.optim.Adam(
            [*self.theta, *(p for name, p in model.named_parameters() if "norm" in name)], lr=trainer.lr
        )

    def step(self, frames, labels, sigma):
        self.adam.zero_grad()
        for layer, sign, theta in zip(self.layers, self.signs, self.theta, strict=True):
            layer.weight = None
            layer.weight = torch.nn.Parameter((sign * theta).detach())
        scores = class_scores(plain.forward(self.model, frames, sigma))
        functional.cross_entropy(scores, labels).backward()
        dense = []
        for layer, sign, theta in zip(self.layers, self.signs, self.theta, strict=True):
            exists = theta.detach() > 0
            dense.append(sign * layer.weight.grad + self.trainer.l1 * exists)
            theta.grad = dense[-1] * exists
        self.adam.step()
        for theta, gradient, wanted in zip(self.theta, dense, self.wanted, strict=True):
            self.rewired(theta.detach().view(-1), gradient.view(-1), wanted, theta)

    def rewired(self, theta, gradient, wanted, parameter):
        moments = [self.adam.state[parameter][name].view(-1) for name in ("exp_avg", "exp_avg_sq")]
        free = [place for place in range(len(theta)) if theta[place] <= 0]
        for place in free:
            theta[place] = 0.0
            for moment in moments:
                moment[place] = 0.0
        order = (lambda place: -abs(gradient[place])) if self.rule == "rigl" else (lambda place: gradient[place])
        for place in sorted(free, key=order)[: wanted - (len(theta) - len(free))]:
            theta[place] = GROWN_THETA


@pytest.mark.parametrize("rule", ["rigl", "rigl-signed"])
def test_training_equals_the_papers_loops_over_theta(rule):
    config = ModelConfig(
        hidden=(7,),
        max_delay=4,
        kernel_count=3,
        delays="fixed-random",
        sparsity=0.6,
        rewiring=rule,
        convolution="direct",
    )
    trainer = TrainerConfig(epochs=6, batch_size=8, lr=0.05, lr_schedule="constant", weight_decay=0, l1=0.01)
    torch.manual_seed(0)
    frames, labels = torch.poisson(torch.full((8, 10, 6), 0.6)), torch.randint(0, 4, (8,))
    torch.manual_seed(1)
    ours = DelayNetwork(6, 4, config).double()
    ours.sigma = None
    torch.manual_seed(1)
    reference = InTheta(DelayNetwork(6, 4, config).double(), rule, trainer)
    step = make_step(ours, Optimizers(ours, trainer), Part(frames, labels), trainer, Team())
    for _ in range(8):
        step.run(torch.arange(8))
        reference.step(frames, labels, None)
        for layer, sign, theta in zip(ours.delayed_layers(), reference.signs, reference.theta, strict=True):
            # Adam divides by a gradient's own size, so where the gradient nearly cancels L1 the last bits weigh more.
            torch.testing.assert_close(sign * layer.weight.detach(), theta.detach(), rtol=1e-4, atol=1e-13)
    assert sum(step.rewiring.grown().values()) > 10, "a test of nothing, otherwise"


@pytest.mark.parametrize(
    ("override", "text"),
    [
        (["model.dale=true"], "model.dale: true needs taps of fixed sign"),
        (["model.rewiring=rigl", "model.delays=fixed", "model.max_delay=3", "model.kernel_count=5"],
         "model.kernel_count: 5 fixed candidate delays per synapse are more than the 4"),
        (["model.sparsity=1"], "model.sparsity"),
        (["model.rewiring=set"], "model.rewiring"),
    ],
)  # fmt: skip
def test_impossible_structure_is_one_line(override, text):
    with pytest.raises(RecipeError) as caught:
        load_recipe("digits", override)
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_recipes_of_the_page_are_recipes(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "methods" / "structure.md").read_text()
    recipes = re.findall(r"^```toml\n(extends = .*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    assert len(recipes) == 3
    seen = []
    for recipe in recipes:
        (tmp_path / "recipe.toml").write_text(recipe)
        model = load_recipe(str(tmp_path / "recipe.toml")).model
        assert model.sparsity > 0
        seen.append((model.rewiring, model.distinct_delays))
    assert seen == [("none", False), ("rigl-signed", False), ("rigl-signed", True)]
