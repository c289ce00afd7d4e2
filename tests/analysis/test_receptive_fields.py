"""Receptive fields against what single spikes do to a layer, and against a loop over taps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from delaytool.analysis.receptive_fields import PARTS, cells_of_taps, part_of, receptive_fields
from delaytool.contract.encoding import InputEncoding
from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork


@pytest.mark.parametrize("taps", [1, 3])
def test_a_cell_is_what_a_spike_of_the_unit_adds_after_the_delay(taps: int) -> None:
    torch.manual_seed(taps)
    config = ModelConfig(hidden=(4,), max_delay=5, kernel_count=taps)
    model = DelayNetwork(3, 2, config)
    norm = model.hidden_layers()[0].norm
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -2.0, 0.5, 3.0]))
        norm.running_var.copy_(torch.tensor([1.0, 4.0, 0.1, 9.0]))
    model.eval()
    fields = receptive_fields(model, InputEncoding(n_units=3, n_steps=10))
    assert {name: field.shape for name, field in fields.items()} == {"hidden1": (4, 3, 6), "readout": (2, 4, 6)}
    silence = model.hidden_layers()[0].current(torch.zeros(6, 1, 3), 6, None)
    for unit in range(3):
        spike = torch.zeros(6, 1, 3)
        spike[0, 0, unit] = 1.0
        added = model.hidden_layers()[0].current(spike, 6, None) - silence  # (time, batch, neuron)
        np.testing.assert_allclose(fields["hidden1"][:, unit], added[:, 0].detach().numpy().T, atol=1e-6)


def test_taps_that_meet_in_one_cell_add_up() -> None:
    generator = np.random.default_rng(0)
    weight, delay = generator.normal(size=(3, 4, 5)), generator.uniform(0, 3, (3, 4, 5))
    expected = np.zeros((3, 4, 4))
    for place in np.ndindex(weight.shape):
        expected[place[0], place[1], round(float(np.float32(delay[place])))] += weight[place]
    np.testing.assert_allclose(cells_of_taps(weight, delay, 4), expected, atol=1e-12)


def test_excitation_and_inhibition_are_the_two_signs() -> None:
    fields = np.random.default_rng(1).normal(size=(2, 3, 4))
    signed, excitation, inhibition = (part_of(fields, part) for part in PARTS)
    np.testing.assert_array_equal(excitation - inhibition, signed)
    assert (excitation >= 0).all()
    assert (inhibition >= 0).all()
    assert not ((excitation > 0) & (inhibition > 0)).any()
    with pytest.raises(ValueError, match="part 'both' is unknown; choose one of signed, excitation, inhibition"):
        part_of(fields, "both")


def test_synapses_of_a_layer_to_itself_are_a_field_of_their_own() -> None:
    config = ModelConfig(hidden=(4, 3), max_delay=5, recurrent=(False, True), recurrent_max_delay=7, neuron="adaptive")
    model = DelayNetwork(3, 2, config)
    fields = receptive_fields(model, InputEncoding(n_units=3, n_steps=10))
    assert sorted(fields) == sorted(model.layer_names())
    own = model.hidden_layers()[1].recurrent
    assert own is not None
    assert np.array_equal(fields["hidden2-recurrent"], own.kernel(None).detach().numpy())
