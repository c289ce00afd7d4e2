"""The fused LIF against a plain loop and against spikingjelly 2.0.0."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.models import plain
from delaytool.models.neurons import leaky_integrator, lif, surrogate_gradient


def both(function, oracle, x, seed):
    results = []
    for run in (function, oracle):
        given_x = x.detach().clone().requires_grad_()
        out = run(given_x)
        probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed), dtype=out.dtype)
        (out * probe).sum().backward()
        results.append((out.detach(), given_x.grad))
    (out, grad), (their_out, their_grad) = results
    torch.testing.assert_close(out, their_out, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(grad, their_grad, rtol=1e-10, atol=1e-10)
    return out


inputs = dict(
    seed=st.integers(0, 2**31), steps=st.integers(1, 30), batch=st.integers(1, 4), neurons=st.integers(1, 6),
    tau=st.floats(1.0, 50.0),
)  # fmt: skip


def currents(seed, steps, batch, neurons):
    generator = torch.Generator().manual_seed(seed)
    return 1.5 * torch.randn(steps, batch, neurons, generator=generator, dtype=torch.float64)


@given(**inputs, threshold=st.floats(0.1, 3.0), alpha=st.floats(0.5, 10.0), detach=st.booleans())
def test_lif_equals_the_plain_loop(seed, steps, batch, neurons, tau, threshold, alpha, detach):
    both(
        lambda x: lif(x, tau, threshold, alpha, detach),
        lambda x: plain.lif(x, tau, threshold, alpha, detach),
        currents(seed, steps, batch, neurons),
        seed,
    )


@pytest.mark.parametrize("detach", [True, False])
@settings(max_examples=25, deadline=None)
@given(**inputs)
def test_lif_equals_spikingjelly(detach, seed, steps, batch, neurons, tau):
    neuron = pytest.importorskip(
        "spikingjelly.activation_based.neuron", reason="the oracle spikingjelly 2.0.0 is not installed"
    )
    from spikingjelly.activation_based import surrogate

    def oracle(x):
        node = neuron.LIFNode(
            tau=tau + 1e-9, v_threshold=1.0, surrogate_function=surrogate.ATan(alpha=5.0), detach_reset=detach,
            step_mode="m", decay_input=False,
        )  # fmt: skip
        return node(x)

    x = currents(seed, steps, batch, neurons)
    both(lambda x: lif(x, tau + 1e-9, 1.0, 5.0, detach), oracle, x, seed)


@given(**inputs)
def test_leaky_integrator_equals_the_plain_loop(seed, steps, batch, neurons, tau):
    both(
        lambda x: leaky_integrator(x, tau),
        lambda x: plain.leaky_integrator(x, tau),
        currents(seed, steps, batch, neurons),
        seed,
    )


def test_the_surrogate_is_the_recipes():
    u = torch.linspace(-2, 2, 9, dtype=torch.float64)
    torch.testing.assert_close(surrogate_gradient(u, 5.0), 2.5 / (1 + (2.5 * torch.pi * u) ** 2))


def test_a_neuron_fires_at_its_threshold_and_restarts_from_zero():
    x = torch.tensor([0.5, 0.5, 0.25]).reshape(3, 1, 1)
    assert lif(x, tau=1e6, threshold=0.99999).flatten().tolist() == [0.0, 1.0, 0.0]
    assert lif(torch.ones(1, 1, 1), tau=2.0).item() == 1.0
