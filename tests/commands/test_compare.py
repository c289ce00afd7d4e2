"""`delaytool compare` as a user types it: two methods, two seeds."""

import csv
import io
import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from delaytool.commands.console import PlainConsole
from delaytool.commands.tables import comparison_tables, pair_table
from delaytool.digests import read_signed_json, write_signed_json
from delaytool.experiments.measure_run import Measure, other_samples
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.report.comparison import comparison_of

TINY = ("--set", "model.hidden=[24]", "--set", "trainer.epochs=6", "--set", "data.validation_fraction=0.5")


@pytest.fixture(scope="module")
def recipes(tmp_path_factory):
    """Fixed delays, and delays that are longer than Loihi 2's."""
    folder = tmp_path_factory.mktemp("recipes")
    for name, model in (("fixed", "delays = 'fixed'"), ("long", "max_delay = 80\ntail_steps = 4")):
        (folder / f"{name}.toml").write_text(f"extends = 'digits'\n[model]\n{model}\n")
    return folder


@pytest.fixture(scope="module")
def compared(call, recipes, tmp_path_factory):
    out = tmp_path_factory.mktemp("comparison") / "out"
    result = call("compare", "digits", recipes / "fixed.toml", "--seeds", 2, "-o", out, *TINY)
    assert result.exit_code == 0, result.output
    return out, result.output


def table(out):
    with (out / "comparison.csv").open() as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def read(out, method, seed, name):
    return json.loads((out / "runs" / f"method={method},seed={seed}" / name).read_text())


def test_the_table_has_the_mean_and_the_error_of_every_method(compared):
    out, output = compared
    rows = table(out)
    assert list(rows) == ["digits", "fixed"]
    for method, row in rows.items():
        summaries = [read(out, method, seed, "summary.json") for seed in (0, 1)]
        measured = [read(out, method, seed, "measured.json") for seed in (0, 1)]
        validation = [one["validation_accuracy"] for one in summaries]
        assert float(row["validation_accuracy"]) == pytest.approx(np.mean(validation), abs=1e-6)
        for column, values in (
            ("float_rounded", [one["test_accuracy_rounded"] for one in summaries]),
            ("float_as_trained", [one["test_accuracy_as_trained"] for one in summaries]),
            ("integer", [one["accuracy"] for one in measured]),
        ):
            mean = np.mean(values)
            assert float(row[f"{column}_accuracy"]) == pytest.approx(mean, abs=1e-6)
            assert float(row[f"{column}_standard_error"]) == pytest.approx(np.std(values, ddof=1) / 2**0.5, abs=1e-6)
            binomial = np.sqrt(mean * (1 - mean) / 359)
            assert float(row[f"{column}_binomial_error"]) == pytest.approx(binomial, abs=1e-6)
        drops = [100 * (one["test_accuracy_rounded"] - two["accuracy"])
                 for one, two in zip(summaries, measured, strict=True)]  # fmt: skip
        assert float(row["drop_points"]) == pytest.approx(np.mean(drops), abs=1e-6)
        assert float(row["footprint_bytes"]) == pytest.approx(np.mean([one["footprint_bytes"] for one in measured]))
        assert int(row["cores"]) == max(one["cores"] for one in measured)
        assert int(row["synapse_bytes"]) == max(one["synapse_bytes"] for one in measured)
        assert (row["differing_values"], row["runs_that_fit"], row["reasons"]) == ("0", "2", "")
    assert int(rows["fixed"]["parameters"]) < int(rows["digits"]["parameters"])
    assert "fits: 2 cores" in output


def test_another_number_of_samples_is_named_where_runs_were_measured_before(compared):
    folder = SweepFolder(compared[0], Measure("loihi2", 200))
    assert [read(compared[0], "digits", seed, "measured.json")["compared_samples"] for seed in (0, 1)] == [200, 200]
    assert other_samples(folder, 200) == ""
    assert other_samples(folder, 7).startswith("--samples 7: runs that were measured before keep their comparison of")
    assert "on 200 samples; to compare them again, delete their measured.json" in other_samples(folder, 1000)


