"""Other formats and simulators as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest

from delaytool.commands.export_format import write_format
from delaytool.contract.network import IntegerNetwork
from delaytool.runtime.decode import decode

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
nir = pytest.importorskip("nir")

FIXTURES = Path(__file__).parents[1] / "fixtures"


def test_onnx_of_a_network_file_runs_on_its_own(network, call, tmp_path):
    path = tmp_path / "digits.onnx"
    result = call("export", network, "--target", "onnx", "-o", path, "--trace")
    assert result.exit_code == 0, result.output
    assert path.exists()
    assert (tmp_path / "digits-step.onnx").exists()
    held = IntegerNetwork.load(network)
    session = onnxruntime.InferenceSession(str(path))
    steps, channels = held.encoding.n_steps, held.encoding.n_channels
    frames = np.random.default_rng(0).integers(0, held.encoding.max_payload + 1, (5, steps, channels)).astype(np.uint8)
    last = len(held.layers) - 1
    classes, membrane = session.run(["class", f"v/{last}"], {"frames": frames})
    np.testing.assert_array_equal(classes, decode(held, membrane)[0])
    about = session.get_modelmeta().custom_metadata_map
    assert json.loads(about["delaytool.integers_sha256"]) == held.integers_sha256()
    assert len(json.loads(about["delaytool.classes"])) == 10


def test_a_run_becomes_a_network_file_and_its_graphs(run, call, tmp_path):
    result = call("export", run, "--target", "onnx", "--chip", "ideal", "-o", tmp_path / "mine.onnx")
    assert result.exit_code == 0, result.output
    made = IntegerNetwork.load(tmp_path / "mine.h5")
    assert made.target == "ideal"
    assert {path.name for path in tmp_path.iterdir()} == {"mine.h5", "mine.onnx", "mine-step.onnx"}
    assert "verify" in result.output
    assert "--backend onnx" in result.output


def test_verify_in_onnxruntime(network, call):
    result = call(
        "verify", network, "--backend", "onnx", "--against", "onnx-step", "--against", "reference", "--samples", 20,
        "--no-drop",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "PASS: onnx, onnx-step, reference agree on every bit" in result.output


def test_the_float_network_reports_how_far_it_is_from_pytorch(run, call, tmp_path):
    path = tmp_path / "float.onnx"
    result = call("export", run, "--target", "onnx-float", "-o", path, "--calibration-samples", 40)
    assert result.exit_code == 0, result.output
    assert "on 40 samples of the run's data, onnxruntime beside PyTorch: spikes that differ hidden1" in result.output
    assert "classes that differ" in result.output
    names = [output.name for output in onnxruntime.InferenceSession(str(path)).get_outputs()]
    assert names == ["scores", "class"]
    result = call("export", run, "--target", "onnx-float", "-o", path, "--trace")
    assert result.exit_code == 0, result.output
    assert "spikes/0" in [output.name for output in onnxruntime.InferenceSession(str(path)).get_outputs()]


def test_a_network_file_has_no_float_network(network, call):
    result = call("export", network, "--target", "onnx-float")
    assert result.exit_code == 2
    assert "holds integers alone; give the run folder" in result.output


def test_nir_comes_back(network, call, tmp_path):
    path = tmp_path / "digits.nir"
    result = call("export", network, "--target", "nir", "-o", path)
    assert result.exit_code == 0, result.output
    result = call("import", path)
    assert result.exit_code == 0, result.output
    assert IntegerNetwork.load(tmp_path / "digits.h5") == IntegerNetwork.load(network)


def test_what_export_wrote_in_another_format_is_named(network, call, tmp_path):
    """A NIR file is known by what it holds, whatever its name; both are refused where a network file is asked for."""
    for name in ("digits.nir", "DIGITS.NIR", "digits.net"):
        result = call("export", network, "--target", "nir", "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
        result = call("import", tmp_path / name, "-o", tmp_path / "again.h5")
        assert result.exit_code == 0, result.output
        assert IntegerNetwork.load(tmp_path / "again.h5") == IntegerNetwork.load(network)
    for file, kind in ((tmp_path / "digits.nir", "NIR"), (FIXTURES / "netx-v1.net", "netx")):
        for arguments in (("verify",), ("map",), ("export", "--target", "nir"), ("predict", "--sample", 0, tmp_path)):
            result = call(arguments[0], file, *arguments[1:])
            assert result.exit_code == 2
            expected = f"this is a {kind} file; read it with: delaytool import {file} -o OUTPUT"
            assert expected in " ".join(result.output.split()), arguments


def test_what_cannot_be_imported_is_named_before_its_output(network, call, tmp_path):
    """Also where a file of the default name is there."""
    for name, content in (("net.h5", network.read_bytes()), ("net.onnx", b"onnx"), ("none.net", None)):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        for more in ((), ("-o", tmp_path / "other.h5")):
            result = call("import", tmp_path / name, *more)
            assert result.exit_code == 2
            expected = "no such file" if content is None else "this is neither a netx file nor a NIR file"
            assert f"{tmp_path / name}: {expected}; give a netx file (.net) or a NIR file (.nir)" in result.output


def test_what_is_made_of_a_file_without_digests_is_called_so(call, tmp_path):
    warning = "carries no digests: those of the file that is written cover the numbers as they were read"
    graph = tmp_path / "net.nir"
    for arguments, source in (
        (("export", FIXTURES / "network-v1-sparse.h5", "--target", "nir", "-o", graph), "network-v1-sparse.h5"),
        (("import", FIXTURES / "netx-v1.net", "-o", tmp_path / "net.h5"), "netx-v1.net"),
    ):
        result = call(*arguments)
        assert result.exit_code == 0, result.output
        assert f"warning: {FIXTURES / source} {warning}" in " ".join(result.stderr.split())
    result = call("import", graph, "-o", tmp_path / "again.h5")
    assert (result.exit_code, result.stderr) == (0, "")


def test_nir_has_no_trace(network, call, tmp_path):
    result = call("export", network, "--target", "nir", "--trace", "-o", tmp_path / "digits.nir")
    assert result.exit_code == 2
    assert "--trace has no effect" in result.output
    assert not list(tmp_path.iterdir())


@pytest.fixture
def foreign(tmp_path):
    """A float graph for the digits: 64 pixels, ten classes."""
    rng = np.random.default_rng(0)
    every = np.ones(30), np.ones(10)
    neurons = [nir.LIF(0.05 * one, one, 0 * one, one) for one in every]
    graph = nir.NIRGraph.from_list(
        nir.Delay(0.01 * rng.integers(1, 4, 64)), nir.Linear(rng.normal(0.2, 1, (30, 64))), neurons[0],
        nir.Delay(np.full(30, 0.01)), nir.Linear(rng.normal(0, 1, (10, 30))), neurons[1],
    )  # fmt: skip
    path = tmp_path / "theirs.nir"
    nir.write(str(path), graph)
    return path


def test_a_float_graph_becomes_a_run_that_export_calibrates(foreign, call, tmp_path):
    output = tmp_path / "theirs"
    result = call("import", foreign, "-o", output, "--time-step-ms", 10, "--recipe", "digits")
    assert result.exit_code == 0, result.output
    assert "read with steps of 10 ms, times in s, forward Euler, reset to 0" in result.output
    assert "it is a float network: export calibrates it" in result.output
    result = call("export", output, "--target", "ideal")
    assert result.exit_code == 0, result.output
    made = IntegerNetwork.load(output / "network-ideal.h5")
    assert [layer.n_neurons for layer in made.layers] == [30, 10]
    assert made.max_delay == 2


@pytest.mark.parametrize(
    ("key", "decides"),
    [
        ("data.time_step_ms=4", "--time-step-ms decides data.time_step_ms, which is 10.0; leave it out"),
        ("model.hidden=[77]", "the graph decides model.hidden, which is [30]; leave it out"),
    ],
)
def test_a_key_that_the_import_decides_is_refused(foreign, call, tmp_path, key, decides):
    made = ("import", foreign, "-o", tmp_path / "run", "--time-step-ms", 10, "--recipe", "digits")
    result = call(*made, "--set", key)
    assert result.exit_code == 2
    assert f"--set {key}: {decides}" in " ".join(result.output.split())
    assert not (tmp_path / "run").exists()


def test_a_float_graph_needs_a_run_folder_and_a_step(foreign, call):
    result = call("import", foreign)
    assert result.exit_code == 2
    assert "holds a float network of another tool" in result.output
    assert "--time-step-ms" in result.output


def test_data_that_cannot_be_the_graphs_are_not_downloaded(foreign, call, tmp_path, monkeypatch):
    """The default recipe's are SHD, of 700 channels."""
    monkeypatch.setattr("delaytool.experiments.import_nir.load_data", lambda *_: pytest.fail("data were asked for"))
    result = call("import", foreign, "-o", tmp_path / "run", "--time-step-ms", 10)
    assert result.exit_code == 2
    assert "the graph has 64 inputs, the data 140 (shd); give the data" in " ".join(result.output.split())
    assert not (tmp_path / "run").exists()


