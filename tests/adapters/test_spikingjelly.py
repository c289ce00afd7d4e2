"""A model of spikingjelly's and dcls' modules, built and trained by their own API, exported without a file."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import delaytool as dt
from delaytool.errors import ExportError

dcls = pytest.importorskip("DCLS.construct.modules", reason="the oracle DCLS is not installed")
neuron = pytest.importorskip("spikingjelly.activation_based.neuron", reason="the oracle spikingjelly is not installed")
from spikingjelly.activation_based import functional as theirs  # noqa: E402
from spikingjelly.activation_based import layer, surrogate  # noqa: E402

KERNEL, CHANNELS, HIDDEN, CLASSES, STEPS = 9, 6, 16, 2, 24


class Model(nn.Module):
    """As arXiv 2306.17670's code builds it: each convolution is padded in front, and by half as much behind."""

    def __init__(self, kind="LIFNode", decay_input=False, version="gauss", bias=False, taps=1):
        super().__init__()
        options = dict(v_threshold=1.0, surrogate_function=surrogate.ATan(5.0), detach_reset=True, step_mode="m")
        options |= {"decay_input": decay_input, "tau" if kind == "LIFNode" else "init_tau": 2.5}
        common = dict(kernel_count=taps, dilated_kernel_size=KERNEL, version=version)
        self.first = dcls.Dcls1d(CHANNELS, HIDDEN, bias=bias, **common)
        self.norm = layer.BatchNorm1d(HIDDEN, step_mode="m")
        self.lif = getattr(neuron, kind)(**options)
        self.dropout = layer.Dropout(0.2, step_mode="m")
        self.second = dcls.Dcls1d(HIDDEN, CLASSES, bias=bias, **common)
        self.readout = neuron.LIFNode(
            tau=2.5, v_threshold=1e9, decay_input=decay_input, step_mode="m", store_v_seq=True
        )
        nn.init.constant_(self.norm.weight, 3.0)  # so that the hidden layer fires from the start
        nn.init.uniform_(self.first.P, -(KERNEL // 2), KERNEL // 2)
        nn.init.uniform_(self.second.P, -(KERNEL // 2), KERNEL // 2)
        for convolution in (self.first, self.second):
            if bias:
                nn.init.uniform_(convolution.bias, -0.2, 0.2)

    @staticmethod
    def delayed(convolution, x):  # (time, batch, neuron)
        return convolution(functional.pad(x.permute(1, 2, 0), (KERNEL - 1, KERNEL // 2))).permute(2, 0, 1)

    def forward(self, x):
        theirs.reset_net(self)
        x = self.norm(self.delayed(self.first, x).unsqueeze(3)).squeeze(3)
        x = self.delayed(self.second, self.dropout(self.lif(x)))
        self.readout(x)
        return self.readout.v_seq

    def stages(self):
        padding = dt.Padding(KERNEL - 1, KERNEL // 2)
        return [padding, self.first, self.norm, self.lif, self.dropout, padding, self.second, self.readout]

    def rounded(self):
        """As that code rounds a network for its evaluation."""
        for convolution in (self.first, self.second):
            with torch.no_grad():
                convolution.P.round_()
                if convolution.SIG is not None:
                    convolution.SIG.zero_()
                    convolution.version = convolution.DCK.version = "max"
        return self.eval()


def samples(seed=0, n=48):
    """(sample, time, channel) 0 or 1: a sweep over the channels, up or down in time, among noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    frames = (rng.random((n, STEPS, CHANNELS)) < 0.05).astype(np.uint8)
    for sample, label in enumerate(labels):
        order = range(CHANNELS) if label else reversed(range(CHANNELS))
        for index, channel in enumerate(order):
            frames[sample, 3 + 2 * index, channel] = 1
    return frames, labels


def trained(model, frames, labels, epochs=2):
    """Weights and positions by their own loop, two epochs."""
    x, y = torch.from_numpy(frames).float().transpose(0, 1), torch.from_numpy(labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(epochs):
        for batch in torch.arange(len(y)).split(8):
            optimizer.zero_grad()
            scores = functional.softmax(model.train()(x[:, batch]), dim=2).sum(0)
            functional.cross_entropy(scores, y[batch]).backward()
            optimizer.step()
            model.first.clamp_parameters()
            model.second.clamp_parameters()
    return model


@pytest.mark.parametrize(
    ("kind", "decay_input", "version", "bias", "taps"),
    [
        ("LIFNode", False, "gauss", False, 1),
        ("LIFNode", True, "max", True, 2),
        ("ParametricLIFNode", True, "v1", False, 1),
        ("ParametricLIFNode", False, "gauss", True, 3),
    ],
)
def test_what_is_exported_computes_what_the_libraries_do_and_verifies(kind, decay_input, version, bias, taps):
    torch.manual_seed(1)
    frames, labels = samples()
    model = trained(Model(kind, decay_input, version, bias, taps), frames, labels)
    membrane = dt.simulate_stages(model, frames)[-1]
    with torch.no_grad():
        wanted = model.rounded()(torch.from_numpy(frames).float().transpose(0, 1)).transpose(0, 1).numpy()
    assert np.abs(wanted).max() > 0.05
    assert membrane.shape == wanted.shape
    # dcls divides each tap by its sum + 1e-7.
    np.testing.assert_allclose(membrane, wanted, rtol=1e-4, atol=1e-5)
    network = dt.export(model, "loihi2", frames)
    verdict = dt.verify(network, frames, labels, ["engine", "reference", "torch"])
    assert verdict.passed, verdict.reasons
    agreement = (verdict.predictions == torch.softmax(torch.from_numpy(wanted), 2).sum(1).argmax(1).numpy()).mean()
    assert agreement >= 0.9


def test_a_sequential_with_dcls_own_padding_is_a_causal_network():
    """padding = kernel - 1 on both sides: the output is longer by as much, and nothing is read ahead of its time."""
    torch.manual_seed(2)
    convolution = dcls.Dcls1d(
        CHANNELS, CLASSES, 1, padding=KERNEL - 1, dilated_kernel_size=KERNEL, version="v1", bias=True
    )
    nn.init.uniform_(convolution.P, -(KERNEL // 2), KERNEL // 2).data.round_()
    model = nn.Sequential(convolution)
    frames, _ = samples(n=4)
    with torch.no_grad():
        wanted = model(torch.from_numpy(frames).float().transpose(1, 2)).transpose(1, 2).numpy()
    got = dt.simulate_stages(model, frames)[-1]
    assert got.shape == (4, STEPS + KERNEL - 1, CLASSES)
    np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(m.lif, "v_reset", None), r"lif \(LIFNode\): a reset by subtraction .* resets to 0"),
        (lambda m: setattr(m.lif, "v_reset", -0.5), r"lif \(LIFNode\): v_reset -0.5"),
        (lambda m: setattr(m, "lif", neuron.QIFNode(step_mode="m")), r"lif \(QIFNode\): spikingjelly's QIFNode has no"),
        (lambda m: setattr(m.first, "groups", 2), r"first \(Dcls1d\): groups 2 has no counterpart"),
        (
            lambda m: m.first.P.data.fill_(7.0),
            r"first \(Dcls1d\): a position P reaches 7, outside its kernel of 9 taps",
        ),
        (lambda m: setattr(m.norm, "running_mean", None), r"norm \(BatchNorm1d\): it has no running statistics"),
        (lambda m: setattr(m, "lif", nn.ReLU()), r"lif \(ReLU\): the exporter does not know this class"),
    ],
)
def test_what_cannot_be_exported_names_module_and_reason(change, message):
    model = Model()
    change(model)
    with pytest.raises(ExportError, match=message):
        dt.export(model, "loihi2", samples()[0])


def test_a_convolution_without_padding_would_read_the_future():
    model = nn.Sequential(dcls.Dcls1d(CHANNELS, CLASSES, 1, dilated_kernel_size=KERNEL, version="v1"))
    with pytest.raises(ExportError, match=r"0 \(Dcls1d\): it reads input . steps ahead of its time; pad"):
        dt.export(model, "loihi2", samples()[0])
