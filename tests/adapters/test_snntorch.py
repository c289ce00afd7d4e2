"""Networks of snnTorch's neurons, trained by its own API."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import delaytool as dt
from delaytool.errors import ExportError

snn = pytest.importorskip("snntorch", reason="the oracle snnTorch is not installed")

CHANNELS, HIDDEN, CLASSES, STEPS = 6, 20, 2, 24


class Net(nn.Module):
    """A feed-forward net as snnTorch's tutorials build it, which counts the output's spikes."""

    def __init__(self, first, second, bias=True):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(CHANNELS, HIDDEN, bias=bias), first
        self.fc2, self.lif2 = nn.Linear(HIDDEN, CLASSES, bias=bias), second
        with torch.no_grad():
            self.fc1.weight.mul_(3)
            self.fc2.weight.mul_(4)

    @staticmethod
    def step(neurons, x, state):
        spikes, *state = neurons(x, *state)
        return spikes, state

    def forward(self, x):  # (time, batch, channel)
        first, second, spikes, membranes = [], [], [], []
        for neurons in (self.lif1, self.lif2):
            neurons.reset_mem()
        for frame in x:
            hidden, first = self.step(self.lif1, self.fc1(frame), first)
            out, second = self.step(self.lif2, self.fc2(hidden), second)
            spikes.append(out)
            membranes.append(second[-1])
        return torch.stack(spikes), torch.stack(membranes)

    def stages(self):
        return [self.fc1, self.lif1, self.fc2, self.lif2]


def samples(seed=0, n=48):
    """Label 0 has more spikes on the first channels, label 1 on the last."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    rate = np.where((np.arange(CHANNELS) < CHANNELS // 2)[None] == (labels == 0)[:, None], 0.5, 0.1)
    return (rng.random((n, STEPS, CHANNELS)) < rate[:, None]).astype(np.uint8), labels


def trained(net, frames, labels):
    x, y = torch.from_numpy(frames).float().transpose(0, 1), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    for _ in range(2):
        for batch in torch.arange(len(y)).split(8):
            optimizer.zero_grad()
            functional.cross_entropy(net(x[:, batch])[0].sum(0), y[batch]).backward()
            optimizer.step()
    return net


@pytest.mark.parametrize(("kind", "reset_delay"), [("Leaky", True), ("Leaky", False), ("Synaptic", False)])
def test_a_trained_net_computes_the_same_before_export_and_verifies(kind, reset_delay):
    torch.manual_seed(3)
    decays = {"beta": 0.8} if kind == "Leaky" else {"alpha": 0.5, "beta": 0.8}
    neurons = [
        getattr(snn, kind)(**decays, reset_mechanism="zero", reset_delay=reset_delay, threshold=0.9) for _ in range(2)
    ]
    frames, labels = samples()
    net = trained(Net(*neurons, bias=kind == "Leaky"), frames, labels)
    with torch.no_grad():
        spikes, _ = net(torch.from_numpy(frames).float().transpose(0, 1))
    wanted = spikes.transpose(0, 1).numpy()
    assert 0.02 < wanted.mean() < 0.9
    hidden, last = dt.simulate_stages(net, frames)
    assert hidden.shape == (48, STEPS, HIDDEN)
    # Sums in another order may pass a threshold in another step, seldom.
    assert (last != wanted).mean() < 1e-3
    network = dt.export(net, "loihi2", frames, class_names=["low", "high"])
    assert network.readout.method == "sum"
    assert network.layers[-1].name == "count"
    verdict = dt.verify(network, frames, [["low", "high"][label] for label in labels], ["engine", "reference", "torch"])
    assert verdict.passed, verdict.reasons
    assert (verdict.predictions == wanted.sum(1).argmax(1)).mean() >= 0.85
    trace = dt.run(network, frames, "reference")
    np.testing.assert_array_equal(trace.readout[:, -1] / network.readout.scale, trace.spikes[-2][:, :-1].sum(1))


@pytest.mark.parametrize("alpha", [0.0, 0.7])
@pytest.mark.parametrize("seed", range(5))
def test_neurons_alone_fire_as_snntorch_s_do(alpha, seed):
    torch.manual_seed(seed)
    neurons = snn.Synaptic(alpha, 0.75, threshold=1.0, reset_mechanism="zero", reset_delay=False)
    if alpha == 0:
        neurons = snn.Leaky(0.75, threshold=1.0, reset_mechanism="zero")
    # Multiples of 1/64 add up without an error for as long, so that v meets the threshold exactly now and then.
    frames = torch.randint(0, 3, (4, 12, 3))
    weight = torch.randint(-64, 65, (5, 3)) / 64
    linear = nn.Linear(3, 5, bias=False)
    linear.weight.data.copy_(weight)
    state, wanted = [], []
    for step in range(12):
        spikes, *state = neurons(linear(frames[:, step].float()), *state)
        wanted.append(spikes.detach())
    got = dt.simulate_stages(nn.Sequential(linear, neurons), frames)[-1]
    assert torch.stack(wanted).any()
    np.testing.assert_array_equal(got, torch.stack(wanted, 1).numpy())


def test_a_membrane_without_reset_is_read_out():
    torch.manual_seed(4)
    net = Net(snn.Leaky(0.8, reset_mechanism="zero"), snn.Leaky(0.9, reset_mechanism="none"))
    frames, labels = samples(n=16)
    with torch.no_grad():
        _, membranes = net(torch.from_numpy(frames).float().transpose(0, 1))
    np.testing.assert_allclose(
        dt.simulate_stages(net, frames)[-1], membranes.transpose(0, 1).numpy(), rtol=1e-4, atol=1e-5
    )
    network = dt.export(net, "loihi2", frames, readout="sum")
    assert network.readout.method == "sum"
    assert dt.verify(network, frames, labels, ["reference", "torch"]).passed


@pytest.mark.parametrize(
    ("neurons", "message"),
    [
        (lambda: snn.Leaky(0.8), r"lif1 \(Leaky\): reset_mechanism 'subtract' .* resets to 0"),
        (lambda: snn.Synaptic(0.5, 0.8), r"lif1 \(Synaptic\): reset_mechanism 'subtract'"),
        (lambda: snn.Synaptic(0.5, 0.8, reset_mechanism="zero"), r"reset_delay=True .* train with reset_delay=False"),
        (
            lambda: snn.Synaptic(0.5, 0.8, reset_mechanism="zero", reset_delay=False),
            r"fc1 \(Linear\): its bias .* decaying current",
        ),
        (lambda: snn.Leaky(0.8, reset_mechanism="none"), r"fc1 \(Linear\): no neurons fire between"),
        (lambda: snn.Leaky(torch.linspace(0.1, 0.9, HIDDEN), reset_mechanism="zero"), r"beta differs .* \(0.1..0.9\)"),
        (lambda: snn.Leaky(0.8, threshold=0.0, reset_mechanism="zero"), r"threshold 0 is not above 0"),
        (lambda: snn.Lapicque(0.8, reset_mechanism="zero"), r"lif1 \(Lapicque\): snnTorch's Lapicque has no"),
    ],
)
def test_what_no_integer_network_has_is_refused_with_module_and_reason(neurons, message):
    net = Net(neurons(), snn.Leaky(0.8, reset_mechanism="zero"))
    with pytest.raises(ExportError, match=message):
        dt.export(net, "loihi2", samples()[0])
