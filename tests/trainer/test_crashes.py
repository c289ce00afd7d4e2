"""A run that is killed at any write step goes on to what it would have been."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from killed_runs import assert_as_never_killed

from delaytool.cli import main
from delaytool.errors import CheckpointError
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.loop import Reporter, train
from delaytool.trainer.recipe import load_recipe
from delaytool.trainer.run_folder import RunFolder

TINY = [
    "model.hidden=[6]", "trainer.epochs=3", "trainer.batch_size=512", "data.validation_fraction=0.5",
    "model.max_delay=6",
]  # fmt: skip


class Recorder:
    """Keeps a copy of a folder as it is before every change that this process makes there.

    What a killed process leaves behind is what it has changed so far. Python reports every opening, renaming and
    removal before it happens, whoever asks for it; so the copies are all states in which a kill can leave the folder,
    but for a write that is cut short.
    """

    def __init__(self, folder, copies):
        self.folder, self.copies, self.states, self.on = str(folder), copies, [], False
        sys.addaudithook(self.hook)  # stays for ever, so it is switched off by `on`

    def hook(self, event, arguments):
        if not self.on or event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.truncate", "os.rmdir"):
            return
        if event == "open":
            flags = arguments[2]
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                return
        if str(arguments[0]).startswith(self.folder):
            self.keep()

    def keep(self):
        self.on = False
        try:
            copy = self.copies / str(len(self.states))
            if Path(self.folder).exists():
                shutil.copytree(self.folder, copy, ignore=shutil.ignore_patterns(".lock"))
            else:
                copy.mkdir()
            state = content(copy)
            if not self.states or state != self.states[-1][1]:
                self.states.append((copy, state))
            else:
                shutil.rmtree(copy)
        finally:
            self.on = True

    def __enter__(self):
        self.on = True
        return self

    def __exit__(self, *_):
        self.keep()
        self.on = False


def content(folder):
    """Bytes by name, but for TensorBoard's, which is made anew."""
    return {
        re.sub(r"(?<=\.)[0-9a-f]{8}$", "", path.name): path.read_bytes() for path in folder.iterdir() if path.is_file()
    }


def go_on(folder, recipe):
    """What a user does with an interrupted run: resume it, or start it where it had not begun."""
    if RunFolder(folder).is_run:
        train(None, folder, resume=True)
    else:
        with pytest.raises(CheckpointError, match="no run to resume"):
            train(None, folder, resume=True)
        train(recipe, folder)


@pytest.fixture(scope="module")
def recipe():
    return load_recipe("digits", TINY)


@pytest.fixture(scope="module")
def recorded(recipe, tmp_path_factory):
    """(the folder of a whole run, every state that it went through)."""
    base = tmp_path_factory.mktemp("recorded")
    (base / "copies").mkdir()
    with Recorder(base / "whole", base / "copies") as recorder:
        train(recipe, base / "whole")
    return base / "whole", recorder.states


def test_killed_at_any_write_step_the_mean_of_the_last_epochs_goes_on_to_the_same_bits(tmp_path):
    keys = ["protocol=fixed", "trainer.average_epochs=3", "trainer.sigma_schedule=constant"]
    averaged = load_recipe("digits", [*TINY, "trainer.single_tap_epochs=0", *keys])
    (tmp_path / "copies").mkdir()
    with Recorder(tmp_path / "whole", tmp_path / "copies") as recorder:
        train(averaged, tmp_path / "whole")
    assert Checkpoint.load(tmp_path / "whole" / "best.pt").progress["averaged"] == 3
    for index, (copy, _) in enumerate(recorder.states):
        shutil.copytree(copy, tmp_path / "again" / str(index))
        go_on(tmp_path / "again" / str(index), averaged)
        assert_as_never_killed(tmp_path / "again" / str(index), tmp_path / "whole")


