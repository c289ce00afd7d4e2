"""Widths over the epochs, each schedule against its formula."""

import math

import pytest
from torch import nn

from delaytool.errors import ModelError
from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import delayed_linear
from delaytool.models.delayed_linear import UNSET, DelayedLinear
from delaytool.trainer.recipe import Recipe, TrainerConfig
from delaytool.trainer.sigma_schedules import SigmaSchedule


def schedule_of(epochs=40, model=None, **trainer):
    """Of a recipe; any module with such a layer will do."""
    config = ModelConfig(**{"max_delay": 24, **(model or {})})
    recipe = Recipe(model=config, trainer=TrainerConfig(epochs=epochs, **trainer))
    return SigmaSchedule.of_recipe(recipe, delayed_linear(2, 2, config.synapses))


def seen(schedule, accuracies=()):
    """(sigma, is_final) of every epoch."""
    for epoch in range(schedule.epochs):
        yield schedule.sigma, schedule.is_final
        schedule.step(accuracies[epoch] if epoch < len(accuracies) else 0.0)


def widths(epochs=40, accuracies=(), **options):
    return [sigma for sigma, _ in seen(schedule_of(epochs, **options), accuracies)]


def test_the_default_is_the_published_schedule():
    sigma, expected = 12.0, []
    for epoch in range(150):
        expected.append(sigma)
        if epoch < 150 // 4 and sigma > 0.23:  # what the reference code does after each epoch
            sigma *= (0.23 / 12) ** (1 / (150 // 4))
    assert widths(150) == pytest.approx(expected)


def test_linear_falls_by_the_same_amount_each_epoch():
    found = widths(40, sigma_schedule="linear", sigma_end=2.0)
    assert found[:11] == pytest.approx([12.0 - epoch for epoch in range(11)])
    assert found[10:] == [2.0] * 30


def test_cosine_is_half_a_wave():
    found = widths(40, sigma_schedule="cosine", sigma_end=2.0, sigma_epochs=0.5)
    assert found[:21] == pytest.approx([7 + 5 * math.cos(math.pi * epoch / 20) for epoch in range(21)])
    assert found[20:] == pytest.approx([2.0] * 20)


def test_constant_is_the_final_width_from_the_first_epoch_on():
    assert widths(5, sigma_schedule="constant") == [0.23] * 5
    assert widths(5, sigma_schedule="constant", sigma_end=3.0) == [3.0] * 5


@pytest.mark.parametrize(("interpolation", "end"), [("gauss", 0.23), ("max", 0.16), ("laplace", 0.20)])
def test_each_interpolation_has_its_own_final_width(interpolation, end):
    assert widths(model={"interpolation": interpolation})[-1] == pytest.approx(end)


def test_a_triangle_has_no_width_to_lower():
    assert set(widths(model={"interpolation": "triangle"})) == {0.0}


def test_plateau_narrows_where_training_accuracy_has_not_risen_for_so_many_epochs():
    accuracies = [0.1, 0.2, 0.2, 0.1, 0.3, 0.2, 0.3, 0.3, 0.1, 0.2, 0.2, 0.2]
    found = widths(1000, accuracies, sigma_schedule="plateau", sigma_patience=3)[:12]
    line = [12 + (0.23 - 12) * epoch / 999 for epoch in range(12)]
    # Epoch 4 set the best; 5, 6 and 7 were no better. At the new width counting starts anew, from epoch 8.
    assert found[:8] == pytest.approx(line[:8])
    assert found[8:12] == pytest.approx([line[7] / 2] * 4)


def test_plateau_ends_at_the_final_width_however_accuracy_goes():
    rising = [epoch / 40 for epoch in range(40)]
    assert widths(40, rising, sigma_schedule="plateau")[-1] == pytest.approx(0.23)
    assert widths(40, rising, sigma_schedule="plateau", single_tap_epochs=0.5)[19] == pytest.approx(0.23)
    assert min(widths(400, sigma_schedule="plateau", sigma_patience=1)) == 0.23


def test_plateau_goes_on_from_its_state():
    options = dict(sigma_schedule="plateau", sigma_patience=2)
    whole, parted = schedule_of(50, **options), schedule_of(50, **options)
    for epoch in range(50):
        accuracy = (epoch * 7 % 10) / 10
        resumed = schedule_of(50, **options)
        resumed.load_state_dict(parted.state_dict())
        parted = resumed
        assert parted.sigma == whole.sigma
        parted.step(accuracy)
        whole.step(accuracy)


@pytest.mark.parametrize("schedule", ["exponential", "linear", "cosine", "plateau", "constant", "single-tap"])
def test_every_schedule_can_close_with_single_taps(schedule):
    found = widths(10, sigma_schedule=schedule, single_tap_epochs=0.4)
    assert [sigma is None for sigma in found] == [False] * 6 + [True] * 4


def test_single_tap_closes_so_without_a_given_length():
    found = widths(10, sigma_schedule="single-tap")
    assert [sigma is None for sigma in found] == [False] * 7 + [True] * 3
    assert found[:7] == widths(10)[:7]


@pytest.mark.parametrize("delays", ["fixed-random", "none", "dense"])
def test_delays_that_are_not_learned_are_never_spread(delays):
    assert set(widths(model={"delays": delays})) == {None}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (dict(), 10),
        (dict(sigma_epochs=0.5), 20),
        (dict(sigma_epochs=1.0), 40),  # the width of s = 1 would be that of an epoch after the last
        (dict(sigma_schedule="linear"), 10),
        (dict(sigma_schedule="cosine"), 10),
        (dict(sigma_schedule="plateau", sigma_patience=40), 39),  # only the line narrows it
        (dict(sigma_schedule="constant"), 0),
        (dict(sigma_schedule="single-tap"), 28),
        (dict(single_tap_epochs=0.25), 30),
        (dict(single_tap_epochs=1.0), 0),
        (dict(sigma_schedule="constant", single_tap_epochs=0.25), 30),
        (dict(sigma_start=0.1), 0),
        (dict(quantize="loihi2"), 32),
        (dict(quantize="loihi2", single_tap_epochs=0.5), 20),
        (dict(model={"delays": "fixed-random"}), 0),
        (dict(model={"delays": "none"}), 0),
        (dict(model={"delays": "dense"}), 0),
        (dict(model={"max_delay": 0}), 0),
        (dict(model={"interpolation": "triangle"}), 0),
        (dict(model={"interpolation": "triangle"}, single_tap_epochs=0.25), 30),
    ],
)
def test_epochs_are_final_from_the_last_width_on(options, expected):
    assert [final for _, final in seen(schedule_of(40, **options))] == [epoch >= expected for epoch in range(40)]


