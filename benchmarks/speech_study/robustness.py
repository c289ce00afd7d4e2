"""How a trained network does on damaged test frames: shifted, dropped and added spikes, drawn with one seed for all."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from delaytool.trainer.augmentation import spike_time_jitter
from delaytool.trainer.data import Part

SEED = 1234
AT_ONCE = 256
JITTERS = (1.0, 2.0, 4.0)
DROPPED = (0.1, 0.3, 0.5)
ADDED = (0.1, 0.3, 1.0)

# Frames (batch, time, channel) uint8 to predictions (batch,).
Predict = Callable[[Tensor], Tensor]


def dropped(frames: Tensor, share: float) -> Tensor:
    """Each spike is lost with this probability; a value of n counts as n spikes."""
    kept = torch.full((1, 1, 1), 1 - share, device=frames.device)
    return torch.binomial(frames.float(), kept.expand_as(frames)).to(frames.dtype)


def with_noise(frames: Tensor, share: float) -> Tensor:
    """Spikes added anywhere, as likely in each step and channel: so many on average, as a share of the sample's own."""
    mean = frames.float().mean((1, 2), keepdim=True) * share
    return (frames + torch.poisson(mean.expand_as(frames))).clamp_(max=255).to(frames.dtype)


def damages() -> dict[str, Callable[[Tensor], Tensor]]:
    """Every damage by name."""
    found: dict[str, Callable[[Tensor], Tensor]] = {}
    for deviation in JITTERS:
        steps = f"{deviation:g} step{'s' * (deviation != 1)}"
        found[f"each spike shifted, deviation {steps}"] = lambda frames, d=deviation: spike_time_jitter(frames, d)
    for share in DROPPED:
        found[f"{100 * share:.0f} % of the spikes dropped"] = lambda frames, p=share: dropped(frames, p)
    for share in ADDED:
        found[f"{100 * share:.0f} % more spikes as noise"] = lambda frames, p=share: with_noise(frames, p)
    return found


def present_name(name: str) -> str:
    """The name that a damage has now, of one that was kept under its former name.

    >>> present_name("spikes shifted by 1 steps"), present_name("30% more spikes as noise")
    ('each spike shifted, deviation 1 step', '30 % more spikes as noise')
    """
    former = (f"spikes shifted by {deviation:g} steps" for deviation in JITTERS)
    return dict(zip(former, damages(), strict=False)).get(name, re.sub(r"(?<=\d)%", " %", name))


@torch.no_grad()
def accuracies(predict: Predict, part: Part, highest: int) -> dict[str, float]:
    """Accuracy under every damage; frames are cut at `highest`, as the network's encoding does."""
    result = {}
    for name, damage in damages().items():
        torch.manual_seed(SEED)
        correct = 0
        for start in range(0, len(part), AT_ONCE):
            frames = damage(part.frames[start : start + AT_ONCE]).clamp_(max=highest)
            correct += int((predict(frames) == part.labels[start : start + AT_ONCE]).sum())
        result[name] = correct / len(part)
    return result


@torch.no_grad()
def predictions(predict: Predict, part: Part) -> str:
    """The classes predicted for a part's samples, as `as_text` writes them."""
    batches = [predict(part.frames[start : start + AT_ONCE]).tolist() for start in range(0, len(part), AT_ONCE)]
    return as_text(label for batch in batches for label in batch)


def as_text(labels: Iterable[int]) -> str:
    """One character per class, up to 36 classes."""
    return "".join("0123456789abcdefghijklmnopqrstuvwxyz"[label] for label in labels)


def share_equal(predicted: str, labels: str) -> float:
    """Accuracy of predictions, both as `as_text` writes them."""
    return sum(one == other for one, other in zip(predicted, labels, strict=True)) / len(labels)
