"""The verbs as a user types them."""

import importlib.util
import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from delaytool import datasets
from delaytool.contract.network import IntegerNetwork
from delaytool.experiments.evaluated_samples import SampleChoice, load_samples
from delaytool.runtime import reference
from delaytool.runtime.backends import BACKENDS
from delaytool.verification.float_figures import FloatFigures


def test_train_prints_its_results_and_the_next_command(run, call):
    result = call("train", "digits", "-o", run)
    assert result.exit_code == 2
    assert "a run is there already; go on with it by --resume" in result.output


def test_verify_passes_with_every_backend_of_this_installation(network, call):
    result = call("verify", network, "--against", "reference", "--torch", "--max-drop", "5")
    assert result.exit_code == 0, result.output
    assert "PASS: engine, reference, torch agree on every bit" in result.output
    assert "float accuracies: recorded by the exporter, not measured now" in result.output
    assert "points of accuracy (as recorded)" in result.output
    assert "torch: a second simulation of the same file" in result.output
    assert "not bound: not compared with a checkpoint: give the trained run with --run" in result.output
    assert "synaptic events" in result.output


def test_verify_as_json(network, call):
    loaded = IntegerNetwork.load(network)
    samples = load_samples(loaded, network, SampleChoice(count=50))
    rounded = np.array(loaded.provenance["float"]["rounded"])[samples.chosen]
    result = call("verify", network, "--json", "--samples", 50, "--max-drop", "20")
    verdict = json.loads(result.stdout)
    assert result.exit_code == 0
    assert verdict["passed"]
    assert verdict["samples"] == 50
    assert verdict["mismatches"] == {"reference": {"spikes": 0, "u": 0, "v": 0}}
    assert verdict["accuracy"]["float_rounded"] == (rounded == samples.labels).mean()
    assert verdict["accuracy"]["float_rounded"] - verdict["accuracy"]["engine"] == pytest.approx(
        verdict["drop_points"] / 100
    )
    assert len(verdict["per_sample"]["synaptic_events"]) == 2


@pytest.mark.parametrize("method", ["event", "batched"])
def test_the_engines_method_can_be_forced_and_is_named(network, call, method):
    result = call("verify", network, "--samples", 20, "--no-drop", "--engine-method", method)
    assert result.exit_code == 0, result.output
    assert f"integer, engine ({method})" in result.output
    verdict = json.loads(call("verify", network, "--samples", 5, "--no-drop", "--json").stdout)
    assert verdict["methods"]["engine"] in ("event", "batched")


def test_verify_in_lava(network, call):
    if importlib.util.find_spec("lava") is None:
        pytest.skip("Lava is not installed; see docs/lava.md")
    for backend in ("lava", "lava-cached"):
        result = call("verify", network, "--backend", backend, "--against", "engine", "--samples", 3, "--no-drop")
        assert result.exit_code == 0, result.output
        assert f"PASS: {backend}, engine agree on every bit" in result.output


def test_loihi_without_intels_extension_is_one_line_and_exit_code_3(network, call):
    result = call("verify", network, "--backend", "loihi2", "--samples", 1, "--no-drop")
    assert result.exit_code == 3
    assert "Intel's Lava extension for Loihi is not installed" in result.output


def test_a_netx_file_goes_out_and_comes_back(run, call, tmp_path):
    out = tmp_path / "net.h5"
    result = call("export", run, "--target", "loihi2-netx", "-o", out)
    assert result.exit_code == 0, result.output
    assert f"netx file for lava-dl: {tmp_path / 'net.net'}" in result.output
    back = tmp_path / "back.h5"
    for option, value, way_out in (("--steps", 3, "leave --steps out"), ("--time-step-ms", 5, "leave --time-step-ms")):
        refused = call("import", tmp_path / "net.net", "-o", back, option, value)
        assert (refused.exit_code, back.exists()) == (2, False)
        assert way_out in " ".join(refused.output.split())
    assert call("import", tmp_path / "net.net", "-o", back).exit_code == 0
    result = call("verify", back, "--max-drop", "20")
    assert result.exit_code == 0, result.output
    for ours, theirs in zip(IntegerNetwork.load(out).layers, IntegerNetwork.load(back).layers, strict=True):
        assert ours.threshold == theirs.threshold
        assert np.array_equal(ours.bias, theirs.bias)
        assert np.array_equal(ours.synapses[0].weight, theirs.synapses[0].weight)


def test_what_netx_cannot_hold_is_named_and_no_old_file_is_left(run, call, tmp_path):
    assert call("export", run, "--target", "loihi2-netx", "-o", tmp_path / "net.h5").exit_code == 0
    assert (tmp_path / "net.net").exists()
    result = call("export", run, "-o", tmp_path / "net.h5")
    assert result.exit_code == 0, result.output
    output = " ".join(result.output.split())
    assert "no netx file for Intel's lava-dl was written beside it, because that format cannot hold this net" in output
    assert "to get a netx file (.net) for Intel's lava-dl, whose limits are narrower than loihi2's" in output
    assert not (tmp_path / "net.net").exists()
    assert "net.net, which was written by an earlier export, is removed" in output


