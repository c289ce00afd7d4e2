"""Augmentation of training frames; validation and test frames are not augmented.

Every function maps frames (sample, time, channel) uint8 to frames of the same shape and type, on any device, with
PyTorch's generator of that device, and never waits for the device, as random numbers stay in tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from delaytool.errors import RecipeError

if TYPE_CHECKING:
    from delaytool.contract.encoding import InputEncoding
    from delaytool.trainer.recipe import TrainerConfig

TIME, CHANNEL = 1, 2


def refuse_impossible_shifts(config: TrainerConfig, encoding: InputEncoding) -> None:
    """Raise RecipeError for a shift that could leave nothing of a sample; the encoding has its number of steps."""
    for key, limit, size, what in (
        ("time_shift", config.time_shift, encoding.n_steps, "steps"),
        ("channel_shift", config.channel_shift, encoding.n_channels, "channels"),
    ):
        if size is not None and limit >= size:
            raise RecipeError(
                f"trainer.{key}: {limit} {what} can move a whole sample out of its {size} {what}; "
                f"choose at most {size - 1}"
            )


def augmented(
    frames: Tensor, labels: Tensor, n_classes: int, config: TrainerConfig, highest: int = 255
) -> tuple[Tensor, Tensor]:
    """Frames and targets as the recipe's trainer section sets them: blending, shift, jitter, masks, CutMix, in turn.

    labels are (sample,) int64. Targets are the labels themselves, or with CutMix (sample, n_classes) float32
    probabilities; `cross_entropy` takes either. highest: no blended value is above it.
    """
    frames = blend(frames, labels, config.blend, highest)
    frames = shift(frames, config.time_shift, config.channel_shift)
    frames = time_jitter(frames, config.time_jitter)
    frames = spike_time_jitter(frames, config.spike_time_jitter)
    frames = channel_jitter(frames, config.channel_jitter)
    frames = channel_dropout(frames, config.channel_dropout)
    frames = time_mask(frames, config.time_mask, config.mask_probability)
    frames = channel_mask(frames, config.channel_mask, config.mask_probability)
    return cut_mix(frames, labels, n_classes, config.cut_mix, config.cut_mix_weight)


def blend(frames: Tensor, labels: Tensor, probability: float, highest: int = 255) -> Tensor:
    """Replace about this share of the samples by a blend of the sample and another of its class in the batch.

    Both are shifted until they meet halfway in mean step and mean channel, and each spike of either is kept with
    probability 1/2: see `blended`. Partners are random, and none is the partner of two samples. A sample stays as it
    is where the batch has no other of its class, and where it or its partner has no spike. Source: arXiv 2212.01232,
    and class Blend of data.py in mbalazs98/deventprop.
    """
    if probability == 0:
        return frames
    chosen = torch.rand(len(frames), device=frames.device) < probability
    return blended(frames, partners(labels), chosen, highest)


def partners(labels: Tensor) -> Tensor:
    """For each sample the index of a random other one of its label, (sample,) int64; its own where there is none.

    The samples of a class stand in a random circle, and each one's partner is the next.
    """
    # Labels are whole numbers, and a float32 fraction is exact beside them in float64: classes stay apart.
    order = (labels.double() + torch.rand(labels.shape, device=labels.device)).argsort(stable=True)
    by_class = labels[order]
    place = torch.arange(len(labels), device=labels.device)
    is_last = by_class != by_class.roll(-1)
    is_last[-1:].fill_(True)
    first = torch.searchsorted(by_class, by_class)
    following = order[torch.where(is_last, first, (place + 1).clamp_(max=len(labels) - 1))]
    return torch.empty_like(order).scatter_(0, order, following)


def blended(frames: Tensor, partner: Tensor, chosen: Tensor, highest: int = 255) -> Tensor:
    """Each chosen sample blended with its partner; partner (sample,) int64, chosen (sample,) bool.

    A value of n counts as n spikes, each of which is kept or not. Values that meet are added and saturate at
    `highest`, so that binary frames stay binary.
    """
    has_spikes = frames.amax((TIME, CHANNEL)) > 0
    is_other = partner != torch.arange(len(frames), device=frames.device)
    mixed = (chosen & is_other & has_spikes & has_spikes[partner])[:, None, None]
    own, theirs = halfway(frames, partner)
    total = torch.where(mixed, own.int() + theirs, 0).float()
    kept = torch.binomial(total, total.new_full((1, 1, 1), 0.5)).clamp_(max=highest)
    return torch.where(mixed, kept.to(frames.dtype), frames)


def halfway(frames: Tensor, partner: Tensor) -> tuple[Tensor, Tensor]:
    """(each sample, its partner), both shifted so that they meet halfway in mean step and mean channel.

    The shifts add up to the difference of the means, rounded; the sample itself takes half of it, rounded towards
    zero. What leaves the frames is lost. Without spikes there is no mean, and no shift.
    """
    spikes = frames.sum((TIME, CHANNEL), dtype=torch.float64)
    own, theirs = [], []
    for dim, other in ((TIME, CHANNEL), (CHANNEL, TIME)):
        place = torch.arange(frames.shape[dim], dtype=torch.float64, device=frames.device)
        mean = (frames.sum(other, dtype=torch.float64) * place).sum(1) / spikes  # (sample,); NaN without spikes
        apart = (mean[partner] - mean).nan_to_num_(0.0).round_().long()
        own.append(torch.div(apart, 2, rounding_mode="trunc"))
        theirs.append(own[-1] - apart)
    return shifted(frames, *own), shifted(frames[partner], *theirs)


def shift(frames: Tensor, steps: int, channels: int) -> Tensor:
    """Shift each sample as a whole by random whole numbers, -steps..steps and -channels..channels, as likely each.

    What leaves the frames is lost, and what comes in is 0 (see `shifted`).
    """
    if steps == 0 and channels == 0:
        return frames
    return shifted(frames, *(_any_of(limit, frames) for limit in (steps, channels)))


def shifted(frames: Tensor, steps: Tensor, channels: Tensor) -> Tensor:
    """Each sample so many steps later and so many channels further, with 0 where nothing is; both (sample,) int64."""
    sample = torch.arange(len(frames), device=frames.device)[:, None, None]
    step, step_exists = _sources(frames.shape[TIME], steps)
    channel, channel_exists = _sources(frames.shape[CHANNEL], channels)
    exists = step_exists[:, :, None] & channel_exists[:, None, :]
    return frames[sample, step[:, :, None], channel[:, None, :]] * exists


def time_jitter(frames: Tensor, deviation: float) -> Tensor:
    """Shift every channel of every sample by its own whole number of steps, normal with `deviation` steps, rounded.

    Spikes that would leave the run stay in its first or last step, so that none is lost (see `moved`).
    """
    if deviation == 0:
        return frames
    samples, _, channels = frames.shape
    return moved(frames, _whole(torch.randn(samples, 1, channels, device=frames.device), deviation), TIME)


def spike_time_jitter(frames: Tensor, deviation: float) -> Tensor:
    """Shift every value by its own whole number of steps, normal with `deviation` steps, rounded.

    Spikes that share a step and a channel move together. No spike is lost (see `moved`).
    """
    if deviation == 0:
        return frames
    return moved(frames, _whole(torch.randn(frames.shape, device=frames.device), deviation), TIME)


def channel_jitter(frames: Tensor, deviation: float) -> Tensor:
    """Shift every value by its own whole number of channels, normal with `deviation` channels, rounded.

    Spikes that share a step and a channel move together, and stop at the first and the last channel. No spike is
    lost (see `moved`). Cramer et al. 2020 blur SHD's units like that.
    """
    if deviation == 0:
        return frames
    return moved(frames, _whole(torch.randn(frames.shape, device=frames.device), deviation), CHANNEL)


def moved(frames: Tensor, shift: Tensor, dim: int) -> Tensor:
    """Every value `shift` places further along `dim`, held at the first and the last one; values that meet are added.

    shift is int64 and broadcasts to the frames' shape. Sums saturate at 255 and never wrap.
    """
    size = frames.shape[dim]
    place = torch.arange(size, device=frames.device)  # along the last dimension, channels; else along time
    target = ((place[:, None] if dim == TIME else place) + shift).clamp_(0, size - 1).expand(frames.shape)
    wide = torch.zeros(frames.shape, dtype=torch.int32, device=frames.device)
    return wide.scatter_add_(dim, target, frames.int()).clamp_(max=255).to(frames.dtype)


def channel_dropout(frames: Tensor, probability: float) -> Tensor:
    """Silence each channel of each sample with this probability."""
    if probability == 0:
        return frames
    kept = torch.rand(frames.shape[0], 1, frames.shape[2], device=frames.device) >= probability
    return frames * kept


def time_mask(frames: Tensor, longest: int, probability: float = 1.0) -> Tensor:
    """Silence a block of neighboring steps in about this share of the samples.

    A block has 0 to `longest` steps, as likely each, and lies anywhere in the run (SpecAugment, arXiv 1904.08779).
    """
    return _masked(frames, longest, probability, TIME)


def channel_mask(frames: Tensor, longest: int, probability: float = 1.0) -> Tensor:
    """Silence a block of 0 to `longest` neighboring channels in about this share of the samples."""
    return _masked(frames, longest, probability, CHANNEL)


def silenced(frames: Tensor, start: Tensor, length: Tensor, dim: int) -> Tensor:
    """Zero in places start..start + length - 1 of `dim`; start and length are (sample,) int64."""
    return frames * ~_block(frames, start, length, dim)


def cut_mix(
    frames: Tensor,
    labels: Tensor,
    n_classes: int,
    probability: float,
    weight: Literal["time", "spikes"] = "time",
) -> tuple[Tensor, Tensor]:
    """Replace a block of steps of about this share of the samples by the same steps of the batch's next sample.

    A block has 0 steps to all of them, as likely each, and lies anywhere. The label of the sample that the block
    comes from gets a share of the target (sample, n_classes): of the time, the block's steps in all steps; of the
    'spikes', those in the block in all of the mixed sample (of the time where it has none). The last sample's next
    one is the first. Probability 0 gives back frames and labels. CutMix: arXiv 1905.04899, here along time only.
    """
    if probability == 0:
        return frames, labels
    samples, steps, _ = frames.shape
    start, length = _drawn(samples, steps, steps, probability, frames.device)
    return pasted(frames, labels, n_classes, start, length, weight)


def pasted(
    frames: Tensor, labels: Tensor, n_classes: int, start: Tensor, length: Tensor, weight: Literal["time", "spikes"]
) -> tuple[Tensor, Tensor]:
    """`cut_mix` with the given blocks of `length` steps from `start`, both (sample,) int64."""
    block = _block(frames, start, length, TIME)
    mixed = torch.where(block, frames.roll(-1, 0), frames)
    share = length / frames.shape[TIME]
    if weight == "spikes":
        spikes = mixed.sum(CHANNEL, dtype=torch.float32)
        total = spikes.sum(1)
        share = torch.where(total > 0, (spikes * block.squeeze(CHANNEL)).sum(1) / total.clamp(min=1), share)
    share = share.unsqueeze(1)
    own = (labels[:, None] == torch.arange(n_classes, device=labels.device)).float()  # one_hot may wait for the device
    return mixed, (1 - share) * own + share * own.roll(-1, 0)


def _any_of(limit: int, frames: Tensor) -> Tensor:
    return torch.randint(-limit, limit + 1, frames.shape[:1], device=frames.device)


def _sources(size: int, shift: Tensor) -> tuple[Tensor, Tensor]:
    """(where the value of each place comes from, whether that is within 0..size - 1), both (sample, place)."""
    source = torch.arange(size, device=shift.device) - shift[:, None]
    return source.clamp(0, size - 1), (source >= 0) & (source < size)


def _masked(frames: Tensor, longest: int, probability: float, dim: int) -> Tensor:
    if longest == 0 or probability == 0:
        return frames
    size = frames.shape[dim]
    return silenced(frames, *_drawn(frames.shape[0], size, min(longest, size), probability, frames.device), dim)


def _drawn(samples: int, size: int, longest: int, probability: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """(start, length) of a block in each sample, (sample,) int64; its length is 0 in samples without a block."""
    chosen, how_long, where = torch.rand(3, samples, device=device)
    length = (how_long * (longest + 1)).long().clamp_(max=longest) * (chosen < probability)
    return torch.minimum((where * (size - length + 1)).long(), size - length), length


def _block(frames: Tensor, start: Tensor, length: Tensor, dim: int) -> Tensor:
    """(sample, time, 1) or (sample, 1, channel) bool: the places of each sample's block."""
    place = torch.arange(frames.shape[dim], device=frames.device)
    inside = (place >= start[:, None]) & (place < (start + length)[:, None])  # (sample, place)
    return inside.unsqueeze(CHANNEL if dim == TIME else TIME)


def _whole(normal: Tensor, deviation: float) -> Tensor:
    return normal.mul_(deviation).round_().long()
