"""A float network in onnxruntime beside PyTorch: layer by layer on equal input, and as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import ExportError
from delaytool.exporter.float_onnx import float_difference, float_stages, write_float_onnx
from delaytool.models.delay_network import class_scores
from delaytool.quantization.fold_batch_norm import fold_batch_norm
from delaytool.quantization.program_of_network import program_of_network

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from delaytool.formats.onnx.float_sequence import float_model
from delaytool.runtime.backends.onnx import open_session

KINDS = {
    "chip time": {},
    "paper's time": {"timing": "paper"},
    "biases, no batch norm": {"batch_norm": False, "bias": True},
    "a current of its own": {"neuron": "cuba", "tau_current": 3.0},
    "learned tau": {"neuron": "plif"},
    "several taps": {"kernel_count": 3},
    "recurrent": {"recurrent": True, "recurrent_max_delay": 4},
    "recurrent with a current": {"recurrent": True, "neuron": "cuba", "tau_current": 2.0},
    "no delays": {"delays": "none"},
    "no leak": {"tau": 4096.0},
}


def stage_alone(stage, n_in: int, n_steps: int):
    """A session of one stage on its own, whose input is spikes."""
    encoding = InputEncoding(n_units=n_in, n_steps=n_steps, values="count", max_count=255, start="zero")
    return open_session(float_model(encoding, [stage], trace=True).SerializeToString())


@pytest.mark.parametrize("kind", KINDS)
def test_each_layer_on_equal_input(make_model, frames, kind):
    model, encoding = make_model(**KINDS[kind])
    with torch.no_grad():
        spikes, membrane = model.traced(torch.from_numpy(frames))
    given = [frames, *(layer.transpose(0, 1).numpy().astype(np.uint8) for layer in spikes)]
    stages = float_stages(fold_batch_norm(program_of_network(model, encoding)))
    for index, (stage, x) in enumerate(zip(stages, given, strict=True)):
        session = stage_alone(stage, x.shape[2], x.shape[1])
        if stage.threshold is not None:
            assert given[index + 1].any()
            (got,) = session.run(["spikes/0"], {"frames": x})
            np.testing.assert_array_equal(got, given[index + 1])
        else:
            (got,) = session.run(["v/0"], {"frames": x})
            np.testing.assert_allclose(got, membrane.transpose(0, 1).numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_currents_to_a_hundred_thousandth(make_model, frames, kind):
    """The membranes of hidden layers, with a threshold that they never reach, so that no spike hides a difference."""
    model, encoding = make_model(**KINDS[kind])
    if model.config.recurrent:
        model.config = model.config.model_copy(update={"recurrent": False})
    for layer in model.hidden:
        layer.recurrent = None
    stages = float_stages(fold_batch_norm(program_of_network(model, encoding)))
    with torch.no_grad():
        for index, (layer, stage) in enumerate(zip(model.hidden, stages, strict=False)):
            n_in = layer.synapses.weight.shape[1]
            x = np.random.default_rng(index).integers(0, 2, (8, 20, n_in)).astype(np.uint8)
            current = layer.current(model.sent(torch.from_numpy(x).float().transpose(0, 1)), stage.n_steps, None)
            expected = layer.neurons.membrane(current).transpose(0, 1).numpy()
            session = stage_alone(replace(stage, threshold=None), n_in, 20)
            (got,) = session.run(["v/0"], {"frames": x})
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_whole_network(make_model, frames, tmp_path, kind):
    model, encoding = make_model(**KINDS[kind])
    path = write_float_onnx(model, encoding, tmp_path / "float.onnx", trace=True)
    with torch.no_grad():
        spikes, membrane = model.traced(torch.from_numpy(frames))
    expected = class_scores(membrane)
    session = open_session(str(path))
    names = [f"spikes/{index}" for index in range(len(spikes))]
    *got, scores, classes = session.run([*names, "scores", "class"], {"frames": frames})
    difference = float_difference(
        model.layer_names()[: len(spikes)],
        ([layer.transpose(0, 1).numpy() for layer in spikes], got),
        (expected.argmax(1).numpy(), classes),
    )
    assert difference.samples == len(frames)
    assert difference.classes == 0
    assert max(difference.spikes.values()) == 0
    np.testing.assert_allclose(scores, expected.numpy(), rtol=1e-4)


def test_differences_are_shares():
    one, other = np.zeros((2, 2, 5, 3), np.uint8)
    one[0, :4, 0] = 1
    other[0, 1:5, 0] = 1
    found = float_difference(["hidden1"], ([one], [other]), (np.array([0, 1]), np.array([0, 2])))
    assert found.spikes == {"hidden1": 0.5}
    assert found.classes == 0.5
    assert found.samples == 2


def test_neurons_that_the_graph_does_not_have_are_refused(make_model, tmp_path):
    model, encoding = make_model(neuron="adaptive")
    with pytest.raises(ExportError, match=r"one constant threshold per layer, and .* is 'adaptive'; evaluate"):
        write_float_onnx(model, encoding, tmp_path / "float.onnx")
    assert not list(tmp_path.iterdir())
