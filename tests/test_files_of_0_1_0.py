"""All that version 0.1.0 wrote is still read: runs, checkpoints, networks, sweeps, comparisons, netx, streams."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from delaytool.cli import main
from delaytool.contract.network import IntegerNetwork
from delaytool.runtime.stream import Stream

WRITTEN = Path(__file__).parent / "fixtures" / "written-by-0.1.0"

pytest.importorskip("torch")


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A copy, because some verbs write beside what they read."""
    return Path(shutil.copytree(WRITTEN, tmp_path / "written"))


@pytest.mark.parametrize("run", ["run", "integer-run"])
def test_a_run_is_exported_to_the_integers_that_it_had(written: Path, run: str) -> None:
    before = IntegerNetwork.load(written / run / "network-loihi2.h5")
    assert not before.signed
    result = call("export", written / run, "--target", "loihi2", "-o", written / "again.h5")
    assert result.exit_code == 0, result.output
    again = IntegerNetwork.load(written / "again.h5")
    assert again.signed
    assert again.integers_sha256() == before.integers_sha256()


@pytest.mark.parametrize("run", ["run", "integer-run"])
def test_a_network_is_compared_with_its_run(written: Path, run: str) -> None:
    network = written / run / "network-loihi2.h5"
    result = call("verify", network, "--run", written / run, "--samples", 20, "--no-drop")
    assert result.exit_code == 0, result.output
    assert "PASS" in result.output


def test_a_network_alone_runs_but_its_unsigned_record_does_not_count(written: Path) -> None:
    result = call("verify", written / "run" / "network-loihi2.h5", "--samples", 20)
    assert result.exit_code == 4, result.output  # the bits are equal, what integers cost is not known


def test_a_finished_run_goes_on_to_what_it_was(written: Path) -> None:
    import torch

    before = torch.load(written / "run" / "last.pt", weights_only=True)["model"]
    result = call("train", "--resume", written / "run")
    assert result.exit_code == 0, result.output
    after = torch.load(written / "run" / "last.pt", weights_only=True)["model"]
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_stopped_earlier_is_trained_to_its_end(written: Path) -> None:
    recipe = written / "run" / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("epochs = 3", "epochs = 4"))
    result = call("train", "--resume", written / "run")
    assert result.exit_code in (0, 2), result.output
    if result.exit_code == 2:
        assert "recipe.toml" in result.output  # another recipe than the run began with


def test_a_page_and_an_analysis_are_made_of_a_run(written: Path) -> None:
    assert call("report", written / "run", "--samples", 5).exit_code == 0
    assert (written / "run" / "report.html").is_file()
    assert call("analyse", written / "run", "--permutations", 19, "--neurons", 2).exit_code == 0  # the verb's old name


def test_sweeps_and_comparisons_are_shown(written: Path) -> None:
    shown = call("sweep", "--table", written / "sweep")
    assert shown.exit_code == 0, shown.output
    assert "2" in shown.output
    page = call("compare", "--page", written / "comparison")
    assert page.exit_code == 0, page.output
    assert (written / "comparison" / "comparison.html").is_file()


def test_a_netx_file_is_read(written: Path) -> None:
    result = call("import", written / "netx.net", "-o", written / "imported.h5")
    assert result.exit_code == 0, result.output
    imported, network = IntegerNetwork.load(written / "imported.h5"), IntegerNetwork.load(written / "netx.h5")
    assert imported.integers_sha256() == network.integers_sha256()


def test_a_stream_goes_on_where_it_was_put_away(written: Path) -> None:
    stream = Stream(IntegerNetwork.load(written / "run" / "network-loihi2.h5"))
    stream.load(written / "stream.npz")
    frames, expected = np.load(written / "stream-frames.npy"), np.load(written / "stream-goes-on.npy")
    assert np.array_equal(np.stack([stream.step(frame).readout for frame in frames[12:]]), expected)