@pytest.mark.parametrize(
    ("setting", "refused"),
    [
        ("model.kernel_count=2", "layer hidden1: taps per synapse 2 exceeds loihi2-netx's 1; export for another"),
        ("model.recurrent=true", "layer hidden1: synapse groups 2 exceeds loihi2-netx's 1; export for another"),
        ("model.neuron=cuba", None),
    ],
)
def test_a_netx_file_is_suggested_only_where_it_can_be_made(setting, refused, call, tmp_path):
    small = ("--set", "model.hidden=[6]", "--set", "trainer.epochs=1", "--set", "trainer.threads=1")
    assert call("train", "digits", "-o", tmp_path / "run", *small, "--set", setting).exit_code == 0
    result = call("export", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert ("--target loihi2-netx" in result.output) == (refused is None)
    result = call("export", tmp_path / "run", "--target", "loihi2-netx")
    assert (result.exit_code, (tmp_path / "run" / "network-loihi2-netx.net").exists()) == (
        (0, True) if refused is None else (2, False)
    )
    assert refused is None or refused in result.output


@pytest.mark.parametrize("target", ["loihi2", "loihi2-netx"])
def test_a_netx_copy_takes_the_place_of_no_file_of_another_origin(target, run, call, tmp_path):
    (tmp_path / "net.net").write_text("mine")
    result = call("export", run, "--target", target, "-o", tmp_path / "net.h5")
    assert result.exit_code == 2
    assert "would take the place of this file, which no export wrote" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["net.net"]
    assert (tmp_path / "net.net").read_text() == "mine"


def test_a_backend_that_lies_fails_with_the_place(network, call, monkeypatch):
    def lies(net, frames):
        trace = reference.run(net, frames)
        trace.u[0][0, 5, 3] += 64
        return trace

    monkeypatch.setitem(BACKENDS, "reference", lambda options: lies)
    result = call("verify", network, "--samples", 3, "--no-drop")
    assert result.exit_code == 1
    assert "FAIL: reference differs from engine in 1 value\n" in result.output
    assert "sample 0, step 5, layer hidden1, neuron 3: u is" in result.output


def test_a_drop_that_is_too_large_fails(network, call, monkeypatch):
    figures = FloatFigures(1.0, 1.0, "made up")
    monkeypatch.setattr("delaytool.experiments.verify_run.recorded_figures", lambda *_: figures)
    result = call("verify", network, "--samples", 40, "--max-drop", "0")
    assert result.exit_code == 1
    assert "more than the 0 allowed (--max-drop)" in result.output


@pytest.mark.parametrize("limit", ["nan", "inf", "-inf", "-0.5"])
def test_a_meaningless_limit_is_refused(network, call, limit):
    for verb in ("verify", "report"):
        result = call(verb, network, f"--max-drop={limit}")
        assert result.exit_code == 2, result.output
        assert "max_drop" in result.output
        assert "PASS" not in result.output


@pytest.mark.parametrize("more", [(), ("--against", "reference"), ("--torch",)])
def test_a_backend_is_not_compared_with_itself(network, call, more):
    result = call("verify", network, "--against", "engine", *more)
    assert result.exit_code == 2
    assert "backend engine cannot be compared with itself" in result.output
    assert "PASS" not in result.output


def digits_file(path, count=30, **replaced):
    """The digits' test part as a file in SHD's layout."""
    data = datasets.load("digits").test
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.float32))
        units = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.uint16))
        for index in range(count):
            times[index], units[index] = data.sample(index)
        file["labels"] = data.labels[:count]
        for name, value in replaced.items():
            del file[name]
            file[name] = value
    return path


def test_verify_on_other_samples_needs_the_run_for_the_drop(run, network, call, tmp_path):
    path = digits_file(tmp_path / "some.h5")
    result = call("verify", network, "--data", path)
    assert result.exit_code == 4
    assert "BITS PASS: engine, reference agree on every bit" in result.output
    assert "what the integers cost in accuracy is not known" in result.output
    assert "no float accuracies: the float accuracy that the file records is of other samples" in result.output
    assert "FAIL" not in result.output
    assert json.loads(call("verify", network, "--data", path, "--json").stdout)["exit_code"] == 4
    assert call("verify", network, "--data", path, "--no-drop").exit_code == 0
    result = call("verify", network, "--data", path, "--run", run, "--max-drop", "20")
    assert result.exit_code == 0, result.output
    assert f"measured now with {run / 'best.pt'}" in result.output


