"""The trainer's integer simulation against the contract's reference."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.models.integer import simulate
from delaytool.runtime import reference


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1))
def test_simulation_equals_the_reference_bit_for_bit(random_network, seed):
    rng = np.random.default_rng(seed)
    network, frames = random_network(rng, other_sources=False)
    expected = reference.run(network, frames)
    for index, trace in enumerate(simulate(network, torch.from_numpy(frames))):
        assert np.array_equal(trace.spikes.numpy(), expected.spikes[index])
        assert np.array_equal(trace.u.numpy(), expected.u[index])
        assert np.array_equal(trace.v.numpy(), expected.v[index])
