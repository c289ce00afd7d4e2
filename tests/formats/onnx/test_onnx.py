"""ONNX graphs against the reference: every u, v and spike, in every form, in onnxruntime and onnx's own evaluator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from golden import regenerate
from hypothesis import given, settings
from hypothesis import strategies as st
from random_networks import random_network

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.frames import padded_input
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.errors import BackendError, DataError, ExportError, MissingExtraError
from delaytool.formats.onnx import delayed_weights as weights_module
from delaytool.formats.onnx import graph_writer
from delaytool.formats.onnx.delayed_weights import in_pieces
from delaytool.formats.onnx.sequence import loops_in_order, sequence_model
from delaytool.formats.onnx.step import NEXT, step_model
from delaytool.formats.onnx.write import write_onnx
from delaytool.runtime import reference
from delaytool.runtime.backends.onnx import FORMS, OnnxBackend, first_state, open_session, run_sequence, run_steps
from delaytool.runtime.decode import decode
from delaytool.runtime.trace import Trace

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

GOLDEN = sorted(regenerate.FOLDER.glob("*.h5"))
# Golden vectors that the format refuses, and why.
REFUSED: dict[str, str] = {}
NODE_MODULES = "DELAYTOOL_NODE_MODULES"
# Before, onnx's evaluator rounded integer quotients down; ONNX says toward zero.
right_evaluator = pytest.mark.skipif(
    tuple(map(int, onnx.__version__.split(".")[:2])) < (1, 20), reason="this onnx's evaluator divides integers wrongly"
)
QUANTITIES = ("spikes", "u", "v")


def assert_same(expected: Trace, got: Trace) -> None:
    for name in QUANTITIES:
        for index, (first, second) in enumerate(zip(getattr(expected, name), getattr(got, name), strict=True)):
            assert first.dtype == second.dtype
            np.testing.assert_array_equal(first, second, err_msg=f"{name} of layer {index}")


def trace_of(values: dict[str, np.ndarray], network: IntegerNetwork) -> Trace:
    layers = range(len(network.layers))
    return Trace(
        spikes=tuple(values[f"spikes/{index}"].astype(np.bool_) for index in layers),
        u=tuple(values[f"u/{index}"] for index in layers),
        v=tuple(values[f"v/{index}"] for index in layers),
    )


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("path", GOLDEN, ids=[path.stem for path in GOLDEN])
def test_golden_vectors(path, form):
    network, frames, expected = regenerate.load(path)
    if path.stem in REFUSED:
        with pytest.raises(ExportError, match=REFUSED[path.stem]):
            OnnxBackend(form)(network, frames)
    else:
        assert_same(expected, OnnxBackend(form, threads=1)(network, frames))


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), even=st.booleans(), max_delay=st.sampled_from([0, 62, 300]))
def test_random_networks(form, seed, even, max_delay):
    network, frames = random_network(np.random.default_rng(seed), even_weights=even, max_delay=max_delay)
    assert_same(reference.run(network, frames), OnnxBackend(form, threads=1)(network, frames))


def wide_network(rng: np.random.Generator, max_count: int, largest: int) -> IntegerNetwork:
    """Weights far beyond 8 bits, several groups and exponents into one layer, so that pieces add up."""

    def group(source: int, n_out: int, n_in: int, exponent: int) -> DenseSynapses:
        weight = rng.integers(-largest, largest + 1, (n_out, n_in))
        return DenseSynapses(source, weight, rng.integers(0, 6, (n_out, n_in)), exponent)

    hidden = IntegerLayer("hidden", 5, (group(0, 5, 4, 0), group(0, 5, 4, 3)), dv=409, threshold=100_000)
    readout = IntegerLayer("readout", 3, (group(1, 3, 5, 2),), dv=409, threshold=131071, du=2000)
    encoding = InputEncoding(4, max_count=max_count, n_steps=30)
    return IntegerNetwork(encoding, (hidden, readout), Readout("softmax-sum", 1e5, 5, 36), 40)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("max_count", "largest"), [(1, 1 << 19), (2, 40_000), (200, 1500), (255, 300)])
def test_weights_beyond_eight_bits_and_payloads_beyond_seven(form, max_count, largest):
    rng = np.random.default_rng(largest)
    network = wide_network(rng, max_count, largest)
    frames = rng.integers(0, max_count + 1, (3, 30, 4)).astype(np.uint8)
    expected = reference.run(network, frames)
    assert expected.events()[:, 0].min() > 0
    assert_same(expected, OnnxBackend(form, threads=1)(network, frames))


@given(st.lists(st.integers(-(2**25), 2**25), min_size=1, max_size=20))
def test_pieces_add_up_to_the_weights(values):
    weight = np.array(values, np.int64)
    total = np.zeros_like(weight)
    for digits, factor in in_pieces(weight):
        assert digits.dtype == np.int8
        total += digits.astype(np.int64) * factor
        assert np.abs(digits.astype(np.int64) * factor).max() <= 2 * np.abs(weight).max()
    np.testing.assert_array_equal(total, weight)


def test_even_weights_of_a_mixed_sign_group_are_one_piece():
    assert len(in_pieces(np.array([-256, 254, 2], np.int64) << 7)) == 1


def saturating_matmul(monkeypatch) -> type:
    """MatMulInteger as an x86 processor without VNNI does it: neighbouring products are added in saturating 16 bits."""
    from onnx.reference.op_run import OpRun

    class MatMulInteger(OpRun):
        def _run(self, a, b):
            assert a.dtype == np.uint8
            assert b.dtype == np.int8
            wide = a.astype(np.int64)[..., None] * b.astype(np.int64)
            if wide.shape[-2] % 2:
                wide = np.concatenate([wide, np.zeros_like(wide[..., :1, :])], axis=-2)
            pairs = wide[..., 0::2, :] + wide[..., 1::2, :]
            return (np.clip(pairs, -(1 << 15), (1 << 15) - 1).sum(axis=-2).astype(np.int32),)

    return MatMulInteger


def evaluated(network: IntegerNetwork, frames: np.ndarray, new_ops: list[type] | None = None) -> Trace:
    from onnx.reference import ReferenceEvaluator

    model = sequence_model(network, trace=True)
    names = [output.name for output in model.graph.output]
    values = ReferenceEvaluator(model, new_ops=new_ops).run(names, {"frames": frames})
    return trace_of(dict(zip(names, values, strict=True)), network)


@right_evaluator
def test_no_product_saturates_on_processors_without_vnni(monkeypatch):
    rng = np.random.default_rng(3)
    weight = rng.choice([-256, 254], (3, 6))
    layer = IntegerLayer("out", 3, (DenseSynapses(0, weight, np.zeros((3, 6), int)),), dv=409, threshold=131071)
    network = IntegerNetwork(InputEncoding(6, max_count=255), (layer,), Readout("sum", 1.0, 0, 12), 12)
    frames = rng.integers(200, 256, (2, 12, 6)).astype(np.uint8)
    expected = reference.run(network, frames)
    assert_same(expected, evaluated(network, frames, [saturating_matmul(monkeypatch)]))
    # With payloads of eight bits in one piece it would: so the evaluator above sees what this machine does not.
    monkeypatch.setattr("delaytool.formats.onnx.nodes.PAYLOAD_BITS", 8)
    assert weights_module.PAYLOAD_BITS == 7
    assert not np.array_equal(evaluated(network, frames, [saturating_matmul(monkeypatch)]).u[0], expected.u[0])


@right_evaluator
@pytest.mark.parametrize("name", ["rounding", "recurrent-and-skip", "graded-input", "membrane-clips", "current-wraps"])
def test_another_runtime_agrees(name):
    """onnx's own evaluator shares no code with onnxruntime."""
    network, frames, expected = regenerate.load(regenerate.FOLDER / f"{name}.h5")
    assert_same(expected, evaluated(network, frames))