def test_a_file_does_not_choose_what_is_read(network, call, tmp_path):
    samples, net = digits_file(tmp_path / "some.h5", 60), tmp_path / "net.h5"
    loaded = IntegerNetwork.load(network)

    def saved_with(source):
        recipe = {**loaded.provenance["recipe"], "data": {**loaded.provenance["recipe"]["data"], "source": source}}
        replace(loaded, provenance={**loaded.provenance, "recipe": recipe}).save(net)

    saved_with(str(samples))
    one_line_error(call("verify", net), "is not built in", "--data recorded")
    result = call("report", net)
    assert result.output.startswith("NOT VERIFIED")
    assert "--data recorded" in result.output
    result = call("verify", net, "--no-drop", "--data", "recorded")
    assert result.exit_code == 0, result.output
    assert f"on the test part of {samples}, 12 samples" in result.output
    saved_with("/etc")
    result = call("verify", net)
    one_line_error(result, "'/etc'", "--data recorded")
    assert "passwd" not in result.output
    saved_with("in-memory")  # would not be found anywhere
    one_line_error(call("verify", net), "were given in memory", "--data PATH")
    saved_with("shd")  # would be downloaded
    one_line_error(call("verify", net), "--data recorded")
    saved_with("evil\x1b[2Jname")
    result = call("verify", net)
    one_line_error(result, "evil")
    assert "\x1b" not in result.output


def test_export_for_another_target_and_place(run, call, tmp_path):
    result = call("export", run, "--target", "ideal", "-o", tmp_path / "net.h5", "--checkpoint", "last")
    assert result.exit_code == 0, result.output
    network = IntegerNetwork.load(tmp_path / "net.h5")
    assert network.target == "ideal"
    assert network.provenance["epoch"] == 8
    assert len(network.provenance["recipe_sha256"]) == 64


def test_recipes_are_listed_and_printed(call):
    assert "shd-2l-1kc" in call("recipes").output
    assert "delay_lr = 0.1" in call("recipes", "shd-2l-1kc").output


def test_help_lists_the_verbs(call):
    output = call("--help").output
    for verb in ("train", "export", "verify", "report", "import-snn-delays"):
        assert verb in output
        assert call(verb, "--help").exit_code == 0


def one_line_error(result, *expected):
    assert result.exit_code == 2, result.output
    message = result.output.strip().splitlines()[-1]
    assert message.startswith("error: ")
    assert result.output.strip().count("error: ") == 1
    for part in expected:
        assert part in message


def test_bad_input_to_train(call, tmp_path):
    out = tmp_path / "run"
    one_line_error(call("train", "nothing", "-o", out), "recipe nothing: no such file or preset")
    one_line_error(call("train", "-o", out, "--set", "trainer.epoch=3"), "did you mean trainer.epochs?")
    one_line_error(call("train", "-o", out, "--data", tmp_path / "none"), "no such data")
    (tmp_path / "text.h5").write_text("hello")
    one_line_error(call("train", "-o", out, "--data", tmp_path / "text.h5"), "text.h5")
    bad = digits_file(tmp_path / "units.h5")
    one_line_error(call("train", "-o", out, "--data", bad, "--set", "data.n_units=10"), "unit", "data.n_units")
    one_line_error(call("train", "-o", out, "--set", "data.n_steps=0"), "data.n_steps")
    one_line_error(call("train", "--resume", out), "no run to resume there")
    assert not out.exists()


def test_bad_input_to_export(run, call, tmp_path):
    one_line_error(call("export", tmp_path), "no such checkpoint")
    one_line_error(call("export", run, "--target", "abacus"), "target 'abacus' is unknown")
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    (broken / "best.pt").write_bytes(b"PK\x03\x04 not really")
    one_line_error(call("export", broken), "not a readable PyTorch checkpoint")
    assert not (tmp_path / "out.h5").exists()


def test_bad_input_to_verify(network, call, tmp_path):
    one_line_error(call("verify", tmp_path / "none.h5"), "no such file")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(network.read_bytes()[:2000])
    one_line_error(call("verify", cut), "cut.h5")
    labels = np.full(30, 12)
    one_line_error(call("verify", network, "--data", digits_file(tmp_path / "labels.h5", labels=labels)), "12")
    empty = tmp_path / "empty.h5"
    with h5py.File(empty, "w") as file:
        file.create_dataset("spikes/times", (0,), h5py.vlen_dtype(np.float32))
        file.create_dataset("spikes/units", (0,), h5py.vlen_dtype(np.uint16))
        file["labels"] = np.zeros(0, int)
    one_line_error(call("verify", network, "--data", empty), "empty.h5")


def test_a_network_file_is_not_a_run(call, network):
    result = call("export", network)
    assert result.exit_code == 2
    assert "this is a file; give the run folder that `delaytool train` made" in result.output
    assert "--target onnx or nir" in result.output
