"""Steps that are recorded and replayed against the same steps launched one by one, to the bit."""

import pytest
import torch

from delaytool.contract.encoding import InputEncoding
from delaytool.hw_configs import load_target
from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork
from delaytool.quantization.choose_training_scales import choose_training_scales
from delaytool.quantization.integer_training import IntegerTraining
from delaytool.runtime.backends.torch import run_layer
from delaytool.trainer.data import Part
from delaytool.trainer.optimizers import Optimizers
from delaytool.trainer.parallel import Team
from delaytool.trainer.recipe import TrainerConfig
from delaytool.trainer.step import RecordedStep, Step, cuda_recorder, make_step

WIDTHS = (3.0, 0.5, 0.5, None)  # of four epochs
AUGMENTED = {
    "time_jitter": 0.7, "spike_time_jitter": 0.4, "channel_jitter": 0.6, "channel_dropout": 0.1, "time_mask": 3,
    "channel_mask": 2, "mask_probability": 0.8, "cut_mix": 0.5,
}  # fmt: skip
CASES = {
    "plain": ({}, {}, WIDTHS),
    "one width": ({}, {}, (2.0, 2.0, 2.0)),
    "dropout": ({"dropout": 0.4}, {}, WIDTHS),
    "augmentation": ({"dropout": 0.2}, AUGMENTED, WIDTHS),
    "weight decay and l1": ({"bias": True}, {"weight_decay": 1e-3, "l1": 1e-4}, WIDTHS),
    "rate target": ({}, {"rate_target": (2.0, 3.0), "rate_weight": 0.7}, WIDTHS),
    "learned time constants": ({"neuron": "plif", "tau": 2.0}, {}, WIDTHS),
    "adaptive": ({"neuron": "adaptive"}, {}, WIDTHS),
    "recurrent": ({"recurrent": True, "recurrent_max_delay": 4}, {}, WIDTHS),
    "deep-r": ({"sparsity": 0.6, "rewiring": "deep-r"}, {"l1": 1e-3}, WIDTHS),
    "rigl": ({"sparsity": 0.6, "rewiring": "rigl"}, {"l1": 1e-3}, WIDTHS),
}


def repeat(work):
    """What a CPU has instead of a record: the work is done at every replay, and not before."""
    return work


def trained(device, recorded, model_options, trainer_options, widths, integers_from=None, hook=None):
    """(loss and correct answers of every batch, each epoch's penalty on rates, parameters); last batches are short.

    hook   called after every forward pass, as PyTorch calls it; with it nothing can be recorded
    """
    torch.manual_seed(0)
    frames = torch.poisson(torch.full((60, 14, 9), 0.5)).clamp_(max=2).to(torch.uint8)
    part = Part(frames, torch.randint(0, 4, (60,))).to(device)
    model = DelayNetwork(9, 4, ModelConfig(**{"hidden": (20, 17), "max_delay": 7, "tau": 1.5, **model_options}))
    model = model.to(device).train()
    if hook is not None:
        model.register_forward_hook(hook)
    config = TrainerConfig(**{"epochs": len(widths), "batch_size": 8, **trainer_options})
    given = (model, Optimizers(model, config), part, config, Team())
    make = cuda_recorder() if device.type == "cuda" else repeat
    records = []

    def record(work):
        records.append(make(work))
        return records[-1]

    step = RecordedStep(*given, record) if recorded else Step(*given)
    results, penalties = [], []
    for epoch, sigma in enumerate(widths):
        if epoch == integers_from:
            encoding = InputEncoding(n_units=9, n_steps=14, max_count=2, start="zero")
            scales = choose_training_scales(model, encoding, load_target("loihi2"), frames[:16].numpy(), run_layer)
            step.train_through(IntegerTraining(model, scales))
            model.train()
        torch.manual_seed(epoch)
        model.sigma = sigma
        step.begin_epoch()
        for chosen in torch.randperm(60).to(device).split(8):
            results.append(torch.stack([each.double() for each in step.run(chosen)]))
        penalties.append(step.take_rate_penalties())
    made = len(widths) if recorded and hook is None else 0
    assert len(records) == made, "each epoch makes a record, or a recording failed"
    return torch.stack(results).cpu(), penalties, {name: each.cpu() for name, each in model.state_dict().items()}


def assert_equal(recorded, launched):
    assert recorded[0].isfinite().all()
    assert torch.equal(recorded[0], launched[0]), "loss and correct answers"
    assert recorded[1] == launched[1], "penalties on rates"
    for name, tensor in launched[2].items():
        assert torch.equal(recorded[2][name], tensor), name


@pytest.mark.parametrize("case", CASES)
def test_recorded_steps_are_launched_ones(device, case):
    assert_equal(trained(device, True, *CASES[case]), trained(device, False, *CASES[case]))


def test_recorded_steps_through_integers_are_launched_ones(device):
    given = ({"dropout": 0.2}, {}, (2.0, 0.5, None, None))
    assert_equal(trained(device, True, *given, integers_from=2), trained(device, False, *given, integers_from=2))


@pytest.mark.parametrize("recorded", [False, True], ids=["launched", "recorded"])
def test_the_same_seed_gives_the_same_bits(device, recorded):
    given = ({"dropout": 0.4, "kernel_count": 2}, AUGMENTED, WIDTHS)
    assert_equal(trained(device, recorded, *given), trained(device, recorded, *given))


def test_a_step_does_not_wait_for_the_device(device):
    """A wait per batch would leave the GPU idle between steps."""
    if device.type != "cuda":
        pytest.skip("only a GPU can be waited for")
    model = DelayNetwork(9, 4, ModelConfig(hidden=(20, 17), max_delay=7, dropout=0.3)).to(device).train()
    model.sigma = 2.0
    part = Part(torch.ones(16, 14, 9, dtype=torch.uint8), torch.zeros(16, dtype=torch.long)).to(device)
    config = TrainerConfig(epochs=1, batch_size=8, **AUGMENTED)
    step = Step(model, Optimizers(model, config), part, config, Team())
    chosen = torch.arange(8, device=device)
    step.run(chosen)  # what only a first call makes
    torch.cuda.set_sync_debug_mode("error")
    try:
        step.run(chosen)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_steps_are_recorded_on_a_gpu_unless_the_recipe_forbids_it(device):
    model = DelayNetwork(9, 4, ModelConfig(hidden=(20,), max_delay=7)).to(device)
    part = Part(torch.ones(8, 14, 9, dtype=torch.uint8), torch.zeros(8, dtype=torch.long)).to(device)
    for graphs in (True, False):
        config = TrainerConfig(cuda_graphs=graphs)
        step = make_step(model, Optimizers(model, config), part, config, Team())
        assert isinstance(step, RecordedStep) == (graphs and device.type == "cuda")


def test_a_graph_that_cannot_be_made_leaves_steps_launched_one_by_one(device):
    if device.type != "cuda":
        pytest.skip("only a GPU can be waited for")

    def wait_for_the_device(model, arguments, output):
        float(output.sum())  # not permitted while a graph is recorded

    given = ({"dropout": 0.3}, {"time_jitter": 0.5}, WIDTHS)
    with pytest.warns(UserWarning, match="steps are launched one by one, as recording one failed"):
        failed = trained(device, True, *given, hook=wait_for_the_device)
    torch.testing.assert_close(failed[0][:, 0], trained(device, False, *given)[0][:, 0], rtol=1e-2, atol=1e-2)