@pytest.mark.parametrize("opset", [graph_writer.LOWEST_OPSET, graph_writer.HIGHEST_OPSET])
@pytest.mark.parametrize("name", ["three-layers", "recurrent-and-skip", "graded-input", "biases"])
def test_lowest_and_highest_opset(name, opset):
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip(f"this onnx ends at opset {onnx.defs.onnx_opset_version()}")
    if opset > 21 and tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 23):
        pytest.skip(f"onnxruntime {onnxruntime.__version__} ends before opset {opset}")
    network, frames, expected = regenerate.load(regenerate.FOLDER / f"{name}.h5")
    for convolution in (False, True):
        model = sequence_model(network, trace=True, convolution=convolution, opset=opset)
        assert_same(expected, run_sequence(open_session(model.SerializeToString()), network, frames))
    model = step_model(network, opset=opset)
    assert_same(expected, run_steps(open_session(model.SerializeToString()), network, frames))


@pytest.mark.parametrize("opset", [graph_writer.LOWEST_OPSET - 1, graph_writer.HIGHEST_OPSET + 1])
def test_other_opsets_are_refused(opset):
    network = regenerate.load(GOLDEN[0])[0]
    with pytest.raises(ExportError, match=f"opset {opset} is outside"):
        sequence_model(network, opset=opset)


