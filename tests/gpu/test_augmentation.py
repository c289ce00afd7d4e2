"""Augmentation on the device: nothing waits for it, and what is recorded draws anew in every replay."""

import pytest
import torch

from delaytool.trainer.augmentation import augmented
from delaytool.trainer.recipe import TrainerConfig
from delaytool.trainer.step import cuda_recorder


def test_nothing_waits_for_the_device(device):
    if device.type != "cuda":
        pytest.skip("only a GPU can be waited for")
    frames, labels = torch.randint(0, 4, (6, 20, 9), dtype=torch.uint8, device=device), torch.arange(6, device=device)
    config = TrainerConfig(
        time_jitter=1, spike_time_jitter=1, channel_jitter=1, channel_dropout=0.1, time_mask=3, channel_mask=3,
        mask_probability=0.5, cut_mix=0.5, cut_mix_weight="spikes", blend=0.5, time_shift=4, channel_shift=2,
    )  # fmt: skip
    torch.cuda.set_sync_debug_mode("error")
    try:
        mixed, targets = augmented(frames, labels, 6, config)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert mixed.shape == frames.shape
    assert torch.allclose(targets.sum(1), torch.ones(6, device=device))


def test_a_recorded_augmentation_draws_anew_in_every_replay(device):
    torch.manual_seed(0)
    frames = torch.randint(0, 2, (16, 20, 9), dtype=torch.uint8, device=device)
    labels = torch.arange(16, device=device) % 3
    config = TrainerConfig(blend=0.5, time_shift=4, channel_shift=2)
    result = [frames]

    def work():
        result[0], _ = augmented(frames, labels, 3, config, 1)

    work()  # what only a first call makes
    replay = cuda_recorder()(work) if device.type == "cuda" else work
    replays = []
    for _ in range(2):
        replay()
        replays.append(result[0].clone())
    assert not torch.equal(*replays)
    assert all(int(each.max()) == 1 for each in replays)
