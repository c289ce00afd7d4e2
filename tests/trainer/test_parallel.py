"""Two processes make the run that one process makes."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack, nullcontext
from unittest.mock import patch

import pytest
import torch
from killed_runs import assert_as_never_killed

from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork
from delaytool.models.synchronized_norm import SynchronizedBatchNorm
from delaytool.trainer import checkpoint, initial_network, processor
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import load_data
from delaytool.trainer.evaluation import Evaluation, evaluate
from delaytool.trainer.loop import train
from delaytool.trainer.parallel import Team
from delaytool.trainer.recipe import load_recipe
from delaytool.trainer.run_folder import RunFolder

SETTINGS = [
    "model.hidden=[24, 16]", "model.dropout=0.3", "trainer.epochs=3", "trainer.batch_size=101",
    "trainer.time_jitter=0.5", "trainer.threads=1",
]  # fmt: skip
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def options_of(settings):
    return [word for setting in settings for word in ("--set", setting)]


def torchrun(*arguments):
    """`torchrun --nproc-per-node=2 -m delaytool …`."""
    return launched("-m", "delaytool", *arguments)


def launched(*arguments):
    """torchrun, by the interpreter that runs the tests."""
    command = [*TORCHRUN, "--nproc-per-node=2", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=300)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    train(load_recipe("digits", SETTINGS), folder / "one")
    done = torchrun("train", "digits", "-o", str(folder / "two"), *options_of(SETTINGS))
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_two_processes_have_the_loss_curve_of_one(runs):
    folder, output = runs
    one, two = (RunFolder(folder / name) for name in ("one", "two"))
    # A sum that rounds otherwise turns a spike over now and then, and every step adds to that.
    for alone, together, tolerance in zip(one.read_metrics(), two.read_metrics(), (1e-4, 5e-3, 2e-2), strict=True):
        assert together["train_loss"] == pytest.approx(alone["train_loss"], rel=tolerance)
        assert together["validation_loss"] == pytest.approx(alone["validation_loss"], rel=2e-2)
    assert sum(line.startswith("    3  ") for line in output.splitlines()) == 1  # only the first process prints
    # Rounding grows from epoch to epoch, and may choose another one: three binomial errors of 359 samples at 20 %.
    assert two.read_summary()["test_accuracy_rounded"] == pytest.approx(
        one.read_summary()["test_accuracy_rounded"], abs=0.063
    )


def runs_in_float64(folder, settings, processes):
    """The run of this process, and that of several, which are started as torchrun starts them, without its launcher.

    In float64, which no training takes otherwise: there the order of sums does not turn spikes over.
    """
    script = folder / "train.py"
    script.write_text(
        "import contextlib, sys, torch\n"
        "from delaytool.trainer import checkpoint, initial_network, processor\n"
        "from delaytool.trainer.loop import train\n"
        "from delaytool.trainer.recipe import load_recipe\n"
        "for module in (checkpoint, initial_network, processor):\n"
        "    module.float32_by_default = contextlib.nullcontext\n"
        "torch.set_default_dtype(torch.float64)\n"
        f"train(load_recipe('digits', {settings!r}), sys.argv[1])\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    started = []
    for rank in range(processes):
        team = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {**ENVIRONMENT, **{name: str(value) for name, value in (team | meeting).items()}}
        command = [sys.executable, str(script), str(folder / "several")]
        started.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment))
    torch.set_default_dtype(torch.float64)
    try:
        with ExitStack() as float64:
            for module in (checkpoint, initial_network, processor):
                float64.enter_context(patch.object(module, "float32_by_default", nullcontext))
            train(load_recipe("digits", settings), folder / "one")
    finally:
        torch.set_default_dtype(torch.float32)
        errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0] * processes, errors
    return RunFolder(folder / "one"), RunFolder(folder / "several")


def assert_the_same_run(one, other):
    for alone, together in zip(one.read_metrics(), other.read_metrics(), strict=True):
        for key in ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy", "spikes"):
            assert together[key] == pytest.approx(alone[key], rel=1e-6), key
    alone, together = (Checkpoint.load(run.last).model for run in (one, other))
    assert alone.keys() == together.keys()
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-7)


def test_two_processes_have_the_numbers_of_one_in_float64(tmp_path):
    more = ["trainer.blend=0.5", "trainer.time_shift=1", "trainer.channel_shift=4", "trainer.rate_target=[1, 2]"]
    assert_the_same_run(*runs_in_float64(tmp_path, [*SETTINGS, *more, "trainer.epochs=2"], 2))


def test_two_processes_have_the_mean_of_one(tmp_path):
    settings = [*SETTINGS, "trainer.epochs=2", "trainer.average_epochs=2", "trainer.sigma_schedule=constant"]
    settings += ["trainer.single_tap_epochs=0", "protocol=fixed"]
    one, other = runs_in_float64(tmp_path, settings, 2)
    alone, together = (Checkpoint.load(run.best) for run in (one, other))
    assert alone.progress["averaged"] == together.progress["averaged"] == 2
    torch.testing.assert_close(together.model, alone.model, rtol=1e-5, atol=1e-7)


def test_a_last_batch_smaller_than_the_number_of_processes(tmp_path):
    samples = len(load_data(load_recipe("digits")).train)
    settings = [*SETTINGS, "trainer.epochs=2", f"trainer.batch_size={samples - 1}"]
    settings.append("model.convolution=fft")  # what every run on a GPU takes
    assert_the_same_run(*runs_in_float64(tmp_path, settings, 3))


def test_an_evaluation_without_samples_leaves_the_others_as_they_are():
    model = DelayNetwork(6, 3, ModelConfig(hidden=(5,), max_delay=2))
    frames = torch.ones(4, 8, 6, dtype=torch.uint8)
    labels = torch.tensor([0, 1, 2, 0])
    parts = [evaluate(model, frames[rows], labels[rows], 2) for rows in (slice(0, 0), slice(0, 4), slice(4, 4))]
    joined, whole = Evaluation.joined(parts), evaluate(model, frames, labels, 2)
    assert (joined.loss, joined.accuracy, joined.spikes) == (whole.loss, whole.accuracy, whole.spikes)


# Runs delaytool, and stops the first process for good right before a write: the nth of those that name a file.
STOPS = """
    import os, sys, time
    from pathlib import Path

    from delaytool.cli import main
    from delaytool.trainer import run_folder

    scratch, name, nth, *arguments = sys.argv[1:]
    Path(scratch, f"{os.environ['RANK']}.pid").write_text(str(os.getpid()))
    replace, append, seen = os.replace, run_folder.append_durably, []

    def stops_before(path):
        seen.extend([path] * str(path).endswith(name))
        if len(seen) == int(nth):
            Path(scratch, "stopped").touch()
            time.sleep(3600)

    def replaces(source, target):
        stops_before(target)
        replace(source, target)

    def appends(path, content):
        stops_before(path)
        append(path, content)

    os.replace, run_folder.append_durably = replaces, appends
    main(arguments)
