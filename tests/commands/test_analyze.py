"""`delaytool analyze` on a run."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from delaytool.digests import read_signed_json, write_signed_json

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def written(call, run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("analysis") / "out"
    result = call("analyze", run, "-o", folder, "--permutations", 99, "--neurons", 5, "--layer", "hidden1")
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_it_writes_figures_and_pictures(written):
    folder, output = written
    assert sorted(path.name for path in folder.iterdir()) == [
        "analysis.json",
        "delays.png",
        "morans-i-hidden1.png",
        "neurons.csv",
        "receptive-fields-hidden1-after.png",
        "receptive-fields-hidden1-before.png",
    ]
    assert all(path.stat().st_size > 1000 for path in folder.glob("*.png"))
    assert "hidden1: 40 neurons, fields of 64 units x 9 delays" in output
    assert "…" not in output  # nothing is cut at 80 columns


def test_the_figures_are_those_of_the_run(written, run):
    folder, _ = written
    record = json.loads((folder / "analysis.json").read_text())
    assert record["test"] == {
        "contiguity": "queen", "permutations": 99, "seed": 0, "alternative": "greater", "significant_at": 0.05,
    }  # fmt: skip
    assert set(record["layers"]["hidden1"]) == {"before", "after"}
    rows = list(csv.DictReader((folder / "neurons.csv").open()))
    assert len(rows) == len(record["neurons"]) == 2 * 3 * 40
    after = [float(row["morans_i"]) for row in rows if (row["stage"], row["part"]) == ("after", "signed")]
    mean = record["layers"]["hidden1"]["after"]["signed"]["morans_i_mean"]
    assert sum(after) / len(after) == pytest.approx(mean)
    histograms = record["delay_histograms"]
    assert set(histograms) == {"hidden1", "readout"}
    for layer, synapses in (("hidden1", 64 * 40), ("readout", 40 * 10)):
        assert sum(histograms[layer]["before"]) == sum(histograms[layer]["after"]) == synapses
        epochs = histograms[layer]["by_epoch"]
        assert [line["epoch"] for line in epochs] == list(range(1, 9))
        best = json.loads((run / "summary.json").read_text())["best_epoch"]
        assert epochs[best - 1]["synapses"] == histograms[layer]["after"]


def test_the_same_seed_writes_the_same_figures(call, run, written, tmp_path):
    folder, _ = written
    call("analyze", run, "-o", tmp_path, "--permutations", 99, "--neurons", 5, "--layer", "hidden1")
    for name in ("analysis.json", "neurons.csv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_a_run_without_a_past_is_analyzed_as_it_is(call, run, tmp_path):
    imported = tmp_path / "imported"
    imported.mkdir()
    for name in ("best.pt", "recipe.toml"):
        shutil.copy(run / name, imported / name)
    result = call("analyze", imported, "--permutations", 19, "--neurons", 2, "--layer", "readout")
    assert result.exit_code == 0, result.output
    assert "its network before training is unknown" in result.output
    assert "have no order of their own" in result.output
    names = {path.name for path in (imported / "analysis").iterdir()}
    assert "receptive-fields-readout-after.png" in names
    assert "receptive-fields-readout-before.png" not in names


def test_another_version_of_pytorch_is_noted(call, run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    environment, _ = read_signed_json(copy / "environment.json")
    write_signed_json(copy / "environment.json", {**environment, "torch": "1.0"})
    result = call("analyze", copy, "--permutations", 19, "--neurons", 2)
    assert "the run's by 1.0: another version may draw other numbers" in result.output


def test_too_few_permutations_for_any_p_below_5_percent_are_refused(call, run):
    result = call("analyze", run, "--permutations", 18)
    assert result.exit_code == 2
    assert "19<=x<=20000" in result.output


def test_an_unknown_layer_is_named_with_those_that_there_are(call, run, tmp_path):
    result = call("analyze", run, "-o", tmp_path / "out", "--layer", "hidden7")
    assert result.exit_code == 2
    assert "layer hidden7: the network has no such layer; choose from hidden1, readout" in result.output
    assert not (tmp_path / "out").exists()


def test_a_folder_without_a_run_is_refused(call, tmp_path):
    result = call("analyze", tmp_path)
    assert result.exit_code == 2
    assert "no such checkpoint; give a run folder" in result.output
