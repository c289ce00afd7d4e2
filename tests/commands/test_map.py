"""`delaytool map` as its user runs it: exit codes, JSON, and no PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from delaytool.cli import main
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses


def run(*arguments: object):
    return CliRunner().invoke(main, ["map", *map(str, arguments)])


@pytest.mark.parametrize("preset", ["digits", "shd-2l-1kc", "ssc-3l-2kc"])
def test_a_recipe_needs_no_pytorch(preset: str) -> None:
    code = (
        "import sys; from delaytool.cli import main\n"
        "try: main(['map', sys.argv[1]])\n"
        "except SystemExit as end: assert end.code == 0, end.code\n"
        "heavy = {'torch', 'scipy', 'matplotlib', 'numba', 'optuna'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code, preset], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"FITS: recipe {preset} on Intel Loihi 2: " in done.stdout


def test_what_does_not_fit_states_by_how_much_and_what_does(tmp_path: Path) -> None:
    done = run("digits", "--set", "model.max_delay=80", "--json")
    assert done.exit_code == 1
    record = json.loads(done.stdout)
    assert record["reasons"][0] == "layer hidden1: longest delay 80 exceeds 62 by 18"
    assert record["ways_out"] == [{"set": ["model.max_delay=62"], "cores": 3, "synapse_bytes": 45248}]
    assert run("digits", "--set", record["ways_out"][0]["set"][0]).exit_code == 0
    limit = next(one for one in record["limits"] if one["quantity"] == "longest delay")
    assert (limit["value"], limit["limit"], limit["headroom"], limit["exceeded"]) == (80, 62, -18, True)
    assert "lava-dl" in limit["source"]


def test_a_budget_of_cores(tmp_path: Path) -> None:
    assert run("digits", "--cores", 1).exit_code == 0
    assert "layers share cores" in run("digits", "--cores", 1).stdout
    done = run("shd-2l-1kc", "--cores", 1)
    assert done.exit_code == 1
    assert "network: cores 2 exceeds 1 by 1" in done.stdout
    assert "--set model.hidden=[215,215]" in done.stdout


def test_a_sparse_recipe_is_no_upper_bound() -> None:
    sentence = "the taps of sparse layers are spread evenly, and one neuron may get more"
    assert sentence in " ".join(run("digits", "--set", "model.sparsity=0.5").stdout.split())
    assert sentence not in " ".join(run("digits").stdout.split())


def test_a_network_and_a_chip_of_ones_own(tmp_path: Path) -> None:
    group = DenseSynapses(0, np.full((2, 3), 4), np.full((2, 3), 20))
    layer = IntegerLayer("readout", 2, (group,), dv=409, threshold=100)
    network = IntegerNetwork(InputEncoding(3, values="binary"), (layer,), Readout("sum", 1.0, 0, 5), 5, "loihi2")
    network.save(tmp_path / "net.h5")
    assert run(tmp_path / "net.h5").exit_code == 0
    chip = tmp_path / "chip.toml"
    chip.write_text('name="m"\ntitle="M"\nextends="loihi2"\n[limits]\ndelay_max={value=19,source="x"}\n')
    done = run(tmp_path / "net.h5", "--target", chip)
    assert done.exit_code == 1
    assert "layer readout: longest delay 20 exceeds 19 by 1" in done.stdout
    assert "no recipe is recorded to change" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits", "--target", "loihi3"], "target 'loihi3' is unknown"),
        (["nothing-like-it"], "recipe nothing-like-it: no such file or preset"),
        (["digits", "--set", "model.hidde=[3]"], "unknown key; did you mean model.hidden?"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.output
    assert "Traceback" not in done.output


def test_settings_belong_to_recipes(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    done = run(tmp_path / "run", "--set", "model.max_delay=3")
    assert done.exit_code == 2
    assert "belongs to a recipe" in done.output


def test_energy_needs_to_know_what_fires(tmp_path: Path) -> None:
    assumed = run("digits", "--activity", 0.1, "--frames", 9, "--json")
    assert assumed.exit_code == 0, assumed.output
    record = json.loads(assumed.stdout)["estimate"]
    assert record["constants"]["title"] == "Loihi 1 constants"
    assert record["steps"] == 9 + 3 * (4 + 1)  # three layers of timing 'chip', tails of half of 8 delays
    low, high = record["energy_pj_per_sample"]
    assert 0 < low < high
    assert low == pytest.approx(sum(part[0] for part in record["energy_pj_by_kind"].values()))
    for arguments, message in (
        (["shd-2l-1kc", "--activity", 0.1], "give the frames of a sample, --frames N"),
        (
            ["digits", "--data", "digits"],
            "digits is no exported network to run; train and export it, or give --activity",
        ),
        (["digits", "--costs", "loihi1"], "--costs needs to know how much fires"),
        (["digits", "--activity", 0.1, "--data", "digits"], "leave one of them out"),
        (["digits", "--activity", 0.1, "--frames", 9, "--target", "ideal"], "names no constants"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2, done.output
        assert message in done.output


def test_energy_of_a_network_is_measured_on_samples(network: Path, call) -> None:
    done = call("map", network, "--data", "digits", "--samples", 5, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["estimate"]["activity"] == "measured on 5 test samples"
    verified = json.loads(call("verify", network, "--samples", 5, "--no-drop", "--json").stdout)
    counts = record["estimate"]["counts_per_sample"]
    events = sum(verified["per_sample"]["synaptic_events"])
    assert counts["events_sparse"] + counts["events_dense"] == pytest.approx(events, abs=0.01)
    assert counts["spikes"] == pytest.approx(sum(verified["per_sample"]["spikes"]), abs=0.01)
    bench = verified["neurobench"]
    assert bench["synaptic_operations"]["Effective_ACs"] + bench["synaptic_operations"]["Effective_MACs"] == (
        pytest.approx(events, abs=0.01)
    )
    assert 0 < bench["activation_sparsity"] < 1


def test_hops_that_are_not_known_are_no_figure(tmp_path: Path) -> None:
    chip = tmp_path / "chip.toml"
    chip.write_text('name="m"\ntitle="M"\nextends="loihi2"\n[mesh]\ncolumns=2\nrows=1\ncores_per_tile=1\nsource="x"\n')
    asked = ("digits", "--target", chip, "--activity", 0.1, "--frames", 9)
    done = run(*asked)
    assert done.exit_code == 0, done.output
    assert "hops between tiles are not counted, neither in energy nor in time: the mesh of m is of 2 cores, and" in (
        " ".join(done.stdout.split())
    )
    assert "east-west" not in done.stdout
    record = json.loads(run(*asked, "--json").stdout)
    assert "hops" not in record["estimate"]["energy_pj_by_kind"]
    assert record["estimate"]["counts_per_sample"]["hops_east_west"] is None
    assert record["placement"] is None
    chip.write_text(
        'name="m"\ntitle="M"\nextends="loihi2"\n[limits]\ncores={value=9000,source="x"}\n'
        'neurons_per_core={value=1,source="x"}\n'
    )
    done = run("shd-2l-1kc", "--target", chip, "--set", "model.hidden=[4200]", "--activity", 0.1, "--frames", 9)
    assert done.exit_code == 2
    assert "energy and time are estimated for up to 4,096 cores, and this takes 4,220" in done.output


def test_without_scipy_cores_lie_row_by_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    done = run("ssc-3l-2kc", "--activity", 0.1, "--frames", 9)
    assert done.exit_code == 0, done.output
    assert "placement (row by row): " in done.stdout
    assert "placed row by row: placing cores on the mesh needs scipy" in done.stdout


def test_a_placement_is_kept_in_a_copy_of_the_network(
    network: Path, call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = tmp_path / "placed.h5"
    done = call("map", network, "--data", "digits", "--samples", 5, "-o", placed)
    assert done.exit_code == 0, done.output
    assert IntegerNetwork.load(placed).integers_sha256() == IntegerNetwork.load(network).integers_sha256()
    assert call("verify", placed, "--samples", 3, "--no-drop").exit_code == 0
    assert done.stderr == ""
    values = IntegerNetwork.load(network)
    monkeypatch.setattr(IntegerNetwork, "load", lambda *_, **__: replace(values, signed=False))
    done = call("map", network, "--data", "digits", "--samples", 5, "-o", placed)
    assert f"warning: {network} carries no digests" in " ".join(done.stderr.split())
    refused = run(network, "-o", placed)
    assert refused.exit_code == 2
    assert "add --data" in refused.output
