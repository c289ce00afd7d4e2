"""The fused LIF against a plain loop and against spikingjelly 2.0.0."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError
from oracles import plain

from delaytool.errors import ModelError
from delaytool.models.config import ModelConfig
from delaytool.models.convolution import Windows
from delaytool.models.delayed_linear import DelayedLinear
from delaytool.models.neurons import (
    LifConstants,
    Population,
    compiled,
    leak_of,
    leaky_integrator,
    lif,
    spiking,
    stepwise,
    surrogate_gradient,
)
from delaytool.models.neurons import integrate_and_fire as fast
from delaytool.models.spiking_layers import LIF


def both(function, oracle, x, seed, *parameters, tolerance=1e-10):
    results = []
    for run in (function, oracle):
        inputs = [tensor.detach().clone().requires_grad_() for tensor in (x, *parameters)]
        out = run(*inputs)
        probe = torch.randn(out.shape, generator=torch.Generator().manual_seed(seed), dtype=out.dtype)
        (out * probe).sum().backward()
        grads = [torch.zeros_like(tensor) if tensor.grad is None else tensor.grad for tensor in inputs]
        results.append((out.detach(), *grads))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
    return results[0][0]


@pytest.mark.parametrize(("of_input", "of_synapses"), [("float32", "float64"), ("float64", "float32")])
def test_recurrent_synapses_of_another_type_than_the_input_s_are_refused(of_input, of_synapses):
    synapses = DelayedLinear(2, 2, 0, dtype=getattr(torch, of_synapses)).eval()
    torch.nn.init.constant_(synapses.weight, 0.5)
    first = [[1.0, 1.0], *[[0.0, 0.0]] * 3]  # each of the two keeps the other firing
    x = torch.tensor(first, dtype=getattr(torch, of_input))
    assert LIF(1.0, recurrent=synapses)(x.to(synapses.weight.dtype)).all()
    with pytest.raises(ModelError, match=f"input of torch.{of_input} for weights of torch.{of_synapses}; convert one"):
        LIF(1.0, recurrent=synapses)(x)
    windows = Windows(synapses.weight.unsqueeze(2), torch.zeros(2, 2, 1, dtype=torch.long), 1)
    with pytest.raises(TypingError, match="into holds"):
        compiled.events_forward(x.unsqueeze(1), windows, LifConstants(0.0, 1.0, 5.0, True))


def test_recurrent_neurons_under_autocast_compute_in_the_type_of_their_synapses():
    torch.manual_seed(0)
    synapses = DelayedLinear(5, 5, 3).eval()
    x = (2 * torch.rand(12, 2, 5)).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        spikes = LIF(3.0, recurrent=synapses)(x)
    assert spikes.dtype == torch.float32
    assert torch.equal(spikes, LIF(3.0, recurrent=synapses)(x.float()))


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


@given(**inputs, detach=st.booleans(), adaptation=st.sampled_from([0.0, 0.4]), fires=st.booleans())
def test_a_learned_tau_gets_the_gradient_of_the_plain_loop(seed, steps, batch, neurons, tau, detach, adaptation, fires):
    def run(plainly):
        def neurons_of(x, tau):
            if not fires:
                return (plain if plainly else fast).leaky_integrator(x, tau)
            constants = LifConstants(leak_of(tau), 1.0, 5.0, detach, adaptation, 0.7)
            return (plain if plainly else fast).spiking(x, constants)

        return neurons_of

    given_tau = torch.tensor(tau, dtype=torch.float64)
    both(run(False), run(True), currents(seed, steps, batch, neurons), seed, given_tau, tolerance=1e-9)


@settings(max_examples=25)
@given(
    **inputs, detach=st.booleans(), adaptation=st.sampled_from([0.0, 0.4]), current_leak=st.sampled_from([0.0, 0.5]),
    size=st.integers(1, 9), width=st.sampled_from([1, 3]), step_by_step=st.booleans(),
)  # fmt: skip
def test_a_recurrent_layer_equals_the_plain_loop(
    seed, steps, batch, neurons, tau, detach, adaptation, current_leak, size, width, step_by_step
):
    width = min(width, size)
    generator = torch.Generator().manual_seed(seed)
    taps = 0.7 * torch.randn(neurons, neurons, 2, width, generator=generator, dtype=torch.float64)
    start = torch.randint(0, size - width + 1, (neurons, neurons, 2), generator=generator)

    def constants(tau):
        return LifConstants(leak_of(tau), 1.0, 5.0, detach, adaptation, 0.7, current_leak)

    def ours(x, taps, tau):
        return spiking(x, constants(tau), recurrent=Windows(taps, start, size))

    def theirs(x, taps, tau):
        return plain.spiking(x, constants(tau), Windows(taps, start, size).kernel())

    with pytest.MonkeyPatch.context() as patch:
        if step_by_step:  # as on a device that has no loops of its own
            patch.setattr(fast, "loops_for", lambda tensor: stepwise)
        given_tau = torch.tensor(tau, dtype=torch.float64)
        both(ours, theirs, currents(seed, steps, batch, neurons), seed, taps, given_tau, tolerance=1e-8)


def test_a_spike_reaches_its_own_layer_after_its_delay_and_one_step():
    x = torch.zeros(8, 1, 2, dtype=torch.float64)
    x[1, 0, 0] = 1.0
    taps = torch.zeros(2, 2, 4, dtype=torch.float64)
    taps[1, 0, 3] = 1.0
    spikes = spiking(
        x, LifConstants(0.0, 1.0, 5.0, True), recurrent=Windows(taps.unsqueeze(2), torch.zeros(2, 2, 1).long(), 4)
    )
    assert spikes.nonzero().tolist() == [[1, 0, 0], [1 + 3 + 1, 0, 1]]


def test_dropout_does_not_touch_recurrent_input():
    x = torch.ones(4, 1, 1)
    ring = Windows(torch.full((1, 1, 1, 1), -5.0), torch.zeros(1, 1, 1).long(), 1)
    constants = LifConstants(0.0, 1.0, 5.0, True)
    assert spiking(x, constants, torch.zeros(1, 1), ring).sum() == 0
    assert spiking(x, constants, torch.full((1, 1), 2.0), ring).flatten().tolist() == [2.0, 0.0, 2.0, 0.0]


@settings(max_examples=25, deadline=None)
@given(**inputs)
def test_plif_equals_spikingjelly(seed, steps, batch, neurons, tau):
    neuron = pytest.importorskip(
        "spikingjelly.activation_based.neuron", reason="the oracle spikingjelly 2.0.0 is not installed"
    )
    from spikingjelly.activation_based import surrogate

    tau += 1e-3
    node = neuron.ParametricLIFNode(
        init_tau=tau, v_threshold=1.0, surrogate_function=surrogate.ATan(alpha=5.0), detach_reset=True, step_mode="m",
        decay_input=False,
    ).double()  # fmt: skip
    ours = Population(ModelConfig(neuron="plif", tau=tau)).double()
    with torch.no_grad():
        ours.decay.copy_(node.w)
    x = currents(seed, steps, batch, neurons)
    both(ours, node, x, seed)
    torch.testing.assert_close(ours.decay.grad, node.w.grad, rtol=1e-8, atol=1e-10)


def test_an_adaptive_threshold_rises_with_spikes_and_comes_back():
    x = torch.full((6, 1, 1), 1.2)
    constants = LifConstants(0.0, 1.0, 5.0, True, adaptation=0.3, adaptation_leak=0.5)
    # The threshold is 1, 1.3, 1.15, 1.375, 1.1875, 1.39375.
    assert spiking(x, constants).flatten().tolist() == [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]


def test_the_surrogate_is_the_recipes():
    u = torch.linspace(-2, 2, 9, dtype=torch.float64)
    torch.testing.assert_close(surrogate_gradient(u, 5.0), 2.5 / (1 + (2.5 * torch.pi * u) ** 2))


def test_a_neuron_fires_at_its_threshold_and_restarts_from_zero():
    x = torch.tensor([0.5, 0.5, 0.25]).reshape(3, 1, 1)
    assert lif(x, tau=1e6, threshold=0.99999).flatten().tolist() == [0.0, 1.0, 0.0]
    assert lif(torch.ones(1, 1, 1), tau=2.0).item() == 1.0
