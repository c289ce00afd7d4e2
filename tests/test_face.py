"""`import delaytool as dt`: the public names, and what is done with them without PyTorch."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import delaytool as dt
from delaytool.errors import BackendError, DataError, VerificationError

WITHOUT_TORCH = ("DelaytoolError", "IntegerNetwork", "Stream", "Trace", "Verdict", "load", "run", "verify")
HAS_TORCH = importlib.util.find_spec("torch") is not None


@pytest.fixture
def network_and_frames(random_network):
    """A random network of 2 classes or more, each hidden layer of which fires on its frames."""
    for seed in range(200):
        network, frames = random_network(np.random.default_rng(seed))
        hidden = dt.run(network, frames, "reference").spikes[:-1]
        if network.n_classes > 1 and len(frames) > 1 and hidden and all(layer.any() for layer in hidden):
            return network, frames
    raise AssertionError("no random network fires")


def test_every_public_name_is_there() -> None:
    for name in dt.__all__:
        if HAS_TORCH or name in WITHOUT_TORCH:
            assert getattr(dt, name) is not None
    assert set(dt.__all__) <= set(dir(dt))
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = dt.trian


def test_type_checkers_see_the_names_that_are_loaded_by_name() -> None:
    """The table, the imports for type checkers and __all__ are three lists of the same names from the same modules."""
    tree = ast.parse(Path(dt.__file__).read_text(encoding="utf-8"))
    seen = {
        alias.name: node.module
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If)
        for node in branch.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == dt._NAMES
    assert {*dt._NAMES, "__version__"} == set(dt.__all__)


def test_the_import_loads_nothing_and_the_right_half_no_pytorch(random_network, tmp_path) -> None:
    network, frames = random_network(np.random.default_rng(1))
    network.save(tmp_path / "network.h5")
    np.save(tmp_path / "frames.npy", frames)
    code = """
import sys

class NoTorch:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, NoTorch())
import delaytool as dt
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"numpy", "h5py", "numba", "click", "pydantic"}, loaded
import numpy as np
network, frames = dt.load(sys.argv[1]), np.load(sys.argv[2])
trace = dt.run(network, frames, backend="reference")
labels = np.zeros(len(frames), int)
verdict = dt.verify(network, frames, labels, backends=["engine", "reference"])
stream = dt.Stream(network)
padded = np.zeros((network.n_steps, network.encoding.n_channels), np.uint8)
padded[: frames.shape[1]] = frames[0][: network.n_steps]
steps = [stream.step(frame).readout for frame in padded]
assert np.array_equal(steps, trace.readout[0])
print(verdict.passed, isinstance(verdict, dt.Verdict), "torch" in sys.modules)
"""
    command = [sys.executable, "-c", code, str(tmp_path / "network.h5"), str(tmp_path / "frames.npy")]
    result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == ["True", "True", "False"]


def test_frames_are_taken_as_arrays_lists_and_floats(random_network) -> None:
    network, frames = random_network(np.random.default_rng(2))
    wanted = dt.run(network, frames, "reference")
    for given in (frames.tolist(), frames.astype(np.float32), frames.astype(np.int64)):
        for one, other in zip(dt.run(network, given, "reference").v, wanted.v, strict=True):
            np.testing.assert_array_equal(one, other)
    for wrong, message in (
        (frames[0], r"frames have shape .*; \(samples, steps, channels\) are needed"),
        (frames + 0.5, "not whole numbers"),
        (frames.astype(float) - 300, "frames hold the value -3"),
        ([[[1, 0], [1]]], "lists of unequal lengths"),
    ):
        with pytest.raises(DataError, match=message):
            dt.run(network, wrong, "reference")
    with pytest.raises(BackendError, match="backend 'motor' is unknown"):
        dt.run(network, frames, "motor")


def test_a_verdict_has_the_accuracy_of_each_class_by_name(network_and_frames) -> None:
    network, frames = network_and_frames
    names = tuple(f"class {number}" for number in range(network.n_classes))
    network = replace(network, class_names=names)
    labels = np.arange(len(frames)) % network.n_classes
    verdict = dt.verify(network, frames, [names[label] for label in labels], ["reference", "engine"])
    np.testing.assert_array_equal(verdict.labels, labels)
    for number, one in enumerate(verdict.class_accuracies):
        of_class = labels == number
        assert (one.name, one.samples) == (names[number], of_class.sum())
        expected = (verdict.predictions[of_class] == number).mean() if of_class.any() else None
        assert one.accuracy == expected
    assert [one["name"] for one in verdict.as_dict()["class_accuracy"]] == list(names)
    assert [one.name for one in dt.verify(replace(network, class_names=()), frames, labels).class_accuracies] == [
        str(number) for number in range(network.n_classes)
    ]
    with pytest.raises(DataError, match="label 'dog' is none of the classes class 0"):
        dt.verify(network, frames, ["dog"] * len(frames))


def test_what_the_integers_cost_counts_where_it_is_asked_for(network_and_frames) -> None:
    network, frames = network_and_frames
    labels = dt.verify(network, frames, np.zeros(len(frames), int)).predictions
    wrong = (labels + 1) % network.n_classes
    assert dt.verify(network, frames, labels, float_accuracy=1.0, max_drop=0.5).passed
    failed = dt.verify(network, frames, wrong, float_accuracy=1.0, max_drop=0.5)
    assert not failed.passed
    assert failed.drop == 100.0
    assert not dt.verify(network, frames, labels, max_drop=0.5).passed  # not known
    with pytest.raises(DataError, match=r"float_accuracy 97 is no share"):
        dt.verify(network, frames, labels, float_accuracy=97)
    with pytest.raises(VerificationError, match="nothing would be compared"):
        dt.verify(network, frames, labels, ["engine"])


def test_what_is_printed_is_short_and_has_shapes(network_and_frames) -> None:
    network, frames = network_and_frames
    layer = network.layers[0]
    network = replace(network, layers=(replace(layer, name="<b>\x1b[2J"), *network.layers[1:]))
    verdict = dt.verify(network, frames, np.zeros(len(frames), int))
    trace = dt.run(network, frames)
    for thing in (network, *network.layers, *layer.synapses, trace, verdict):
        assert "array" not in repr(thing)
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 400
    assert f"{network.n_synapses} synapses" in repr(network)
    assert f"{len(frames)} samples, {network.n_steps} steps" in repr(trace)
    assert "passed" in repr(verdict)
    for page in (network._repr_html_(), verdict._repr_html_()):
        assert page.startswith("<table>")
        assert page.endswith("</table>")
        assert "<b>" not in page
        assert "\x1b" not in page
    assert "&lt;b&gt;\\x1b[2J" in network._repr_html_()


@pytest.mark.skipif(
    importlib.util.find_spec("delaytool.inference") is None, reason="delaytool.inference is not there yet"
)
def test_predict_is_the_inference_s() -> None:
    from delaytool.inference.predict import predict

    assert dt.predict is predict
