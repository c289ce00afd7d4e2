"""`verify --run`: the verdict is bound to the checkpoint that was trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses, SparseSynapses
from delaytool.files import sha256_of

Call = Callable[..., Result]
SMALL = ("--set", "model.hidden=[24]", "--set", "trainer.epochs=3")
MODELS = {
    "recurrent": ("model.recurrent=true",),
    "sparse": ("model.sparsity=0.8",),
    "several taps": ("model.kernel_count=3",),
    "a delay per neuron": ("model.delays_per='postsynaptic'",),
    "biased, no batch norm": ("model.bias=true", "model.batch_norm=false"),
    "decaying currents": ("model.neuron='cuba'",),
    "through integers": ("trainer.quantize='loihi2'", "trainer.epochs=8"),
}


def verdict(call: Call, network: Path, run: Path, *more: object) -> tuple[int, dict[str, Any]]:
    result = call("verify", network, "--run", run, "--max-drop", 100, "--json", *more)
    return result.exit_code, json.loads(result.stdout)


def with_changed_delays(network: IntegerNetwork, count: int) -> IntegerNetwork:
    """The delays of the first `count` synapses of the first layer, one step longer or shorter."""
    layer = network.layers[0]
    group = layer.synapses[0]
    delay = np.array(group.delay)
    flat = delay.reshape(-1)
    places = np.flatnonzero(np.array(group.weight).reshape(-1))[:count]
    assert len(places) == count
    flat[places] += np.where(flat[places] < 10, 1, -1)
    changed: DenseSynapses | SparseSynapses = replace(group, delay=delay)
    return replace(network, layers=(replace(layer, synapses=(changed, *layer.synapses[1:])), *network.layers[1:]))


def test_the_integers_are_those_of_the_run(run: Path, network: Path, call: Call) -> None:
    result = call("verify", network, "--run", run, "--max-drop", 20)
    assert result.exit_code == 0, result.output
    assert f"bound: the integers are those of {run / 'best.pt'}, compiled again: " in result.output
    assert "all equal" in result.output
    assert f"float accuracies: measured now with {run / 'best.pt'}" in result.output
    code, found = verdict(call, network, run, "--samples", 20)
    assert code == 0
    assert found["binding"]["bound"]
    loaded = IntegerNetwork.load(network)
    assert found["binding"]["compared"] >= 2 * loaded.n_synapses
    assert found["float_recorded"] is False
    found = json.loads(call("verify", network, "--json", "--samples", 20, "--no-drop").stdout)
    assert not found["binding"]["bound"]
    assert "give the trained run with --run" in found["binding"]["statement"]


def test_ten_delays_changed_by_hand_fail(run: Path, network: Path, call: Call, tmp_path: Path) -> None:
    forged = tmp_path / "forged.h5"
    with_changed_delays(IntegerNetwork.load(network), 10).save(forged)
    result = call("verify", forged, "--run", run, "--torch", "--max-drop", 100)
    assert result.exit_code == 1, result.output
    assert f"FAIL: the integers are not those of {run / 'best.pt'}, compiled again: 10 of " in result.output
    assert "differs from" not in result.output
    assert "PASS" not in result.output
    first = next(line for line in result.output.splitlines() if "synapse from" in line)
    group, trained = (IntegerNetwork.load(path).layers[0].synapses[0] for path in (forged, network))
    assert isinstance(group, DenseSynapses)
    assert isinstance(trained, DenseSynapses)
    neuron, pre = np.argwhere(group.delay != trained.delay)[0]
    assert first.strip() == (
        f"layer hidden1, synapse from input[{pre}] to neuron {neuron}: delay is {group.delay[neuron, pre]} in the file "
        f"and {trained.delay[neuron, pre]} in {run / 'best.pt'}"
    )
    code, found = verdict(call, forged, run, "--samples", 20)
    assert code == 1
    assert (found["passed"], found["binding"]["bound"], found["binding"]["differing"]) == (False, False, 10)
    assert len(found["binding"]["differences"]) == 10


@pytest.mark.parametrize(
    ("names", "count", "first"),
    [(tuple("1023456789"), 2, "name is 1 in the file"), ((), 10, "name is absent in the file")],
    ids=["exchanged", "gone"],
)
def test_class_names_that_are_not_the_runs_fail(
    names: tuple[str, ...], count: int, first: str, run: Path, network: Path, call: Call, tmp_path: Path
) -> None:
    forged = tmp_path / "forged.h5"
    replace(IntegerNetwork.load(network), class_names=names).save(forged)
    result = call("verify", forged, "--run", run, "--max-drop", 100)
    assert result.exit_code == 1, result.output
    assert f"FAIL: {count} class names are not those of the run; the integers are those of " in result.output
    assert f"class 0: {first} and 0 in the run" in result.output
    code, found = verdict(call, forged, run, "--samples", 20)
    assert (code, found["binding"]["bound"], found["binding"]["differing"]) == (1, False, 0)
    assert found["binding"]["differing_class_names"] == count


def test_a_run_without_class_names_is_named(run: Path, network: Path, call: Call, tmp_path: Path) -> None:
    """Versions before wrote none."""
    other = tmp_path / "run"
    shutil.copytree(run, other)
    (other / "class_names.json").unlink()
    code, found = verdict(call, network, other, "--samples", 20)
    assert code == 0
    assert found["binding"]["bound"]
    assert "; class names are not compared: the run holds none" in found["binding"]["statement"]
    assert found["binding"]["differing_class_names"] is None
    exported = tmp_path / "again.h5"
    assert call("export", other, "-o", exported).exit_code == 0
    assert IntegerNetwork.load(exported).class_names == tuple("0123456789")  # its data's


def test_a_forged_record_gains_nothing(run: Path, network: Path, call: Call, tmp_path: Path) -> None:
    loaded, forged = IntegerNetwork.load(network), tmp_path / "forged.h5"
    record = loaded.provenance["float"]
    zeros = {**record, "rounded": [0] * len(record["rounded"])}
    replace(loaded, provenance={**loaded.provenance, "float": zeros}).save(forged)
    result = call("verify", forged)
    assert result.exit_code == 4, result.output
    assert "does not have its digest: it was changed" in result.output
    assert "integers gain" not in result.output
    code, found = verdict(call, forged, run)
    assert code == 0
    assert found["float_recorded"] is False
    assert found["drop_points"] > -20
    without = {name: value for name, value in record.items() if name != "sha256"}
    replace(loaded, provenance={**loaded.provenance, "float": without}).save(forged)
    result = call("verify", forged)
    assert result.exit_code == 4
    assert "has no digest (an earlier version wrote it)" in result.output
    other = {**loaded.provenance, "checkpoint_sha256": "0" * 64}
    replace(loaded, provenance=other).save(forged)
    assert call("verify", forged).exit_code == 4


def test_another_checkpoint_is_named(run: Path, network: Path, call: Call, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(run, other)
    shutil.copy(run / "last.pt", other / "best.pt")
    loaded = IntegerNetwork.load(network)
    code, found = verdict(call, network, other, "--samples", 20)
    same = loaded.provenance["epoch"] == 8
    assert code == (0 if same else 1)
    if not same:
        assert "is not the checkpoint that the file records: its SHA-256 is" in found["binding"]["statement"]
    another = {**loaded.provenance, "checkpoint_sha256": "f" * 64}
    replace(loaded, provenance=another).save(tmp_path / "net.h5")
    code, found = verdict(call, tmp_path / "net.h5", run, "--samples", 20)
    assert code == 0
    assert found["binding"]["bound"]
    assert "is not the checkpoint that the file records" in found["binding"]["statement"]


def test_a_run_of_another_shape_fails(network: Path, call: Call, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert call("train", "digits", "-o", other, *SMALL[2:], "--set", "model.hidden=[24,24]").exit_code == 0
    code, found = verdict(call, network, other, "--samples", 20)
    assert code == 1
    assert "does not compile: 2 layers have scales, the checkpoint has 3 layers" in found["binding"]["statement"]


def test_a_file_without_a_record_cannot_be_compared(run: Path, network: Path, call: Call, tmp_path: Path) -> None:
    replace(IntegerNetwork.load(network), export={}, provenance={}).save(tmp_path / "net.h5")
    result = call("verify", tmp_path / "net.h5", "--run", run, "--data", "digits")
    assert result.exit_code == 2
    assert "does not record how it was exported" in result.output
    assert "PASS" not in result.output
    damaged = {"checkpoint": "best", "clip_delays": False, "scales": [{"per_unit": "x"}], "calibration_samples": 1}
    replace(IntegerNetwork.load(network), export=damaged).save(tmp_path / "net.h5")
    result = call("verify", tmp_path / "net.h5", "--run", run)
    assert result.exit_code == 2
    assert "record of its export is damaged" in result.output
    result = call("verify", network, "--run", tmp_path / "none")
    assert result.exit_code == 2
    assert "no such checkpoint" in result.output


def test_a_file_of_version_1_is_compared_by_its_report(run: Path, network: Path, call: Call, tmp_path: Path) -> None:
    """It names no checkpoint, so that the one of the recorded SHA-256 is taken."""
    net = tmp_path / "net.h5"
    assert call("export", run, "-o", net, "--checkpoint", "last").exit_code == 0
    replace(IntegerNetwork.load(net), export={}, class_names=()).save(net)
    code, found = verdict(call, net, run, "--samples", 20)
    assert code == 0
    assert found["binding"]["bound"]
    assert "; class names are not compared: the file holds none" in found["binding"]["statement"]
    assert found["binding"]["differing_class_names"] is None
    recorded = IntegerNetwork.load(net).provenance["checkpoint_sha256"]
    assert recorded == sha256_of(run / "last.pt")  # which may be best.pt's, too
    assert sha256_of(found["binding"]["checkpoint"]) == recorded


@pytest.mark.parametrize("model", MODELS)
def test_every_kind_of_network_is_bound(model: str, call: Call, tmp_path: Path) -> None:
    run = tmp_path / "run"
    settings = {"model.hidden": "[24]", "trainer.epochs": "3", **dict(one.split("=") for one in MODELS[model])}
    given = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    result = call("train", "digits", "-o", run, *given)
    assert result.exit_code == 0, result.output
    for checkpoint in ("best", "last"):
        net = tmp_path / f"{checkpoint}.h5"
        result = call("export", run, "-o", net, "--checkpoint", checkpoint)
        assert result.exit_code == 0, result.output
        assert IntegerNetwork.load(net).class_names == tuple("0123456789")
        code, found = verdict(call, net, run, "--samples", 10)
        assert code == 0, found["reasons"]
        assert found["binding"]["bound"]
        assert found["binding"]["checkpoint"] == str(run / f"{checkpoint}.pt")
    with_changed_delays(IntegerNetwork.load(net), 1).save(net)
    code, found = verdict(call, net, run, "--samples", 10)
    assert code == 1
    assert found["binding"]["differing"] >= 1


def test_clipped_delays_are_clipped_again(call: Call, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert call("train", "digits", "-o", run, *SMALL, "--set", "model.max_delay=80").exit_code == 0
    result = call("export", run, "--clip-delays")
    assert result.exit_code == 0, result.output
    assert "were cut to the target's limit" in result.output
    code, found = verdict(call, run / "network-loihi2.h5", run, "--samples", 10)
    assert code == 0
    assert found["binding"]["bound"]