def torn(states):
    """Metrics whose last line was cut short at some place: (folder to take the rest from, metrics)."""
    for (before, old), (_, new) in pairwise(states):
        was, now = old.get("metrics.jsonl", b""), new.get("metrics.jsonl", b"")
        if len(now) > len(was):
            for cut in (1, (len(now) - len(was)) // 2, len(now) - len(was) - 40, len(now) - len(was) - 1):
                yield before, now[: len(was) + cut]


def test_the_states_are_those_that_matter(recorded):
    whole, states = recorded
    names = [set(state) for _, state in states]
    assert any("best.pt" in state and "last.pt" not in state for state in names)
    assert any("metrics.jsonl" in state and "best.pt" not in state for state in names)
    assert any("environment.json" in state and "recipe.toml" not in state for state in names)
    assert any("last.pt" in state and "summary.json" not in state for state in names)
    for name in ("environment.json.", "recipe.toml.", "best.pt.", "last.pt.", "summary.json."):
        assert any(f".{name}" in state for state in names), f"half-made {name}"
    assert len(states) >= 25
    assert content(whole) == states[-1][1] | {".lock": b""}


def test_killed_at_any_write_step_a_run_goes_on_to_the_same_bits(recorded, recipe, tmp_path):
    whole, states = recorded
    for index, (copy, _) in enumerate(states):
        shutil.copytree(copy, tmp_path / str(index))
        go_on(tmp_path / str(index), recipe)
        assert_as_never_killed(tmp_path / str(index), whole)


def test_killed_while_a_line_of_metrics_is_written(recorded, recipe, tmp_path):
    whole, states = recorded
    cases = list(torn(states))
    assert len(cases) == 12
    for index, (copy, metrics) in enumerate(cases):
        shutil.copytree(copy, tmp_path / str(index))
        (tmp_path / str(index) / "metrics.jsonl").write_bytes(metrics)
        go_on(tmp_path / str(index), recipe)
        assert_as_never_killed(tmp_path / str(index), whole)


def test_killed_while_it_goes_on(recorded, recipe, tmp_path):
    """From the state with an epoch's line but not its checkpoint: going on begins with cutting the metrics."""
    whole, states = recorded
    start = next(
        copy for copy, state in states if state.get("metrics.jsonl", b"").count(b"\n") == 2 and "last.pt" in state
    )
    shutil.copytree(start, tmp_path / "run")
    (tmp_path / "copies").mkdir()
    with Recorder(tmp_path / "run", tmp_path / "copies") as recorder:
        train(None, tmp_path / "run", resume=True)
    cut = [state for _, state in recorder.states if state.get("metrics.jsonl", b"").count(b"\n") == 1]
    assert cut, "the metrics were cut"
    for index, (copy, _) in enumerate(recorder.states):
        shutil.copytree(copy, tmp_path / "again" / str(index))
        go_on(tmp_path / "again" / str(index), recipe)
        assert_as_never_killed(tmp_path / "again" / str(index), whole)


KILLED = """
    import os, sys
    from delaytool.cli import main

    replace, calls = os.replace, []

    def dies(*arguments, **keywords):
        calls.append(arguments[1])
        if str(arguments[1]).endswith("last.pt"):
            os._exit(9)
        return replace(*arguments, **keywords)

    os.replace = dies
    main(sys.argv[1:])
"""


def test_a_process_that_is_killed_between_the_checkpoints_of_the_first_epoch(recorded, tmp_path):
    options = [word for key in TINY for word in ("--set", key)]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), "train", "digits", "-o", str(tmp_path / "run"), *options]
    assert subprocess.run(command, capture_output=True, check=False, timeout=300).returncode == 9
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert "best.pt" in names
    assert "last.pt" not in names
    result = CliRunner().invoke(main, ["train", "--resume", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    assert_as_never_killed(tmp_path / "run", recorded[0])


HOLDS = """
    import sys
    from delaytool.trainer.run_folder import RunFolder

    with RunFolder(sys.argv[1]).locked():
        print("held", flush=True)
        sys.stdin.read()
"""


def test_two_processes_do_not_train_one_run_and_a_dead_one_does_not_block(recorded, tmp_path):
    whole, states = recorded
    shutil.copytree(states[-2][0], tmp_path / "run")
    before = content(tmp_path / "run")
    command = [sys.executable, "-c", textwrap.dedent(HOLDS), str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout.readline() == b"held\n"
            result = CliRunner().invoke(main, ["train", "--resume", str(tmp_path / "run")])
            assert result.exit_code == 2
            lines = result.output.strip().splitlines()
            assert len(lines) == 1
            assert "another process is training this run now" in lines[0]
            assert {**content(tmp_path / "run"), ".lock": None} == {**content_without_leftovers(before), ".lock": None}
        finally:
            holder.send_signal(signal.SIGKILL)
    train(None, tmp_path / "run", resume=True)
    assert_as_never_killed(tmp_path / "run", whole)


def content_without_leftovers(state):
    return {name: content for name, content in state.items() if not name.startswith(".")}


def test_a_run_is_begun_by_one_process_only(recipe, tmp_path):
    """While one process reads its data and begins, another that was started with it gets an error."""

    class BeginsAnother(Reporter):
        def begin(self, *arguments):
            with pytest.raises(CheckpointError, match="a run is there already"):
                train(recipe, tmp_path / "run")
            with pytest.raises(CheckpointError, match="another process is training this run"):
                train(None, tmp_path / "run", resume=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path / "run", reporter=BeginsAnother())


def test_a_lost_line_of_metrics_is_an_error_and_not_a_gap(recorded, tmp_path):
    whole, _ = recorded
    lines = RunFolder(whole).metrics.read_bytes().splitlines(keepends=True)
    for kept in (lines[:2], [], [lines[0], lines[2]]):
        folder = tmp_path / str(len(kept)) / str(lines.index(kept[-1]) if kept else 0)
        shutil.copytree(whole, folder)
        RunFolder(folder).metrics.write_bytes(b"".join(kept))
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl.*the run is damaged"):
            train(None, folder, resume=True)


def test_a_run_goes_on_with_the_recipe_that_it_began_with(recorded, tmp_path):
    shutil.copytree(recorded[0], tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    changed = run.recipe.read_text().replace("epochs = 3", "epochs = 5")
    run.recipe.write_text(changed)
    with pytest.raises(CheckpointError, match=r"recipe\.toml: is not what was written.*the first and the last line"):
        train(None, run.path, resume=True)
    run.recipe.write_text("".join(changed.splitlines(keepends=True)[:-1]))
    with pytest.raises(CheckpointError, match=r"recipe\.toml: is not what was written.*delete the first line, too"):
        train(None, run.path, resume=True)
    run.recipe.write_text("".join(changed.splitlines(keepends=True)[1:-1]))
    with pytest.raises(CheckpointError, match=r"trainer\.epochs is 5, but the run began with 3"):
        train(None, run.path, resume=True)


def test_a_recipe_may_be_changed_on_purpose_before_the_first_epoch_has_ended(recorded, tmp_path):
    _, states = recorded
    shutil.copytree(next(copy for copy, state in states if "recipe.toml" in state), tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    lines = run.recipe.read_text().replace("epochs = 3", "epochs = 1").splitlines(keepends=True)
    run.recipe.write_text("".join(lines[1:-1]))
    assert train(None, run.path, resume=True)["epochs"] == 1
    # A copy is nobody's record: it can be changed and trained as it is.
    (tmp_path / "mine.toml").write_text("".join(lines))
    assert load_recipe(str(tmp_path / "mine.toml")).trainer.epochs == 1


FIXTURE = Path(__file__).parents[1] / "fixtures" / "run-without-digests"


def test_a_run_of_an_earlier_version_goes_on(tmp_path):
    """It was interrupted after the first of two epochs, and has neither digests nor a lock."""
    shutil.copytree(FIXTURE, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    assert not Checkpoint.load(run.last).is_signed
    assert run.unsigned_files() == ("recipe.toml", "environment.json", "metrics.jsonl")
    first = run.read_metrics()
    summary = train(None, run.path, resume=True)
    assert summary["epochs"] == 2
    assert run.read_metrics()[:1] == first
    assert [line["epoch"] for line in run.read_metrics()] == [1, 2]
    assert Checkpoint.load(run.last).is_signed
    assert run.unsigned_files() == ("recipe.toml", "environment.json", "metrics.jsonl")


def test_an_earlier_versions_missing_line_stays_missing(tmp_path):
    """It kept the checkpoint before the line, so a kill between the two lost the line."""
    shutil.copytree(FIXTURE, tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    run.metrics.unlink()
    train(None, run.path, resume=True)
    assert [line["epoch"] for line in run.read_metrics()] == [2]
    train(None, run.path, resume=True)
