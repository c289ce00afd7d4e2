"""Training leaves the process as it found it: threads, precision, denormal numbers, PyTorch's generator."""

from __future__ import annotations

import numba
import pytest
import torch

from delaytool.models.threads import use_as_many_threads_as_torch
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.dry_run import dry_run
from delaytool.trainer.initial_network import initial_network
from delaytool.trainer.loop import train
from delaytool.trainer.processor import flushes_denormals, processor_state


@pytest.fixture
def flush_denormals():
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormal numbers")
    yield
    torch.set_flush_denormal(False)


def test_the_settings_hold_inside_and_are_restored():
    before = torch.get_num_threads(), torch.get_float32_matmul_precision(), flushes_denormals()
    with processor_state(3, "tf32"):
        assert torch.get_num_threads() == 3
        assert torch.get_float32_matmul_precision() == "high"
    assert (torch.get_num_threads(), torch.get_float32_matmul_precision(), flushes_denormals()) == before


@pytest.mark.parametrize(("precision", "allowed"), [("float32", False), ("tf32", True), ("bf16", True)])
@pytest.mark.parametrize("before", [False, True])
def test_the_precision_holds_for_the_convolutions_of_a_gpus_library_too(precision, allowed, before, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    with processor_state(None, precision):
        assert torch.backends.cudnn.allow_tf32 == allowed
    assert torch.backends.cudnn.allow_tf32 == before


def test_denormal_numbers_are_kept_by_default():
    assert not flushes_denormals()


@pytest.mark.usefixtures("flush_denormals")
def test_a_caller_that_flushes_denormal_numbers_still_does_afterwards():
    assert flushes_denormals()
    with processor_state(None):
        assert flushes_denormals()
    assert flushes_denormals()


def test_the_threads_of_compiled_loops_are_restored_with_pytorchs():
    before = torch.get_num_threads(), numba.get_num_threads()
    try:
        most = min(2, numba.config.NUMBA_NUM_THREADS)
        torch.set_num_threads(3)
        numba.set_num_threads(most)
        with processor_state(1):
            use_as_many_threads_as_torch()
            assert (torch.get_num_threads(), numba.get_num_threads()) == (1, 1)
        assert (torch.get_num_threads(), numba.get_num_threads()) == (3, most)
    finally:
        numba.set_num_threads(before[1])
        torch.set_num_threads(before[0])


def test_reading_a_checkpoints_network_and_a_dry_run_leave_the_generator_alone(tiny_recipe, tmp_path):
    train(tiny_recipe, tmp_path / "run")
    saved = Checkpoint.load(tmp_path / "run" / "last.pt")
    state = torch.get_rng_state()
    saved.network()
    assert torch.equal(torch.get_rng_state(), state)
    dry_run(tiny_recipe)
    assert torch.equal(torch.get_rng_state(), state)


def test_making_the_initial_network_leaves_the_generator_alone(tiny_recipe):
    state = torch.get_rng_state()
    initial_network(tiny_recipe, 16, 10)
    assert torch.equal(torch.get_rng_state(), state)


def test_training_leaves_the_generator_alone(tiny_recipe, tmp_path):
    state = torch.get_rng_state()
    train(tiny_recipe, tmp_path / "run")
    assert torch.equal(torch.get_rng_state(), state)