def test_only_standard_operators():
    network = regenerate.load(regenerate.FOLDER / "recurrent-and-skip.h5")[0]
    for model in (sequence_model(network, trace=True), sequence_model(network, convolution=True), step_model(network)):
        assert [entry.domain for entry in model.opset_import] == [""]
        nodes = list(model.graph.node)
        while nodes:
            node = nodes.pop()
            assert node.domain == ""
            nodes += [inner for attribute in node.attribute for inner in attribute.g.node]


@pytest.mark.parametrize("method", ["softmax-sum", "sum"])
def test_scores_and_class_are_the_decoders(method):
    """The scores of 'softmax-sum' but for their last bits: exp and the order of addition are the runtime's."""
    rtol = 0 if method == "sum" else 1e-12
    rng = np.random.default_rng(8)
    network = wide_network(rng, 3, 20_000)
    network = replace(network, readout=replace(network.readout, method=method))
    frames = rng.integers(0, 4, (7, 30, 4)).astype(np.uint8)
    classes, scores = decode(network, reference.run(network, frames).readout)
    session = open_session(sequence_model(network).SerializeToString())
    assert [output.name for output in session.get_outputs()] == ["scores", "class"]
    got_scores, got_classes = session.run(None, {"frames": frames})
    np.testing.assert_array_equal(got_classes, classes)
    np.testing.assert_allclose(got_scores, scores, rtol=rtol)
    # And step by step, the batch being the samples.
    session = open_session(step_model(network).SerializeToString())
    state = first_state(network, len(frames))
    names = [output.name for output in session.get_outputs()]
    for frame in padded_input(frames, network.n_steps).transpose(1, 0, 2):
        values = dict(zip(names, session.run(names, {"frame": frame, **state}), strict=True))
        state = {name: values[NEXT + name] for name in state}
    np.testing.assert_array_equal(values["class"], classes)
    np.testing.assert_allclose(values["next_scores"], scores, rtol=rtol)
    assert values["next_step"][0] == network.n_steps


def test_the_lowest_class_wins_a_tie():
    layer = IntegerLayer("out", 3, (), dv=4096, threshold=131071, bias_mantissa=np.array([1, 5, 5]))
    network = IntegerNetwork(InputEncoding(2), (layer,), Readout("softmax-sum", 8.0, 0, 4), 4)
    session = open_session(sequence_model(network).SerializeToString())
    assert session.run(["class"], {"frames": np.zeros((1, 4, 2), np.uint8)})[0].tolist() == [1]


def test_metadata_state_how_to_use_it():
    network = regenerate.load(regenerate.FOLDER / "three-layers.h5")[0]
    for model, graph in ((sequence_model(network), "sequence"), (step_model(network), "step")):
        values = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
        assert values["delaytool.encoding"] == network.encoding.as_dict()
        assert len(values["delaytool.classes"]) == network.n_classes
        assert values["delaytool.n_steps"] == network.n_steps
        assert values["delaytool.graph"] == graph
    assert set(values["delaytool.state"]) | {"step"} == set(first_state(network, 1))


def test_layers_in_loops_stand_together():
    def network(*sources: tuple[int, ...]) -> IntegerNetwork:
        groups = [tuple(DenseSynapses(source, [[2]], [[0]]) for source in into_one) for into_one in sources]
        layers = tuple(IntegerLayer(f"l{k}", 1, group, dv=1, threshold=1) for k, group in enumerate(groups))
        return IntegerNetwork(InputEncoding(1), layers, Readout("sum", 1.0, 0, 4), 4)

    assert loops_in_order(network((0,), (1,), (2,))) == [[0], [1], [2]]
    assert loops_in_order(network((0, 2), (1,), (2,))) == [[0, 1], [2]]
    assert loops_in_order(network((2,), (3,), (0,))) == [[2], [1], [0]]
    assert loops_in_order(network((0, 1), (1, 3), (2, 2))) == [[0], [1, 2]]


def test_a_long_delay_costs_only_what_occurs():
    """Delays of thousands of steps, few of them: one matrix per delay that occurs, none for the gaps."""
    taps = np.array([(0, 0, 40, 0), (0, 1, 60, 3000), (1, 0, -6, 2999), (1, 1, 80, 32767)])
    layer = IntegerLayer("out", 2, (SparseSynapses(0, 2, 2, *taps.T),), dv=100, threshold=131071)
    network = IntegerNetwork(InputEncoding(2, values="binary"), (layer,), Readout("sum", 1.0, 0, 3100), 3100)
    frames = np.zeros((1, 100, 2), np.uint8)
    frames[0, ::7] = 1
    expected = reference.run(network, frames)
    assert expected.u[0][0, 3001:].any()
    for form in ("sequence", "step"):
        assert_same(expected, OnnxBackend(form, threads=1)(network, frames))
    assert sequence_model(network).ByteSize() < 500_000


