"""`train` and `export` refuse arguments that would have no effect, as the command line does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from torch import nn

import delaytool as dt
from delaytool.datasets import DataSpec, load
from delaytool.errors import CheckpointError, DelaytoolError, ExportError, RecipeError
from delaytool.trainer.data import load_data
from delaytool.trainer.recipe import load_recipe

FRAMES = np.random.default_rng(0).random((40, 12, 6)) < 0.3  # (sample, time, channel)
LABELS = np.arange(40) % 2
SMALL = {"model.hidden": [4], "trainer.epochs": 1}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dt.Run:
    folder = tmp_path_factory.mktemp("runs") / "run"
    return dt.train("digits", (FRAMES, LABELS), folder=folder, overrides=SMALL)


def test_what_a_run_has_of_its_own_is_not_given(run: dt.Run) -> None:
    for name, value in (("encoding", run.encoding), ("time_step_ms", 3.0), ("readout", "sum"), ("readout", "bogus")):
        for model in (run, run.path):
            with pytest.raises(ExportError, match=f"{name}.* would have no effect, a run has its own; leave it out"):
                dt.export(model, "ideal", FRAMES, **{name: value})
    with pytest.raises(ExportError, match="readout 'sum' would have no effect, a DelayNetwork has its own"):
        dt.export(run.model(), "ideal", FRAMES, readout="sum")
    with pytest.raises(ExportError, match=r"time_step_ms 3.0 would have no effect, the encoding has its own"):
        dt.export(run.model(), "ideal", FRAMES, encoding=run.encoding, time_step_ms=3.0)
    assert dt.export(run.model(), "ideal", FRAMES, time_step_ms=3.0).encoding.time_step_ms == 3.0
    # What is so anyhow is let pass.
    same = {"time_step_ms": run.encoding.time_step_ms, "readout": "softmax-sum"}
    assert (
        dt.export(run, "ideal", FRAMES, **same).integers_sha256() == dt.export(run, "ideal", FRAMES).integers_sha256()
    )
    assert dt.export(run.model(), "ideal", FRAMES, encoding=run.encoding, checkpoint="best", **same).n_steps


def test_a_checkpoint_is_a_run_s_and_best_or_last(run: dt.Run) -> None:
    with pytest.raises(ExportError, match="checkpoint 'last' would have no effect, it is for runs"):
        dt.export(run.model(), "ideal", FRAMES, checkpoint="last")
    for use in (run.checkpoint, run.model, lambda name: dt.export(run, "ideal", FRAMES, checkpoint=name)):
        with pytest.raises(CheckpointError, match="a run has no checkpoint 'Best'; choose 'best' or 'last'"):
            use("Best")
    assert dt.export(run, "ideal", FRAMES, checkpoint="last").export["checkpoint"] == "last"


def test_neurons_that_fire_have_no_readout() -> None:
    model = nn.Sequential(dt.DelayedLinear(6, 2, 3), dt.LIF(5.0))
    with pytest.raises(ExportError, match="readout 'sum' would have no effect: the last layer's neurons fire"):
        dt.export(model, "ideal", FRAMES, readout="sum")


def test_class_names_of_data_that_name_their_own_are_refused(tmp_path: Path) -> None:
    ready = (None, "digits", load(DataSpec("digits")), load_data(load_recipe("digits")))
    for data in ready:
        with pytest.raises(RecipeError, match=r"class_names \('x', 'y'\) would have no effect"):
            dt.train("digits", data, folder=tmp_path / "run", overrides=SMALL, class_names=["x", "y"])
    assert not (tmp_path / "run").exists()


def test_jobs_are_for_folds(run: dt.Run, tmp_path: Path) -> None:
    for settings in (
        {"recipe": "digits", "overrides": SMALL, "folder": tmp_path / "run"}, {"folder": run.path, "resume": True}
    ):  # fmt: skip
        with pytest.raises(RecipeError, match="jobs 5 would have no effect: it is for folds"):
            dt.train(data=(FRAMES, LABELS), jobs=5, **settings)


@pytest.mark.parametrize("settings", [{"recipe": "digits"}, {"overrides": {"trainer.epochs": 9}}])
def test_a_run_goes_on_as_it_began(settings: dict[str, object], run: dt.Run) -> None:
    with pytest.raises(DelaytoolError, match="resume goes on with the run as it began; leave out recipe and overrides"):
        dt.train(data=(FRAMES, LABELS), folder=run.path, resume=True, **settings)


def test_a_network_that_is_calibrated_on_given_frames_records_its_recipe(run: dt.Run) -> None:
    """By which `predict` and `verify` know the unit of times, and `verify --run` the checkpoint."""
    network = dt.export(run, "ideal", FRAMES)
    whole = dt.export(run, "ideal")
    for key in ("recipe", "recipe_sha256", "checkpoint_sha256", "epoch", "split"):
        assert network.provenance[key] == whole.provenance[key]
    assert "float" not in network.provenance
