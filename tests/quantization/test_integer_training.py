"""The network in a chip's integers: the contract's numbers to the bit, the plain form's gradients."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles import plain
from torch.nn import functional

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer
from delaytool.errors import ModelError
from delaytool.exporter.compile import export
from delaytool.hw_configs import load_target
from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork, class_scores
from delaytool.models.neurons.loops import IntegerLifConstants
from delaytool.models.neurons.stepwise import integer_lif_forward
from delaytool.quantization import integer_training
from delaytool.quantization.fold_batch_norm import fold_batch_norm
from delaytool.quantization.integer_lif import integer_lif, integer_readout
from delaytool.quantization.integer_training import IntegerTraining, layer_integers
from delaytool.quantization.merge_taps import merge_taps
from delaytool.quantization.program_of_network import program_of_network
from delaytool.quantization.quantize import quantize, weight_steps
from delaytool.quantization.round_delays import round_delays
from delaytool.quantization.scales import IntegerScales, Scale
from delaytool.runtime.backends.torch import integrate, simulate

LOIHI2 = load_target("loihi2")


def random_scales(config: ModelConfig, seed: int) -> IntegerScales:
    """Scales at which a freshly made network clips some weights, wraps seldom and fires."""
    rng = np.random.default_rng(seed)
    scales = []
    for layer in range(config.n_layers):
        exponent = int(rng.integers(0, 3))
        per_unit = float(rng.uniform(100, 400)) * 2**exponent
        threshold = 131071 if layer == config.n_layers - 1 else round(per_unit * config.threshold)
        scales.append(Scale(per_unit, exponent, threshold, bias_exponent=int(rng.integers(1, 4))))
    return IntegerScales(LOIHI2, tuple(scales))


def random_network_in_integers(seed: int, **options):
    torch.manual_seed(seed)
    config = ModelConfig(**{"hidden": (9, 8), "max_delay": 5, "tau": 1.7, "timing": "chip", **options})
    model = DelayNetwork(7, 4, config)
    with torch.no_grad():
        for layer in model.hidden_layers():
            if layer.norm is not None:
                layer.norm.running_mean.normal_(0.1, 0.2)
                layer.norm.running_var.uniform_(0.1, 0.6)
                layer.norm.weight.uniform_(0.5, 1.5)
                layer.norm.bias.normal_(0, 0.3)
        for layer in model.delayed_layers():
            if layer.bias is not None:
                layer.bias.normal_(0, 0.2)
    frames = torch.poisson(torch.full((6, 11, 7), 0.4)).clamp(max=3)
    training = IntegerTraining(model, random_scales(config, seed)).eval()
    return training, InputEncoding(n_units=7, n_steps=11, max_count=3, start="zero"), frames


OPTIONS = {
    "taps": st.integers(1, 4), "max_delay": st.integers(0, 6), "bias": st.booleans(), "norm": st.booleans(),
    "delays": st.sampled_from(["learned", "dense", "none"]),
    "timing": st.sampled_from(["paper", "chip"]), "tau": st.sampled_from([1.0, 1.005, 2.0, 7.3, 4096.0]),
    "structure": st.sampled_from(
        [{}, {"sparsity": 0.5}, {"sparsity": 0.5, "rewiring": "deep-r"}, {"sparsity": 0.5, "rewiring": "rigl"}]
    ),
}  # fmt: skip


def integers_of(model, encoding):
    program = merge_taps(round_delays(fold_batch_norm(program_of_network(model, encoding)), LOIHI2))
    return quantize(program, LOIHI2)


@pytest.mark.parametrize("form", ["auto", "direct", "fft", "staged", "windowed", "events"])
@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), **OPTIONS)
def test_float32_evaluation_is_the_integer_network_to_the_bit(
    form, seed, taps, max_delay, bias, norm, delays, timing, tau, structure
):
    model, encoding, frames = random_network_in_integers(
        seed, kernel_count=taps, max_delay=max_delay, bias=bias, batch_norm=norm, delays=delays, timing=timing, tau=tau,
        convolution=form, **structure,
    )  # fmt: skip
    network = integers_of(model, encoding)
    with torch.no_grad():
        spikes, membrane = model.traced(frames)
    traces = simulate(network, frames.to(torch.uint8))
    for ours, trace in zip(spikes, traces[:-1], strict=True):
        assert torch.equal(ours.transpose(0, 1) > 0, trace.spikes)
    window = traces[-1].v[:, network.readout.start : network.readout.stop]
    assert membrane.dtype == torch.float64
    assert torch.equal(membrane.transpose(0, 1), window.double() / network.readout.scale)


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), **OPTIONS)
def test_the_exporters_integers_are_the_trained_ones(seed, taps, max_delay, bias, norm, delays, timing, tau, structure):
    model, encoding, _ = random_network_in_integers(
        seed, kernel_count=taps, max_delay=max_delay, bias=bias, batch_norm=norm, delays=delays, timing=timing, tau=tau,
        **structure,
    )  # fmt: skip
    network = integers_of(model, encoding)
    norms = [*(layer.norm for layer in model.network.hidden_layers()), None]
    for built, synapses, norm_, scale in zip(
        network.layers, model.network.delayed_layers(), norms, model.scales.scales, strict=True
    ):
        whole = layer_integers(synapses, norm_, scale, LOIHI2.limits)
        steps = whole.steps.detach().numpy()
        target, pre, weight, delay = built.synapses[0].listed()
        expected = {
            (i, j, int(synapses.delay[i, j, k].round())): int(steps[i, j, k]) * 2 for i, j, k in np.argwhere(steps)
        }
        assert expected == dict(zip(zip(target, pre, delay, strict=True), weight.tolist(), strict=True))
        assert built.synapses[0].exponent == scale.exponent
        assert np.array_equal(built.bias_mantissa, whole.mantissas.detach().numpy())
        assert (built.bias_exponent, built.threshold) == (scale.bias_exponent, scale.threshold)


@pytest.mark.parametrize("form", ["auto", "direct", "fft"])
@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), detach=st.booleans(), training=st.booleans(), **OPTIONS)
def test_the_network_and_every_gradient_equal_the_plain_form(
    form, seed, detach, training, taps, max_delay, bias, norm, delays, timing, tau, structure
):  # fmt: skip
    model, _, frames = random_network_in_integers(
        seed, kernel_count=taps, max_delay=max_delay, bias=bias, batch_norm=norm, delays=delays, timing=timing, tau=tau,
        detach_reset=detach, convolution=form, **structure,
    )  # fmt: skip
    model = model.double().train(training)
    results = []
    for forward in (model, lambda frames: plain.forward_in_integers(model.network, frames, model.scales)):
        model.zero_grad()
        membrane = forward(frames)
        functional.cross_entropy(class_scores(membrane), torch.arange(6) % 4).backward()
        grads = [parameter.grad for parameter in model.parameters()]
        results.append((membrane.detach(), *(grad for grad in grads if grad is not None)))
    assert len(results[0]) == len(results[1]) > 1
    for ours, expected in zip(*results, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-9)


@settings(max_examples=30)
@given(
    seed=st.integers(0, 2**31), dv=st.integers(0, 4095), threshold=st.integers(1, 131071), exponent=st.integers(0, 8),
    wild=st.booleans(),
)  # fmt: skip
def test_neurons_are_the_contracts_at_any_magnitude(seed, dv, threshold, exponent, wild):
    rng = np.random.default_rng(seed)
    size = (1 << 17 if wild else 1 << 14) >> exponent
    sums = torch.from_numpy(rng.integers(-size, size, (15, 4, 5))).float()
    bias = torch.from_numpy(rng.integers(-(2**18), 2**18, 5)).double()
    constants = IntegerLifConstants(dv, threshold, 64 << exponent, 6400.0, 5.0, True)
    layer = IntegerLayer("hidden1", 5, (), dv=dv, threshold=threshold)
    layer = dataclasses.replace(layer, bias_mantissa=(bias.numpy() / 128).astype(np.int32), bias_exponent=7)
    bias = torch.from_numpy(layer.bias).double()
    trace = integrate(layer, (sums.long() << exponent).transpose(0, 1))
    assert torch.equal(integer_lif(sums, bias, constants).transpose(0, 1) > 0, trace.spikes)
    assert torch.equal(integer_readout(sums, bias, constants).transpose(0, 1).int(), trace.v)
    spikes, before = integer_lif_forward(sums, bias, None, constants)
    assert torch.equal(spikes.transpose(0, 1) > 0, trace.spikes)
    assert torch.equal(before.masked_fill(spikes > 0, 0).transpose(0, 1).int(), trace.v)


def test_noise_of_the_transform_does_not_reach_the_neurons():
    torch.manual_seed(0)
    sums = torch.randint(-5000, 5000, (20, 3, 4)).float()
    bias = torch.zeros(4, dtype=torch.float64)
    constants = IntegerLifConstants(2048, 3000, 128, 3e5, 5.0, True)
    noisy = sums + torch.empty_like(sums).uniform_(-0.49, 0.49)
    assert torch.equal(integer_readout(sums, bias, constants), integer_readout(noisy, bias, constants))


def test_a_weight_beyond_the_range_comes_back_but_goes_no_further():
    scale = Scale(per_unit=100.0, exponent=0, threshold=100, bias_exponent=0)
    for sign, expected in ((1.0, [0.0, 50.0, 50.0]), (-1.0, [-50.0, -50.0, 0.0])):
        weight = torch.tensor([-3.0, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
        steps = weight_steps(weight, scale, LOIHI2.limits)
        assert steps.tolist() == [-128.0, 25.0, 127.0]
        (sign * steps).sum().backward()
        assert weight.grad.tolist() == expected


def test_an_export_reports_that_nothing_differs(tmp_path):
    model, encoding, frames = random_network_in_integers(3)
    done = export(model, encoding, LOIHI2, tmp_path / "net.h5", frames.to(torch.uint8).numpy())
    assert [layer.disagreement for layer in done.layers] == [0.0, 0.0, 0.0]
    assert [layer.weight_error for layer in done.layers] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_shortened_products_do_not_reach_the_sums(precision):
    model, _, frames = random_network_in_integers(5, convolution="fft")
    wanted = model(frames)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        assert torch.equal(model(frames), wanted)
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)


def test_gradients_made_again_are_the_same_gradients():
    grads = []
    for again in (False, True):
        model, _, frames = random_network_in_integers(6, dropout=0.4)
        if again:
            model.network.checkpoint_gradients()
        torch.manual_seed(1)
        class_scores(model.train()(frames))[:, 0].sum().backward()
        grads.append([parameter.grad for parameter in model.parameters() if parameter.grad is not None])
    assert len(grads[0]) == len(grads[1]) == 7
    for one, other in zip(*grads, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_what_is_made_again_for_the_gradient_has_whole_products_too(precision, monkeypatch):
    seen = []

    def watched(*arguments):
        seen.append(torch.get_float32_matmul_precision())
        return layer_integers(*arguments)

    monkeypatch.setattr(integer_training, "layer_integers", watched)
    model, _, frames = random_network_in_integers(6)
    model.network.checkpoint_gradients()
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        class_scores(model.train()(frames))[:, 0].sum().backward()
        assert torch.get_float32_matmul_precision() == precision
    finally:
        torch.set_float32_matmul_precision(before)
    assert seen == ["highest"] * 5, "three layers forward, and the two hidden ones again"


def test_the_wrapped_network_still_computes_in_floats():
    model, _, frames = random_network_in_integers(7)
    alone = DelayNetwork(7, 4, model.config)
    alone.load_state_dict(model.network.state_dict())
    assert torch.equal(model.network(frames), alone.eval()(frames))
    assert not torch.equal(model.network(frames).double(), model(frames))
    assert [id(parameter) for parameter in model.parameters()] == [id(each) for each in model.network.parameters()]


def test_a_width_or_too_few_scales_are_refused():
    model, _, frames = random_network_in_integers(8)
    with pytest.raises(ModelError, match=r"sigma 1\.5: a network in integers has single taps; leave it out"):
        model(frames, 1.5)
    short = dataclasses.replace(model.scales, scales=model.scales.scales[1:])
    with pytest.raises(ModelError, match=r"2 integer scales for 3 layers of neurons; give one each"):
        IntegerTraining(model.network, short)
