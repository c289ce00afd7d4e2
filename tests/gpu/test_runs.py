"""Training runs on the device: repeated, interrupted and resumed to the same bits; exported and verified on the CPU."""

from pathlib import Path

import numpy as np
import pytest
import torch
from interrupting import Interrupts

from delaytool.contract.network import IntegerNetwork
from delaytool.experiments.evaluated_samples import SampleChoice
from delaytool.experiments.export_run import export_run
from delaytool.experiments.verify_run import VerifyRequest, verify_network
from delaytool.hw_configs import load_target
from delaytool.runtime import decode, reference
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import load_data
from delaytool.trainer.evaluation import evaluate
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import load_recipe
from delaytool.trainer.run_folder import RunFolder

SMALL = ["model.hidden=[24,20]", "trainer.epochs=4", "trainer.batch_size=128", "data.validation_fraction=0.4"]
RECIPES = {
    "float32": [],
    "tf32": ["trainer.precision=tf32"],
    "launched one by one": ["trainer.cuda_graphs=false"],
    "checkpointed gradients": ["trainer.gradient_checkpointing=true"],
    "rewired": ["model.sparsity=0.5", "model.rewiring=rigl"],
    "recurrent": ["model.recurrent=true", "model.recurrent_max_delay=4"],
    "through integers": [
        "trainer.quantize=loihi2", "trainer.quantize_epochs=0.5", "trainer.lr_schedule=constant", "trainer.lr=2e-2",
    ],
}  # fmt: skip
FEW = ["float32", "rewired", "through integers"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """(name of a recipe, device) to its run, made once."""
    made = {}

    def run(name, device):
        if name not in made:
            made[name] = tmp_path_factory.mktemp("runs") / "run"
            train(recipe_of(name, device), made[name])
        return made[name]

    return run


def recipe_of(name, device):
    return load_recipe("digits", [*SMALL, f"trainer.device={device.type}", *RECIPES[name]])


def assert_equal_runs(one, other):
    ours, theirs = (Checkpoint.load(RunFolder(folder).last).model for folder in (one, other))
    for name, tensor in theirs.items():
        assert torch.equal(ours[name], tensor), name
    timeless = [
        [{key: value for key, value in line.items() if key != "seconds"} for line in RunFolder(run).read_metrics()]
        for run in (one, other)
    ]
    assert timeless[0] == timeless[1]
    assert RunFolder(one).read_summary() == RunFolder(other).read_summary()


@pytest.mark.parametrize("name", RECIPES)
def test_the_same_seed_gives_the_same_bits(device, runs, tmp_path, name):
    train(recipe_of(name, device), tmp_path / "again")
    assert_equal_runs(runs(name, device), tmp_path / "again")


@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("epoch", [2, 3])
def test_an_interrupted_run_resumes_to_the_same_bits(device, runs, tmp_path, name, epoch):
    with pytest.raises(KeyboardInterrupt):
        train(recipe_of(name, device), tmp_path / "cut", reporter=Interrupts(epoch, batch=2))
    assert len(RunFolder(tmp_path / "cut").read_metrics()) == epoch - 1
    train(None, tmp_path / "cut", resume=True)
    assert_equal_runs(runs(name, device), tmp_path / "cut")


@pytest.mark.parametrize("name", FEW)
def test_the_checkpoint_exports_and_verifies_on_the_cpu(device, runs, tmp_path, name):
    """Every integer is the checkpoint's, and engine, reference and the trainer's simulation agree on every bit."""
    run = runs(name, device)
    network = tmp_path / "network.h5"
    export_run(run, load_target("loihi2"), network)
    samples = 60
    verdict = verify_network(
        VerifyRequest(network, SampleChoice(count=samples), with_torch=True, run=run, max_drop=None)
    ).verdict
    assert verdict.samples == samples
    assert len(verdict.comparisons) == 2
    assert all(comparison.equal for comparison in verdict.comparisons.values())
    assert verdict.binding is not None
    assert verdict.binding.is_equal
    assert verdict.passed


def test_what_was_trained_through_integers_is_what_the_chip_computes(device, runs, tmp_path):
    """The device's own evaluation of the trained integers, and the integer contract's slow reference on the file."""
    run = runs("through integers", device)
    export_run(run, load_target("loihi2"), tmp_path / "network.h5")
    saved = Checkpoint.load(RunFolder(run).best)
    assert saved.scales is not None
    test = load_data(saved.recipe, saved.encoding).test
    frames, labels = test.frames[:80], test.labels[:80]
    evaluation = evaluate(saved.network().to(device), frames.to(device), labels.to(device), 40)
    network = IntegerNetwork.load(Path(tmp_path / "network.h5"))
    trace = reference.run(network, frames.numpy())
    assert any(layer.any() for layer in trace.spikes)
    assert np.array_equal(evaluation.predictions, decode.decode(network, trace.v[-1])[0])