def test_every_table_fits_a_terminal_of_80_columns(compared):
    """Long names of methods are broken, figures and headings never."""
    out, _ = compared
    comparison = comparison_of(SweepFolder(out, Measure("loihi2", 200)), "loihi2")
    long_name = "a-method-whose-name-has-far-too-many-letters-for-a-terminal"
    methods = tuple(replace(one, name=long_name if one.name == "fixed" else one.name) for one in comparison.methods)
    console = PlainConsole(width=80)
    console.soft_wrap, console.file = False, io.StringIO()
    console.width = 80
    tables = comparison_tables(replace(comparison, methods=methods))
    console.print(*tables, pair_table(comparison), sep="\n")
    printed = console.file.getvalue()
    assert "…" not in printed
    assert max(map(len, printed.splitlines())) <= 80
    for heading in ("integer", "on loihi2", "activation sparsity", "membrane updates", "chance"):
        assert heading in printed
    assert "fits: 2 cores" in printed


def test_the_integers_figures_are_those_of_verify(compared, call):
    out, _ = compared
    measured = read(out, "fixed", 1, "measured.json")
    network = out / "runs" / "method=fixed,seed=1" / "network-loihi2.h5"
    verdict = json.loads(call("verify", network, "--json", "--max-drop", "30").stdout)
    assert measured["accuracy"] == verdict["accuracy"]["engine"]
    assert measured["drop"] == pytest.approx(verdict["drop_points"])
    for name in ("spikes", "synaptic_events"):
        assert measured[name] == pytest.approx(sum(verdict["per_sample"][name]), abs=0.01)


def test_the_page_and_the_markdown_agree(compared, call):
    out, _ = compared
    page, markdown = (out / "comparison.html").read_text(), (out / "comparison.md").read_text()
    lines = [line.strip("| ").split(" | ") for line in markdown.splitlines() if line.startswith("| ")]
    assert len(lines) == 3
    for line in lines:
        for cell in line:
            assert cell in page
    assert "model.delays" in page
    assert "learned" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    (out / "comparison.html").unlink()
    assert call("compare", "--page", out).exit_code == 0
    assert (out / "comparison.html").read_text() == page