def test_what_one_file_cannot_hold_is_refused(monkeypatch):
    monkeypatch.setattr(graph_writer, "MOST_BYTES", 1000)
    network = regenerate.load(regenerate.FOLDER / "three-layers.h5")[0]
    with pytest.raises(ExportError, match="more than the 2 GiB that one ONNX file holds"):
        sequence_model(network)


@pytest.mark.parametrize(
    ("frames", "text"),
    [
        (np.ones((5, 1), np.uint8), "shape"),
        (np.ones((1, 5, 2), np.uint8), "shape"),
        (np.ones((1, 5, 1)), "float64"),
        (np.full((1, 5, 1), 2, np.uint8), "the value 2"),
        (np.full((1, 5, 1), -1), "the value -1"),
    ],
)
def test_frames_that_the_network_cannot_read_are_refused(frames, text):
    with pytest.raises(DataError, match=text):
        OnnxBackend()(regenerate.load(regenerate.FOLDER / "delay-0.h5")[0], frames)


def test_no_samples_are_no_samples():
    network = regenerate.load(regenerate.FOLDER / "three-layers.h5")[0]
    for form in FORMS:
        trace = OnnxBackend(form)(network, np.zeros((0, 10, 12), np.uint8))
        assert [array.shape for array in trace.v] == [(0, 120, 16), (0, 120, 16), (0, 120, 5)]


def test_an_unknown_form_is_refused():
    with pytest.raises(BackendError, match="choose one of sequence, convolution, step"):
        OnnxBackend("loop")


def test_without_the_packages_the_error_names_the_extra(monkeypatch):
    import builtins

    real = builtins.__import__

    def absent(name, *arguments, **keywords):
        if name.split(".")[0] in ("onnx", "onnxruntime"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *arguments, **keywords)

    network, frames, _ = regenerate.load(GOLDEN[0])
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtraError, match=r"\[onnx\]"):
        sequence_model(network)
    with pytest.raises(MissingExtraError, match=r"\[onnx\]"):
        open_session(b"")
    with pytest.raises(MissingExtraError, match=r"\[onnx\]"):
        OnnxBackend()(network, frames)


def test_files_are_what_the_backend_runs(tmp_path):
    network, frames, expected = regenerate.load(regenerate.FOLDER / "recurrent-and-skip.h5")
    whole, step = write_onnx(network, tmp_path / "net.onnx", trace=True)
    assert [path.name for path in (whole, step)] == ["net.onnx", "net-step.onnx"]
    assert_same(expected, run_sequence(open_session(str(whole)), network, frames))
    assert_same(expected, run_steps(open_session(str(step)), network, frames))
    first = whole.read_bytes()
    write_onnx(network, whole, trace=True)
    assert whole.read_bytes() == first


@pytest.fixture
def node_environment() -> dict[str, str]:
    """An environment in which node finds onnxruntime-node: in $DELAYTOOL_NODE_MODULES. Skips where it does not."""
    folder = os.environ.get(NODE_MODULES)
    if folder is None or not (Path(folder) / "onnxruntime-node").is_dir() or shutil.which("node") is None:
        pytest.skip(
            "node or onnxruntime-node is not there; npm install --ignore-scripts onnxruntime-node, "
            f"then set {NODE_MODULES} to its node_modules"
        )
    return {**os.environ, "NODE_PATH": folder}


def test_javascript_agrees(tmp_path, node_environment):
    network, frames, expected = regenerate.load(regenerate.FOLDER / "recurrent-and-skip.h5")
    model, _ = write_onnx(network, tmp_path / "net.onnx", trace=True)
    given, got = tmp_path / "frames.json", tmp_path / "out.json"
    given.write_text(json.dumps({"shape": frames.shape, "values": frames.ravel().tolist()}), encoding="utf-8")
    command = ["node", str(Path(__file__).with_name("run_in_node.cjs")), str(model), str(given), str(got)]
    done = subprocess.run(command, env=node_environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    values = {
        name: np.array(tensor["values"]).reshape(tensor["shape"]).astype(np.uint8 if "spikes" in name else np.int32)
        for name, tensor in json.loads(got.read_text(encoding="utf-8")).items()
        if "/" in name
    }
    assert_same(expected, trace_of(values, network))
