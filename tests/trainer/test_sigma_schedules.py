"""Widths over the epochs, each schedule against its formula."""

import math

import pytest

from delaytool.models.config import ModelConfig
from delaytool.trainer.recipe import TrainerConfig
from delaytool.trainer.sigma_schedules import SigmaSchedule


def widths(epochs=40, accuracies=(), model=None, **trainer):
    schedule = SigmaSchedule(TrainerConfig(epochs=epochs, **trainer), ModelConfig(max_delay=24, **(model or {})))
    seen = []
    for epoch in range(epochs):
        seen.append(schedule.sigma(epoch))
        schedule.epoch_ended(epoch, accuracies[epoch] if epoch < len(accuracies) else 0.0)
    return seen


def test_the_default_is_the_published_schedule():
    sigma, expected = 12.0, []
    for epoch in range(150):
        expected.append(sigma)
        if epoch < 150 // 4 and sigma > 0.23:  # what the reference code does after each epoch
            sigma *= (0.23 / 12) ** (1 / (150 // 4))
    assert widths(150) == pytest.approx(expected)


def test_linear_falls_by_the_same_amount_each_epoch():
    seen = widths(40, sigma_schedule="linear", sigma_end=2.0)
    assert seen[:11] == pytest.approx([12.0 - epoch for epoch in range(11)])
    assert seen[10:] == [2.0] * 30


def test_cosine_is_half_a_wave():
    seen = widths(40, sigma_schedule="cosine", sigma_end=2.0, sigma_epochs=0.5)
    assert seen[:21] == pytest.approx([7 + 5 * math.cos(math.pi * epoch / 20) for epoch in range(21)])
    assert seen[20:] == pytest.approx([2.0] * 20)


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
    seen = widths(1000, accuracies, sigma_schedule="plateau", sigma_patience=3)[:12]
    line = [12 + (0.23 - 12) * epoch / 999 for epoch in range(12)]
    # Epoch 4 set the best; 5, 6 and 7 were no better. At the new width counting starts anew, from epoch 8.
    assert seen[:8] == pytest.approx(line[:8])
    assert seen[8:12] == pytest.approx([line[7] / 2] * 4)


def test_plateau_ends_at_the_final_width_however_accuracy_goes():
    rising = [epoch / 40 for epoch in range(40)]
    assert widths(40, rising, sigma_schedule="plateau")[-1] == pytest.approx(0.23)
    assert widths(40, rising, sigma_schedule="plateau", single_tap_epochs=0.5)[19] == pytest.approx(0.23)
    assert min(widths(400, sigma_schedule="plateau", sigma_patience=1)) == 0.23


def test_plateau_goes_on_from_its_state():
    trainer = TrainerConfig(epochs=50, sigma_schedule="plateau", sigma_patience=2)
    whole = SigmaSchedule(trainer, ModelConfig())
    parted = SigmaSchedule(trainer, ModelConfig())
    for epoch in range(50):
        accuracy = (epoch * 7 % 10) / 10
        resumed = SigmaSchedule(trainer, ModelConfig())
        resumed.restore(parted.state())
        parted = resumed
        assert parted.sigma(epoch) == whole.sigma(epoch)
        parted.epoch_ended(epoch, accuracy)
        whole.epoch_ended(epoch, accuracy)


@pytest.mark.parametrize("schedule", ["exponential", "linear", "cosine", "plateau", "constant", "single-tap"])
def test_every_schedule_can_close_with_single_taps(schedule):
    seen = widths(10, sigma_schedule=schedule, single_tap_epochs=0.4)
    assert [sigma is None for sigma in seen] == [False] * 6 + [True] * 4


def test_single_tap_closes_so_without_being_told_how_long():
    seen = widths(10, sigma_schedule="single-tap")
    assert [sigma is None for sigma in seen] == [False] * 7 + [True] * 3
    assert seen[:7] == widths(10)[:7]


@pytest.mark.parametrize("delays", ["fixed-random", "none", "dense"])
def test_delays_that_are_not_learned_are_never_spread(delays):
    assert set(widths(model={"delays": delays})) == {None}
