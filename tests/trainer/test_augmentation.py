"""Augmentation keeps every spike, or silences whole channels."""

import torch

from delaytool.trainer.augmentation import channel_dropout, time_jitter


def test_jitter_moves_channels_as_a_whole_and_loses_no_spike():
    torch.manual_seed(0)
    frames = torch.randint(0, 3, (20, 15, 8), dtype=torch.uint8)
    moved = time_jitter(frames, 1.5)
    assert torch.equal(moved.sum(1), frames.sum(1))
    assert not torch.equal(moved, frames)
    inner = torch.zeros(50, 40, 3, dtype=torch.uint8)
    inner[:, [18, 21]] = 1
    steps = time_jitter(inner, 2.0).nonzero()[:, 1]
    assert steps.unique().numel() > 4
    moved = time_jitter(inner, 2.0)
    for sample in range(50):
        for channel in range(3):
            at = moved[sample, :, channel].nonzero().flatten()
            assert (at[1] - at[0]).item() == 3


def test_none_is_none():
    frames = torch.ones(2, 3, 4, dtype=torch.uint8)
    assert time_jitter(frames, 0.0) is frames
    assert channel_dropout(frames, 0.0) is frames


def test_channel_dropout_silences_whole_channels():
    torch.manual_seed(0)
    kept = channel_dropout(torch.ones(200, 5, 10, dtype=torch.uint8), 0.3)
    assert torch.equal(kept.amin(1), kept.amax(1))
    assert 0.6 < kept.float().mean() < 0.8