def test_a_plateau_is_final_from_the_epoch_on_that_narrows_it_to_the_end():
    narrowing = list(seen(schedule_of(400, sigma_schedule="plateau", sigma_patience=1)))
    assert [final for _, final in narrowing] == [sigma == 0.23 for sigma, _ in narrowing]
    assert 0 < sum(final for _, final in narrowing) < 400


def test_every_layer_of_any_module_gets_the_width():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = DelayedLinear(3, 4, max_delay=6)
            self.rest = nn.Sequential(nn.ReLU(), DelayedLinear(4, 2, max_delay=20))

    model = Own()
    assert model.first.sigma is UNSET
    schedule = SigmaSchedule(model, epochs=4, single_taps_from=3)
    assert schedule.sigma == model.first.sigma == model.rest[1].sigma == 10.0
    for _ in range(2):
        schedule.step()
        assert schedule.sigma == model.first.sigma == model.rest[1].sigma == pytest.approx(0.23)
    schedule.step()
    assert model.first.sigma is model.rest[1].sigma is None
    schedule.step()  # past the last epoch
    assert model.first.sigma is None


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: SigmaSchedule(nn.Linear(2, 2), 3), "has no DelayedLinear"),
        (lambda: SigmaSchedule(DelayedLinear(2, 2, 3), 3, "steep"), "kind 'steep' is no schedule of sigma; choose"),
        (lambda: SigmaSchedule(DelayedLinear(2, 2, 3), 0), "epochs 0 is impossible; give 1 or more"),
        (lambda: SigmaSchedule(DelayedLinear(2, 2, 3), 3, end=-1.0), "end -1.0 is impossible"),
        (lambda: SigmaSchedule(DelayedLinear(2, 2, 3), 3, "plateau").step(), "call step"),
        (lambda: SigmaSchedule(nn.Sequential(DelayedLinear(2, 2, 3), DelayedLinear(2, 2, 3, interpolation="max")), 3),
         "interpolations gauss, max, each with another width at the end; give `end`"),
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_named(make, text):
    with pytest.raises(ModelError, match=text):
        make()
