"""Training leaves the process as it found it: threads, precision, denormal numbers, PyTorch's generator.

And what it finds does not change the run.
"""

from __future__ import annotations

import contextlib
import threading

import numba
import pytest
import torch

from delaytool.errors import RecipeError
from delaytool.models.threads import use_as_many_threads_as_torch
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.dry_run import dry_run
from delaytool.trainer.initial_network import initial_network
from delaytool.trainer.loop import train
from delaytool.trainer.processor import flushes_denormals, processor_state
from delaytool.trainer.recipe import with_overrides
from delaytool.trainer.reporter import Reporter


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


@contextlib.contextmanager
def default_type(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def state_of(run):
    return Checkpoint.load(run / "last.pt").network().state_dict()


@pytest.mark.parametrize("neuron", ["lif", "plif"])
@pytest.mark.parametrize(
    "surroundings",
    [lambda: default_type(torch.float64), lambda: default_type(torch.bfloat16), torch.no_grad, torch.inference_mode],
    ids=["float64", "bfloat16", "no_grad", "inference_mode"],
)
def test_what_surrounds_a_training_does_not_change_it(surroundings, neuron, tiny_recipe, tmp_path):
    recipe = with_overrides(tiny_recipe, {"model.neuron": neuron, "trainer.epochs": 1})
    alone = train(recipe, tmp_path / "alone")
    with surroundings():
        before = torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()
        assert train(recipe, tmp_path / "run") == alone
        state = state_of(tmp_path / "run")
        assert (torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()) == before
    for name, tensor in state_of(tmp_path / "alone").items():
        assert state[name].dtype == tensor.dtype
        assert torch.equal(state[name], tensor)


def test_one_thread_of_a_process_trains_at_a_time(tiny_recipe, tmp_path):
    begun, refused = threading.Event(), threading.Event()

    class Waiting(Reporter):
        def batch(self, *_):
            begun.set()
            assert refused.wait(60)

    recipe = with_overrides(tiny_recipe, {"model.dropout": 0.5, "trainer.epochs": 1})
    arguments = {"args": (recipe, tmp_path / "first"), "kwargs": {"reporter": Waiting()}}
    first = threading.Thread(target=train, **arguments)
    first.start()
    assert begun.wait(60)
    try:
        for second in (lambda: train(recipe, tmp_path / "second"), lambda: dry_run(recipe)):
            with pytest.raises(RecipeError, match="another thread of this process is training"):
                second()
    finally:
        refused.set()
        first.join()
    assert not (tmp_path / "second").exists()

    class Nested(Reporter):
        def batch(self, epoch, batch, *_):
            if batch == 2:
                train(recipe, tmp_path / "within")

    train(recipe, tmp_path / "around", reporter=Nested())
    states = [state_of(tmp_path / name) for name in ("first", "around", "within")]
    for name, tensor in states[0].items():
        assert all(torch.equal(state[name], tensor) for state in states[1:]), name