"""


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of POSIX")
@pytest.mark.parametrize("place", [("metrics.jsonl", 2), ("last.pt", 2)], ids=["between epochs", "before a checkpoint"])
def test_two_processes_killed_with_their_launcher_go_on_to_the_same_bits(runs, tmp_path, place):
    whole, cut = runs[0] / "two", tmp_path / "cut"
    name, nth = place
    script = tmp_path / "stops.py"
    script.write_text(textwrap.dedent(STOPS))
    command = [*TORCHRUN, "--nproc-per-node=2", str(script), str(tmp_path), name, str(nth)]
    command += ["train", "digits", "-o", str(cut), *options_of(SETTINGS)]
    with (tmp_path / "output").open("wb") as output:
        launcher = subprocess.Popen(command, stdout=output, stderr=output, env=ENVIRONMENT)
    try:
        until = time.monotonic() + 300
        while not (tmp_path / "stopped").exists():
            assert launcher.poll() is None, (tmp_path / "output").read_text()
            assert time.monotonic() < until, "the run did not come to the place where it is killed"
            time.sleep(0.05)
    finally:
        # The launcher first: it would end the others by itself, more gently.
        launcher.kill()
        launcher.wait()
        for file in tmp_path.glob("*.pid"):
            os.kill(int(file.read_text()), signal.SIGKILL)
    assert len(list(tmp_path.glob("*.pid"))) == 2
    run = RunFolder(cut)
    assert Checkpoint.load(run.last).epoch == 1
    assert len(run.read_metrics()) == (1 if name == "metrics.jsonl" else 2)
    resumed = torchrun("train", "--resume", str(cut))
    assert resumed.returncode == 0, resumed.stderr
    assert_as_never_killed(cut, whole)


def test_an_error_of_the_user_is_one_line(tmp_path):
    done = torchrun("train", "digits", "-o", str(tmp_path / "run"), "--set", "trainer.device=nonsense")
    assert done.returncode != 0
    assert done.stderr.count("error: trainer.device: 'nonsense'") >= 1


@pytest.mark.parametrize("count", [1, 7, 64])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_shares_of_a_batch_are_the_batch(count, size):
    rows = [list(range(count))[Team(rank, size).rows(count)] for rank in range(size)]
    assert [sample for share in rows for sample in share] == list(range(count))
    assert max(map(len, rows)) - min(map(len, rows)) <= 1


def test_synchronized_batch_norm_is_batch_norm(tmp_path):
    torch.manual_seed(0)
    ours = torch.nn.BatchNorm1d(3).double()
    theirs = torch.nn.BatchNorm1d(3).double()
    x, grad = torch.randn(50, 3, dtype=torch.float64) * 5 + 100, torch.randn(50, 3, dtype=torch.float64)
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        results = []
        for norm in (SynchronizedBatchNorm.of(ours), theirs):
            given = x.clone().requires_grad_()
            out = norm(given)
            (out * grad).sum().backward()
            buffers = [norm.running_mean, norm.running_var, norm.num_batches_tracked]
            results.append([out.detach(), given.grad, norm.weight.grad, norm.bias.grad, *buffers])
    finally:
        torch.distributed.destroy_process_group()
    for mine, expected in zip(*results, strict=True):
        torch.testing.assert_close(mine, expected, rtol=1e-9, atol=1e-9)