def test_what_is_not_supported_is_named(call, tmp_path):
    graph = nir.NIRGraph.from_list(nir.Threshold(np.ones(64)), nir.Linear(np.ones((10, 64))), nir.IF(*np.ones((2, 10))))
    nir.write(str(tmp_path / "odd.nir"), graph)
    result = call("import", tmp_path / "odd.nir", "-o", tmp_path / "odd", "--time-step-ms", 10)
    assert result.exit_code == 2
    assert "threshold (Threshold)" in result.output
    assert not (tmp_path / "odd").exists()


def test_brian2_loihi_names_the_reason_against_a_network_with_biases(network, call):
    result = call("verify", network, "--backend", "brian2loihi", "--samples", 2, "--no-drop")
    assert result.exit_code == 2
    assert "brian2-loihi" in result.output


def test_slow_simulators_run_on_few_samples_in_the_same_table(network, call):
    result = call(
        "verify", network, "--samples", 60, "--against", "reference:7", "--against", "onnx", "--against", "onnx-step:3",
        "--no-drop", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    verdict = json.loads(result.output)
    assert verdict["samples_by_backend"] == {"engine": 60, "onnx": 60, "reference": 7, "onnx-step": 3}
    assert set(verdict["mismatches"]) == {"reference", "onnx", "onnx-step"}
    table = call("verify", network, "--samples", 60, "--against", "reference:7", "--no-drop")
    assert table.exit_code == 0, table.output
    assert "integer, reference, 7 samples" in table.output
    assert "PASS: engine, reference agree on every bit" in table.output


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--against", "reference:0"], "is no number of samples"),
        (["--against", "nothing:3"], "'nothing' is not one of"),
        (["--against", "reference:²"], "is no number of samples"),
        (["--against", "reference:" + 5000 * "9"], "is no number of samples"),
        (["--backend", "reference", "--against", "reference:3"], "cannot be compared with itself"),
        (["--against", "reference", "--against", "reference:3"], "names reference twice, with different numbers"),
        (["--against", "onnx:3", "--executor", "dask"], "backend onnx on 3 samples would run in this process"),
        (["--backend", "loihi2", "--loihi-host", "input_latency=²"], "is not KEY=VALUE"),
    ],
)
def test_limits_that_compare_nothing_are_refused(network, call, arguments, text):
    result = call("verify", network, *arguments)
    assert result.exit_code == 2
    assert text in result.output


def test_a_float_network_without_hidden_layers_has_no_spikes_to_compare(call, tmp_path):
    run = tmp_path / "run"
    small = ("--set", "model.hidden=[]", "--set", "trainer.epochs=1", "--set", "trainer.threads=1")
    assert call("train", "digits", "-o", run, *small).exit_code == 0
    result = call("export", run, "--target", "onnx-float")
    assert result.exit_code == 0, result.output
    output = " ".join(result.output.split())
    assert "samples of the run's data, onnxruntime beside PyTorch: classes that differ" in output


def test_a_name_that_is_no_format_is_not_written_as_another(network, tmp_path):
    with pytest.raises(KeyError):
        write_format("no-such", IntegerNetwork.load(network), network, tmp_path / "n", trace=False)
    assert not list(tmp_path.iterdir())
