"""`delaytool sweep` as a user types it."""

import importlib
import sys

from delaytool.experiments.cross_validation.folds import TrainFold
from delaytool.experiments.measure_run import Measure
from delaytool.experiments.sweep.folder import SweepFolder

TINY = (
    "digits", "--set", "model.hidden=[16]", "--set", "trainer.epochs=2", "--set", "data.validation_fraction=0.5",
)  # fmt: skip


def test_a_sweep_trains_goes_on_extends_and_shows_its_table(call, tmp_path):
    out = tmp_path / "sweep"
    result = call("sweep", *TINY, "--over", "model.max_delay=2,6", "--over", "seed=0..1", "-o", out)
    assert result.exit_code == 0, result.output
    assert "4/4  max_delay=6,seed=1  validation" in result.output
    assert (out / "results.png").stat().st_size > 5000
    table = (out / "results.csv").read_text()

    stamps = {path: path.stat().st_mtime_ns for path in out.glob("runs/*/last.pt")}
    result = call("sweep", *TINY, "--over", "model.max_delay=2,6", "--over", "seed=0..1", "-o", out)
    assert "4 runs; 4 finished already" in result.output
    assert {path: path.stat().st_mtime_ns for path in out.glob("runs/*/last.pt")} == stamps
    assert (out / "results.csv").read_text() == table

    result = call("sweep", *TINY, "--over", "model.max_delay=4", "--over", "seed=0", "-o", out)
    assert "1 runs, 4 more of earlier commands" in result.output
    shown = call("sweep", "--table", out)
    assert shown.exit_code == 0
    assert [line.split()[:2] for line in shown.output.splitlines()[1:4]] == [["2", "2"], ["4", "1"], ["6", "2"]]

    run = out / "runs" / "max_delay=6,seed=1"
    assert call("export", run).exit_code == 0
    assert call("verify", run / "network-loihi2.h5", "--no-drop", "--samples", 20).exit_code == 0


def test_a_run_that_diverges_is_listed_and_the_others_are_trained(call, tmp_path):
    out = tmp_path / "sweep"
    result = call("sweep", *TINY, "--over", "trainer.lr=1e30,5e-3", "-o", out)
    assert result.exit_code == 1
    assert "failed: lr=1e+30: training diverged" in result.output
    assert "finished" in (out / "runs.csv").read_text()


def test_bad_input_to_sweep_starts_nothing(call, tmp_path):
    out = tmp_path / "sweep"

    def refused(*arguments):
        result = call("sweep", *arguments, "-o", out)
        assert result.exit_code == 2
        assert not out.exists()
        return result.output

    assert "did you mean trainer.epochs?" in refused("digits", "--over", "trainer.epoch=1..2")
    assert "model.tau: value 0 is not possible" in refused("digits", "--over", "model.tau=0..3")
    assert "no such data" in refused("digits", "--over", "seed=0..1", "--data", tmp_path / "none")
    assert "give a recipe and what to sweep" in refused("digits")
    assert "no sweep is there" in call("sweep", "--table", tmp_path).output


def test_runs_that_are_no_sweeps_are_shown_in_no_table(call, tmp_path):
    for name, job, message in (
        ("c", Measure("loihi2", 5), "holds a comparison, not a sweep; show it with: delaytool compare --page"),
        ("f", TrainFold(), "its runs are to cross-validate; give the folder of a sweep"),
    ):
        SweepFolder(tmp_path / name, job)
        result = call("sweep", "--table", tmp_path / name)
        assert result.exit_code == 2
        assert message in " ".join(result.output.split())


def test_without_optuna_the_extra_is_named(call, tmp_path, monkeypatch):
    # What is imported anew takes the package's place in its parent, where later tests would find it.
    monkeypatch.setattr("delaytool.experiments.sweep", importlib.import_module("delaytool.experiments.sweep"))
    for name in [name for name in sys.modules if name.startswith("delaytool.experiments.sweep")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    result = call("sweep", *TINY, "--over", "seed=0", "-o", tmp_path / "sweep")
    assert result.exit_code == 2
    assert '[sweep]"' in result.output