def test_what_is_done_is_not_done_again_and_what_does_not_fit_has_a_reason(compared, recipes, call, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(compared[0], out)
    run = out / "runs" / "method=digits,seed=0"
    measured = (run / "measured.json").read_text()
    (run / "measured.json").unlink()  # interrupted between training and measuring
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/*.pt")}
    result = call("compare", "digits", recipes / "fixed.toml", recipes / "long.toml", "--seeds", 2, "-o", out, *TINY)
    assert result.exit_code == 0, result.output
    assert "6 runs; 3 finished already" in result.output
    assert (run / "measured.json").read_text() == measured
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    row = table(out)["long"]
    assert (row["runs_that_fit"], row["integers_for"], row["differing_values"]) == ("0", "ideal", "0")
    assert "long does not fit loihi2 (2 of 2 runs): layer hidden1: delay" in result.output
    assert "no; integers for ideal" in (out / "comparison.md").read_text()


def test_each_speaker_is_left_out_in_turn(call, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("delaytool.experiments.sweep.prepare.load_data", lambda recipe: SimpleNamespace(warnings=()))
    monkeypatch.setattr(
        "delaytool.commands.sweep_progress.work_in_processes",
        lambda path, job, on_update, jobs: asked.extend(SweepFolder(path, job).journal.settings()),
    )
    call("compare", "shd-2l-1kc", "--seeds", 2, "--speakers", "0..3", "-o", tmp_path / "out")
    assert [(one.recipe.seed, one.recipe.data.held_out_speaker) for one in asked] == [
        (seed, speaker) for seed in (0, 1) for speaker in range(4)
    ]


def test_a_method_that_fails_is_in_the_table_and_stops_no_other(call, recipes, tmp_path):
    (tmp_path / "wild.toml").write_text("extends = 'digits'\n[trainer]\nlr = 1e30\n")
    out = tmp_path / "out"
    tiny = ("--set", "model.hidden=[24]", "--set", "trainer.epochs=2", "--set", "data.validation_fraction=0.5")
    result = call("compare", tmp_path / "wild.toml", recipes / "fixed.toml", "--seeds", 1, "-o", out, *tiny)
    assert result.exit_code == 1
    assert "wild failed (1 of 1 runs): training diverged" in result.output
    rows = table(out)
    assert (rows["wild"]["finished"], rows["wild"]["float_rounded_accuracy"]) == ("0", "")
    assert rows["fixed"]["finished"] == "1"


def test_bad_input_to_compare_starts_nothing(call, recipes, tmp_path):
    out = tmp_path / "out"

    def refused(*arguments):
        result = call("compare", *arguments, "-o", out)
        assert result.exit_code == 2
        assert not out.exists()
        return result.output

    assert "name the recipes to compare" in refused()
    assert "no such file or preset" in refused("digits", "nothing")
    assert "two recipes have this name" in refused("digits", "digits")
    assert "seeds are given by --seeds" in refused("digits", "--set", "seed=3")
    speakers = ("--speakers", "0,1")
    given_twice = "--set data.held_out_speaker=1: speakers are given by --speakers; leave one of them out"
    assert given_twice in refused("digits", *speakers, "--set", "data.held_out_speaker=1")
    assert "--speakers 3..: not of the form FIRST..LAST," in refused("digits", "--speakers", "3..")
    assert "--speakers 3..1: the range holds no value" in refused("digits", "--speakers", "3..1")
    assert "target 'abacus' is unknown" in refused("digits", "--target", "abacus")
    assert "no comparison is there" in call("compare", "--page", tmp_path).output
    sweep = tmp_path / "sweep"
    call("sweep", "digits", *TINY[:2], "--set", "trainer.epochs=1", "--over", "seed=0", "-o", sweep)
    assert "delaytool sweep --table" in call("compare", "--page", sweep).output
    result = call("compare", "digits", "--seeds", 1, "-o", sweep)
    assert "its runs are to train, not to compare methods for loihi2" in result.output


def test_the_pair_is_tested_and_the_result_is_in_all_outputs(compared):
    out, output = compared
    values = json.loads((out / "comparison.json").read_text())
    (pair,) = values["pairs"]
    accuracies = {
        method: np.mean([read(out, method, seed, "measured.json")["accuracy"] for seed in (0, 1)])
        for method in ("digits", "fixed")
    }
    assert (pair["one"], pair["other"], pair["runs"], pair["samples"]) == ("digits", "fixed", 2, 359)
    assert pair["difference_points"] == pytest.approx(100 * (accuracies["digits"] - accuracies["fixed"]))
    assert pair["interval_95"][0] <= pair["difference_points"] <= pair["interval_95"][1]
    assert [(one["one"], one["other"]) for one in values["mcnemar"]] == [("digits", "fixed")] * 2
    validation = {row["method"]: row["validation_accuracy"] for row in values["methods"]}
    assert values["best"] == max(validation, key=validation.get)
    assert values["highest_on_test"] is None
    assert f"Best by validation: {values['best']}." in output
    assert f"Best by validation: {values['best']}." in (out / "comparison.html").read_text()
    assert [method["method"] for method in values["methods"]] == ["digits", "fixed"]
    sentence = next(line for line in output.splitlines() if "could be chance (" in line or "is better than" in line)
    assert sentence in (out / "comparison.md").read_text()
    assert "Which differences could be chance" in (out / "comparison.html").read_text()
    assert f"{pair['difference_points']:+.2f}" in output


def test_runs_measured_before_answers_were_kept_are_run_again(compared, recipes, call, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(compared[0], out)
    files = sorted(out.glob("runs/*/measured.json"))
    before = [path.read_text() for path in files]
    for path in files:
        values, _ = read_signed_json(path)
        write_signed_json(path, {key: value for key, value in values.items() if key not in ("right", "test_labels")})
    page = call("compare", "--page", out)
    assert page.exit_code == 0
    assert "digits and fixed: no seed of both has finished with its answers recorded; not tested." in page.output
    result = call("compare", "digits", recipes / "fixed.toml", "--seeds", 2, "-o", out, *TINY)
    assert "not tested" not in result.output
    assert [path.read_text() for path in files] == before


def test_two_networks_that_really_differ(call, tmp_path):
    (tmp_path / "tiny.toml").write_text("extends = 'digits'\n[model]\nhidden = [2]\n")
    more = ("--set", "trainer.epochs=6")
    result = call("compare", "digits", tmp_path / "tiny.toml", "--seeds", 1, "-o", tmp_path / "out", *more)
    assert result.exit_code == 0, result.output
    assert "digits is better than tiny by" in result.output
    assert "as far as these two networks show" in result.output
