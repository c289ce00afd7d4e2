"""Recorded steps do what steps launched one by one do; checkpointed gradients are the gradients."""

import weakref

import pytest
import torch

from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork
from delaytool.trainer.data import Part
from delaytool.trainer.optimizers import Optimizers
from delaytool.trainer.parallel import Team
from delaytool.trainer.recipe import TrainerConfig
from delaytool.trainer.step import RecordedStep, Step, make_step

MODEL = ModelConfig(hidden=(12, 9), max_delay=5, dropout=0.3, tau=1.5)
TRAINER = TrainerConfig(epochs=3, batch_size=8, time_jitter=0.5)
WIDTHS = (2.0, 0.5, None)  # of three epochs


class Tape:
    """Records as a CUDA graph does: the work is not done while it records, and every replay does it again."""

    def __init__(self):
        self.records = self.replays = 0

    def __call__(self, work):
        self.records += 1

        def replay():
            self.replays += 1
            work()

        return replay


def trained(make, checkpointed=False):
    torch.manual_seed(0)
    frames = torch.poisson(torch.full((28, 10, 6), 0.4)).to(torch.uint8)
    part = Part(frames, torch.randint(0, 4, (28,)))
    model = DelayNetwork(6, 4, MODEL)
    if checkpointed:
        model.checkpoint_gradients()
    step = make(model, Optimizers(model, TRAINER), part)
    results = []
    for epoch, sigma in enumerate(WIDTHS):
        torch.manual_seed(epoch)
        model.sigma = sigma
        step.begin_epoch()
        for chosen in torch.randperm(28).split(8):
            loss, hits = step.run(chosen)
            results.append((float(loss), int(hits)))
    return results, model.state_dict()


def plain_step(model, optimizers, part):
    return make_step(model, optimizers, part, TRAINER, Team())


def assert_equal(one, other):
    assert one[0] == other[0]
    for name, tensor in one[1].items():
        assert torch.equal(tensor, other[1][name]), name


def test_a_recorded_step_gives_the_bits_of_steps_launched_one_by_one():
    tape = Tape()
    recorded = trained(lambda *parts: RecordedStep(*parts, TRAINER, Team(), tape))
    assert_equal(recorded, trained(plain_step))
    # Four batches an epoch, the last of them short: the first epoch warms up, each later one launches its first batch
    # and makes its own record.
    assert (tape.records, tape.replays) == (2, 4)


def test_a_step_that_cannot_be_recorded_is_launched():
    def refuse(work):
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.warns(UserWarning, match="steps are launched one by one, as recording one failed: operation not"):
        launched = trained(lambda *parts: RecordedStep(*parts, TRAINER, Team(), refuse))
    assert_equal(launched, trained(plain_step))


def test_checkpointed_gradients_give_the_same_bits():
    assert_equal(trained(plain_step, checkpointed=True), trained(plain_step))


def test_a_step_is_recorded_on_a_gpu_only():
    model = DelayNetwork(6, 4, MODEL)
    part = Part(torch.zeros(4, 10, 6, dtype=torch.uint8), torch.zeros(4, dtype=torch.long))
    assert type(plain_step(model, Optimizers(model, TRAINER), part)) is Step


def test_a_record_is_kept_until_the_next_epoch_has_made_its_own():
    """With CUDA the records share a pool of memory, which is gone once no record is left that uses it."""
    alive = []

    class Record:
        def __init__(self, work):
            alive.append(self)
            self.work = work

        def __call__(self):
            self.work()

    def record(work):
        if seen:
            assert seen[-1]() is not None, "the last epoch's record is gone"
        made = Record(work)
        alive.clear()
        seen.append(weakref.ref(made))
        return made

    seen: list = []
    recorded = trained(lambda *parts: RecordedStep(*parts, TRAINER, Team(), record))
    assert len(seen) == 2
    assert_equal(recorded, trained(plain_step))
