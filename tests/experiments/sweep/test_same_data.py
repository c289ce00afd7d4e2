"""Data that change between two commands of one sweep or comparison are named: its table would mix two tasks."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from spike_file import write_spikes

from delaytool.cli import main

TINY = ["--set", "model.hidden=[4]", "--set", "trainer.epochs=1", "--set", "data.n_units=12"]


@pytest.mark.parametrize("verb", ["sweep", "compare"])
def test_runs_of_other_data_are_named(verb: str, tmp_path: Path) -> None:
    data, out = tmp_path / "one.h5", tmp_path / "out"
    # So that frames are made in one way, whatever the data.
    fixed = ["--set", "data.n_steps=20", "--set", "data.max_count=5"]

    def call(seeds: int) -> str:
        which = ["--over", f"seed=0..{seeds - 1}"] if verb == "sweep" else ["--seeds", str(seeds)]
        result = CliRunner().invoke(main, [verb, "digits", *which, "-o", str(out), "--data", str(data), *TINY, *fixed])
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split())

    write_spikes(data, 0)
    assert "other samples" not in call(2)
    assert "other samples" not in call(3)
    write_spikes(data, 1)
    found = call(4)
    assert "seed=3: tested on other samples than" in found
    assert "seed=0 and 2 more, as the data have changed in between" in found
    assert "other samples" in call(4), "as long as they stand in one table"
    page = out / ("sweep.html" if verb == "sweep" else "comparison.html")
    assert "tested on other samples than" in page.read_text(encoding="utf-8")
