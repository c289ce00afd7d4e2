"""The network against the same network built from dcls and spikingjelly, as the reference code builds it."""

import pytest
import torch
from torch.nn import functional

from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork, class_scores


@pytest.mark.parametrize("sigma", [3.0, 0.23, None])
@pytest.mark.parametrize("taps", [1, 3])
def test_outputs_and_gradients_equal_the_reference_formulation(sigma, taps):
    dcls = pytest.importorskip("DCLS.construct.modules", reason="the oracle dcls 0.1.1 is not installed")
    neuron = pytest.importorskip(
        "spikingjelly.activation_based.neuron", reason="the oracle spikingjelly 2.0.0 is not installed"
    )
    from spikingjelly.activation_based import layer, surrogate

    torch.manual_seed(0)
    size, sizes, tau = 9, [7, 6, 5, 4], 1.5
    config = ModelConfig(hidden=(6, 5), kernel_count=taps, max_delay=size - 1, tau=tau)
    model = DelayNetwork(7, 4, config).double()
    frames = torch.poisson(torch.full((8, 12, 7), 0.6, dtype=torch.float64))

    convolutions, nodes, norms = [], [], []
    x = frames.transpose(0, 1)
    for index, ours in enumerate(model.delayed_layers()):
        theirs = dcls.Dcls1d(
            sizes[index], sizes[index + 1], kernel_count=taps, dilated_kernel_size=size, bias=False, version="gauss"
        ).double()
        theirs.weight.data.copy_(ours.weight.data)
        theirs.P.data.copy_(size // 2 - ours.delay.data)
        theirs.SIG.data.fill_(sigma or 0.0)
        if sigma is None:  # the reference evaluates so
            theirs.version = theirs.DCK.version = "max"
            theirs.P.data.round_()
        convolutions.append(theirs)
        node = neuron.LIFNode(
            tau=tau, v_threshold=1.0 if index < 2 else 1e9, surrogate_function=surrogate.ATan(alpha=5.0),
            detach_reset=True, step_mode="m", decay_input=False, store_v_seq=True,
        )  # fmt: skip
        nodes.append(node)
        x = theirs(functional.pad(x.permute(1, 2, 0), (size - 1, (size - 1) // 2))).permute(2, 0, 1)
        if index < 2:
            norm = layer.BatchNorm1d(sizes[index + 1], step_mode="m").double()
            norms.append(norm)
            x = norm(x.unsqueeze(3)).squeeze(3)
        x = node(x)
    their_scores = torch.softmax(nodes[-1].v_seq, dim=2).sum(0)

    scores = class_scores(model(frames, sigma))
    tolerance = dict(rtol=1e-10, atol=1e-10) if sigma is not None else dict(rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(scores, their_scores, **tolerance)
    labels = torch.arange(8) % 4
    functional.cross_entropy(scores, labels).backward()
    functional.cross_entropy(their_scores, labels).backward()
    for ours, theirs in zip(model.delayed_layers(), convolutions, strict=True):
        torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, **tolerance)
        if sigma is not None:
            torch.testing.assert_close(ours.delay.grad, -theirs.P.grad[0], **tolerance)
    for ours, theirs in zip(model.hidden, norms, strict=True):
        torch.testing.assert_close(ours.norm.weight.grad, theirs.weight.grad, **tolerance)
        torch.testing.assert_close(ours.norm.running_var, theirs.running_var, **tolerance)


def test_the_run_lengthens_at_each_layer_as_in_the_paper():
    config = ModelConfig(hidden=(8, 8), max_delay=24)
    model = DelayNetwork(10, 3, config)
    spikes, membrane = model.traced(torch.zeros(2, 100, 10), sigma=None)
    assert [len(layer) for layer in spikes] + [len(membrane)] == [112, 124, 136]


def test_in_chip_time_every_layer_runs_the_whole_time_one_step_later():
    config = ModelConfig(hidden=(8, 8), max_delay=24, batch_norm=False)
    paper = DelayNetwork(10, 3, config)
    chip = DelayNetwork(10, 3, config.model_copy(update={"timing": "chip"}))
    chip.load_state_dict(paper.state_dict())
    frames = torch.poisson(torch.full((2, 100, 10), 0.3))
    spikes, membrane = paper.traced(frames, sigma=None)
    late_spikes, late_membrane = chip.traced(frames, sigma=None)
    assert [len(layer) for layer in (*late_spikes, late_membrane)] == [139, 139, 139]
    # Until the first layer's run ends in paper time, the two are the same but for the lateness.
    assert torch.equal(late_spikes[0][1:113], spikes[0])
    assert torch.equal(late_spikes[1][2:114], spikes[1][:112])
    torch.testing.assert_close(late_membrane[3:115], membrane[:112])


def test_dropout_uses_one_mask_for_all_time_steps():
    torch.manual_seed(0)
    config = ModelConfig(hidden=(200,), max_delay=2, dropout=0.5, batch_norm=False)
    model = DelayNetwork(50, 3, config)
    frames = torch.ones(4, 30, 50)
    model.eval()
    (without,), _ = model.traced(frames, 1.0)
    model.train()
    (spikes,), _ = model.traced(frames, 1.0)
    kept = (spikes == 2 * without).all(0)  # (batch, neuron): inverted dropout doubles what it keeps
    assert torch.equal(kept, ~(spikes == 0).all(0) | (without == 0).all(0))
    active = (without > 0).any(0)
    assert 0.3 < kept[active].float().mean() < 0.7


def test_fixed_delays_are_whole_and_take_no_gradient():
    model = DelayNetwork(5, 3, ModelConfig(hidden=(6,), max_delay=8, delays="fixed-random"))
    for layer in model.delayed_layers():
        assert torch.equal(layer.delay, layer.delay.round())
        assert not layer.delay.requires_grad


@pytest.mark.parametrize(("delays", "weights"), [("learned", 2), ("fixed-random", 1), ("dense", 9), ("none", 1)])
def test_parameters_are_what_training_can_change(delays, weights):
    model = DelayNetwork(5, 3, ModelConfig(hidden=(6,), max_delay=8, delays=delays))
    synapses = 5 * 6 + 6 * 3
    assert model.n_parameters() == weights * synapses + 2 * 6


def test_without_delays_the_run_is_as_long_as_with_them():
    frames = torch.poisson(torch.full((2, 30, 5), 0.3))
    models = [
        DelayNetwork(5, 3, ModelConfig(hidden=(6,), max_delay=8, delays=delays)) for delays in ("learned", "none")
    ]
    assert len({model(frames, sigma=None).shape for model in models}) == 1


def test_no_delays_are_the_network_with_a_longest_delay_of_zero():
    none = DelayNetwork(5, 3, ModelConfig(hidden=(6,), max_delay=8, delays="none"))
    zero = DelayNetwork(5, 3, ModelConfig(hidden=(6,), max_delay=0, tail_steps=4))
    zero.load_state_dict(none.state_dict(), strict=False)
    frames = torch.poisson(torch.full((2, 30, 5), 0.6))
    assert torch.equal(none(frames), zero(frames))
    assert none.traced(frames)[0][0].any()


def test_a_dense_kernel_is_as_many_taps_on_every_delay():
    dense = DelayNetwork(5, 3, ModelConfig(hidden=(6,), max_delay=4, delays="dense", convolution="direct"))
    taps = DelayNetwork(5, 3, ModelConfig(hidden=(6,), max_delay=4, kernel_count=5, convolution="direct"))
    state = dense.state_dict()
    for name, parameter in taps.state_dict().items():
        if name.endswith("delay"):
            state[name] = torch.arange(5.0).expand_as(parameter)
    taps.load_state_dict(state)
    frames = torch.poisson(torch.full((2, 30, 5), 0.6))
    assert torch.equal(dense(frames), taps(frames, sigma=None))
    assert dense.traced(frames)[0][0].any()


@pytest.mark.parametrize("delays", ["none", "dense"])
def test_what_is_no_parameter_is_not_saved(delays):
    model = DelayNetwork(5, 3, ModelConfig(hidden=(6,), max_delay=4, delays=delays))
    assert not [name for name in model.state_dict() if name.endswith("delay")]
