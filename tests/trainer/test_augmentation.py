"""Augmentation keeps every spike, or silences and mixes exactly what it is set to."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delaytool.errors import RecipeError
from delaytool.trainer.augmentation import (
    CHANNEL,
    TIME,
    augmented,
    blend,
    blended,
    channel_dropout,
    channel_jitter,
    channel_mask,
    cut_mix,
    halfway,
    moved,
    partners,
    pasted,
    shift,
    shifted,
    silenced,
    spike_time_jitter,
    time_jitter,
    time_mask,
)
from delaytool.trainer.dry_run import dry_run
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import TrainerConfig, load_recipe
from delaytool.trainer.run_folder import RunFolder

OTHER = {TIME: CHANNEL, CHANNEL: TIME}
sizes = st.tuples(st.integers(1, 6), st.integers(1, 12), st.integers(1, 7))
seeds = st.integers(0, 2**31)
dims = st.sampled_from([TIME, CHANNEL])


def random_frames(size, seed, highest=4):
    return torch.randint(0, highest, size, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def random_blocks(size, dim, seed):
    """(start, length) of a block in each sample."""
    generator = torch.Generator().manual_seed(seed)
    length = torch.randint(0, size[dim] + 1, (size[0],), generator=generator)
    start = (torch.rand(size[0], generator=generator) * (size[dim] - length + 1)).long()
    return start, length


def test_time_jitter_moves_channels_as_a_whole_and_loses_no_spike():
    torch.manual_seed(0)
    frames = torch.randint(0, 3, (20, 15, 8), dtype=torch.uint8)
    shifted = time_jitter(frames, 1.5)
    assert torch.equal(shifted.sum(1), frames.sum(1))
    assert not torch.equal(shifted, frames)
    inner = torch.zeros(50, 40, 3, dtype=torch.uint8)
    inner[:, [18, 21]] = 1
    steps = time_jitter(inner, 2.0).nonzero()[:, 1]
    assert steps.unique().numel() > 4
    shifted = time_jitter(inner, 2.0)
    for sample in range(50):
        for channel in range(3):
            at = shifted[sample, :, channel].nonzero().flatten()
            assert (at[1] - at[0]).item() == 3


def test_none_is_none():
    frames, labels = torch.ones(2, 3, 4, dtype=torch.uint8), torch.tensor([1, 0])
    for function in (time_jitter, spike_time_jitter, channel_jitter, channel_dropout):
        assert function(frames, 0.0) is frames
    assert time_mask(frames, 0) is channel_mask(frames, 0) is time_mask(frames, 2, 0.0) is frames
    assert cut_mix(frames, labels, 2, 0.0) == (frames, labels)
    assert shift(frames, 0, 0) is blend(frames, labels, 0.0) is frames
    same, targets = augmented(frames, labels, 2, TrainerConfig())
    assert same is frames
    assert targets is labels


@given(sizes, dims, seeds)
@settings(deadline=None, max_examples=60)
def test_moving_adds_each_value_where_its_shift_takes_it(size, dim, seed):
    frames = random_frames(size, seed, highest=256)
    shift = torch.randint(-20, 21, size, generator=torch.Generator().manual_seed(seed))
    expected = torch.zeros(size, dtype=torch.int64)
    for sample, step, channel in torch.cartesian_prod(*(torch.arange(number) for number in size)).reshape(-1, 3):
        place = [sample, step, channel]
        place[dim] = (place[dim] + shift[sample, step, channel]).clamp(0, size[dim] - 1)
        expected[tuple(place)] += frames[sample, step, channel]
    assert torch.equal(moved(frames, shift, dim), expected.clamp(max=255).to(torch.uint8))


@given(sizes, seeds, st.floats(0.1, 30))
@settings(deadline=None, max_examples=60)
def test_jitter_loses_no_spike(size, seed, deviation):
    frames = random_frames(size, seed)
    torch.manual_seed(seed)
    in_time, in_channel = spike_time_jitter(frames, deviation), channel_jitter(frames, deviation)
    assert in_time.dtype == in_channel.dtype == torch.uint8
    assert torch.equal(in_time.sum(TIME), frames.sum(TIME))  # every channel keeps its spikes
    assert torch.equal(in_channel.sum(CHANNEL), frames.sum(CHANNEL))  # every step keeps its spikes
    assert torch.equal(time_jitter(frames, deviation).sum(TIME), frames.sum(TIME))


def test_jitter_moves_each_spike_by_its_own_normal_number():
    torch.manual_seed(0)
    frames = torch.zeros(400, 61, 61, dtype=torch.uint8)
    frames[:, 30, 30] = 1
    steps = spike_time_jitter(frames, 3.0).nonzero()[:, TIME].double()
    channels = channel_jitter(frames, 5.0).nonzero()[:, CHANNEL].double()
    assert abs(steps.mean() - 30) < 0.6  # four standard errors
    assert 2.5 < steps.std() < 3.5
    assert abs(channels.mean() - 30) < 1.0
    assert 4.2 < channels.std() < 5.8


def test_channel_dropout_silences_whole_channels():
    torch.manual_seed(0)
    kept = channel_dropout(torch.ones(200, 5, 10, dtype=torch.uint8), 0.3)
    assert torch.equal(kept.amin(1), kept.amax(1))
    assert 0.6 < kept.float().mean() < 0.8


@given(sizes, dims, seeds)
@settings(deadline=None, max_examples=60)
def test_a_mask_silences_its_block_and_nothing_else(size, dim, seed):
    frames = random_frames(size, seed) + 1
    start, length = random_blocks(size, dim, seed)
    expected = frames.clone()
    for sample in range(size[0]):
        block = slice(int(start[sample]), int(start[sample] + length[sample]))
        expected[sample, block if dim == TIME else slice(None), block if dim == CHANNEL else slice(None)] = 0
    masked = silenced(frames, start, length, dim)
    assert torch.equal(masked, expected)
    assert torch.equal((masked == 0).flatten(1).sum(1), length * size[OTHER[dim]])


@pytest.mark.parametrize(("mask", "dim"), [(time_mask, TIME), (channel_mask, CHANNEL)])
def test_masks_are_one_block_of_at_most_the_length_on_the_stated_share_of_samples(mask, dim):
    torch.manual_seed(0)
    frames = torch.ones(4000, 12, 15, dtype=torch.uint8)
    silent = mask(frames, 4, 0.5).amax(OTHER[dim]) == 0  # (sample, place)
    edges = silent.int().diff(prepend=torch.zeros(4000, 1), dim=1) == 1
    assert int(edges.sum(1).max()) == 1
    lengths = silent.sum(1).bincount(minlength=5)
    assert len(lengths) == 5
    # Half are chosen, and each of their lengths 0..4 is as likely: 400 of 4000, and 2400 without a mask.
    assert torch.allclose(lengths.double(), torch.tensor([2400.0, 400, 400, 400, 400]).double(), atol=90)
    places = silent.sum(0)
    assert int(places.min()) > 0
    assert mask(frames, 1000).amax(OTHER[dim]).sum(1).unique().numel() == frames.shape[dim] + 1


@given(sizes, seeds, st.sampled_from(["time", "spikes"]))
@settings(deadline=None, max_examples=80)
def test_cut_mix_labels_are_the_shares_that_were_taken(size, seed, weight):
    frames = random_frames(size, seed, highest=3)
    labels = torch.randint(0, 5, size[:1], generator=torch.Generator().manual_seed(seed))
    start, length = random_blocks(size, TIME, seed)
    mixed, targets = pasted(frames, labels, 5, start, length, weight)
    for sample in range(size[0]):
        after = (sample + 1) % size[0]
        block = slice(int(start[sample]), int(start[sample] + length[sample]))
        expected = frames[sample].clone()
        expected[block] = frames[after, block]
        assert torch.equal(mixed[sample], expected)
        share = float(length[sample]) / size[1]
        if weight == "spikes" and expected.sum() > 0:
            share = float(expected[block].sum()) / float(expected.sum())
        wanted = torch.zeros(5)
        wanted[labels[sample]] += 1 - share
        wanted[labels[after]] += share
        assert torch.allclose(targets[sample], wanted, atol=1e-6)
    assert mixed.dtype == frames.dtype


def test_cut_mix_falls_on_the_stated_share_of_samples():
    torch.manual_seed(0)
    frames = torch.arange(3000)[:, None, None].expand(3000, 40, 1).clone()  # every value is its sample's number
    mixed, targets = cut_mix(frames, torch.arange(3000) % 7, 7, 0.25)
    foreign = mixed != frames
    chosen = foreign.any(1).sum().item()
    assert abs(chosen - 3000 * 0.25 * 40 / 41) < 100
    own = targets.gather(1, (torch.arange(3000) % 7)[:, None]).squeeze(1)
    assert torch.allclose(own, 1 - foreign.double().mean((1, 2)).float(), atol=1e-6)


def shifted_by_loops(sample, steps, channels):
    """One sample (time, channel), value by value."""
    result = torch.zeros_like(sample)
    for step, channel in sample.nonzero().tolist():
        if 0 <= step + steps < sample.shape[0] and 0 <= channel + channels < sample.shape[1]:
            result[step + steps, channel + channels] = sample[step, channel]
    return result


@given(sizes, seeds)
@settings(deadline=None, max_examples=60)
def test_a_shift_moves_whole_samples_and_leaves_zeros(size, seed):
    frames = random_frames(size, seed, highest=256)
    steps, channels = torch.randint(-14, 15, (2, size[0]), generator=torch.Generator().manual_seed(seed))
    expected = [shifted_by_loops(*each) for each in zip(frames, steps.tolist(), channels.tolist(), strict=True)]
    assert torch.equal(shifted(frames, steps, channels), torch.stack(expected))
    assert shifted(frames, steps, channels).dtype == torch.uint8


def test_shifts_are_whole_numbers_up_to_their_limits_as_likely_each():
    torch.manual_seed(0)
    frames = torch.zeros(6000, 9, 11, dtype=torch.uint8)
    frames[:, 4, 5] = 3
    places = shift(frames, 2, 3).nonzero()
    assert torch.equal(places[:, 0], torch.arange(6000))  # one place in every sample
    both = (places[:, 1] - 2) * 7 + places[:, 2] - 2  # 5 steps times 7 channels
    counts = both.bincount(minlength=35)
    assert len(counts) == 35
    assert (counts - 6000 / 35).abs().max() < 5 * (6000 / 35) ** 0.5
    only_time = shift(frames, 2, 0).nonzero()
    assert only_time[:, 2].unique().tolist() == [5]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), seeds)
@settings(deadline=None)
def test_partners_are_of_the_same_class_and_nobody_is_the_partner_of_two(labels, seed):
    torch.manual_seed(seed)
    partner = partners(torch.tensor(labels)).tolist()
    assert sorted(partner) == list(range(len(labels)))
    for sample, other in enumerate(partner):
        assert labels[other] == labels[sample]
        assert (other == sample) == (labels.count(labels[sample]) == 1)


def test_every_other_sample_of_a_class_is_as_likely_a_partner():
    torch.manual_seed(0)
    labels = torch.tensor([1, 0, 1, 1, 0, 1])
    counts = torch.stack([partners(labels) for _ in range(3000)])[:, 0].bincount(minlength=6)
    assert counts[[0, 1, 4]].tolist() == [0, 0, 0]
    assert (counts[[2, 3, 5]] - 1000).abs().max() < 130  # five standard errors


def aligned_by_loops(own, theirs):
    """A sample and its partner (time, channel), shifted towards each other, spike by spike in Python's numbers."""
    apart = []
    for dim in (0, 1):
        means = [
            sum(place[dim] * int(each[tuple(place)]) for place in each.nonzero().tolist()) / int(each.sum())
            for each in (own, theirs)
        ]
        apart.append(round(means[1] - means[0]))
    mine = [int(number / 2) for number in apart]
    other = [one - number for one, number in zip(mine, apart, strict=True)]
    return shifted_by_loops(own, *mine), shifted_by_loops(theirs, *other)


@given(sizes, seeds)
@settings(deadline=None, max_examples=60)
def test_partners_meet_halfway_in_mean_step_and_mean_channel(size, seed):
    frames = random_frames(size, seed)
    frames[:, 0, 0] += 1  # none is silent
    partner = torch.randint(0, size[0], size[:1], generator=torch.Generator().manual_seed(seed))
    own, theirs = halfway(frames, partner)
    for sample, other in enumerate(partner.tolist()):
        expected = aligned_by_loops(frames[sample], frames[other])
        assert torch.equal(own[sample], expected[0])
        assert torch.equal(theirs[sample], expected[1])


@given(sizes, seeds, st.sampled_from([2, 4]))
@settings(deadline=None, max_examples=60)
def test_a_blend_has_spikes_of_its_two_samples_only_and_others_stay_as_they_are(size, seed, highest):
    torch.manual_seed(seed)
    frames = random_frames(size, seed, highest)
    partner, chosen = torch.randint(0, size[0], size[:1]), torch.rand(size[0]) < 0.7
    mixed = blended(frames, partner, chosen, highest=highest - 1)
    assert mixed.dtype == torch.uint8
    assert int(mixed.max()) < highest  # binary frames stay binary
    for sample, other in enumerate(partner.tolist()):
        silent = not frames[sample].any() or not frames[other].any()
        if not chosen[sample] or other == sample or silent:
            assert torch.equal(mixed[sample], frames[sample])
        else:
            own, theirs = aligned_by_loops(frames[sample], frames[other])
            assert bool((mixed[sample] <= own.int() + theirs).all())


@pytest.mark.parametrize("highest", [1, 3, 6])
def test_each_spike_of_either_sample_is_kept_with_probability_one_half(highest):
    torch.manual_seed(0)
    pair = torch.tensor([[[1, 0, highest], [0, 1, 1]], [[1, 1, 0], [highest, 0, 1]]], dtype=torch.uint8)
    frames = pair.repeat(4000, 1, 1)
    partner = torch.arange(8000).view(-1, 2).flip(1).flatten()
    mixed = blended(frames, partner, torch.ones(8000, dtype=torch.bool), highest)
    own, theirs = halfway(pair, torch.tensor([1, 0]))
    for sample in (0, 1):
        for place in torch.cartesian_prod(torch.arange(2), torch.arange(3)).tolist():
            total = int(own[sample][tuple(place)]) + int(theirs[sample][tuple(place)])
            counts = mixed[sample::2, place[0], place[1]].long().bincount(minlength=highest + 1)
            # The binomial distribution of one half, its tail gathered where values saturate.
            expected = torch.zeros(highest + 1)
            for number in range(total + 1):
                expected[min(number, highest)] += math.comb(total, number) / 2**total
            assert (counts / 4000 - expected).abs().max() < 5 * 0.5 / 4000**0.5


def test_blending_falls_on_the_stated_share_of_samples_and_not_on_the_only_one_of_its_class():
    torch.manual_seed(0)
    frames = torch.full((3001, 4, 5), 1, dtype=torch.uint8)
    labels = torch.arange(3001) % 10
    labels[-1] = 77
    mixed = blend(frames, labels, 0.3, highest=1)
    changed = (mixed != frames).flatten(1).any(1)
    # Of 20 spikes on 20 others, all stay with probability (3/4)^20, which is 0.3 %.
    assert abs(int(changed.sum()) - 900) < 130
    assert not bool(changed[-1])
    assert torch.equal(blend(frames, torch.arange(3001), 1.0), frames)


ALL = [
    "trainer.blend=0.3", "trainer.time_shift=2", "trainer.channel_shift=5",
    "trainer.spike_time_jitter=0.3", "trainer.channel_jitter=0.5", "trainer.time_mask=3", "trainer.channel_mask=8",
    "trainer.mask_probability=0.5", "trainer.cut_mix=0.5", "trainer.cut_mix_weight=spikes",
]  # fmt: skip


def test_all_of_them_train_to_the_same_bits_twice(tmp_path):
    recipe = load_recipe("digits", ["model.hidden=[12]", "trainer.epochs=2", "trainer.batch_size=256", *ALL])
    summaries = [train(recipe, tmp_path / name) for name in ("one", "other")]
    assert summaries[0] == summaries[1]
    plain = recipe.model_copy(update={"trainer": recipe.trainer.model_copy(update={"cut_mix": 0.0})})
    train(plain, tmp_path / "plain")
    lines = [RunFolder(tmp_path / name).metrics.read_text().splitlines()[0] for name in ("one", "plain")]
    assert lines[0] != lines[1]


def test_impossible_values_are_refused():
    for wrong in (
        "trainer.cut_mix=1.5",
        "trainer.time_mask=-1",
        "trainer.blend=2",
        "trainer.time_shift=1.5",
        "trainer.cut_mix_weight=area",
    ):
        with pytest.raises(RecipeError, match=wrong.split("=")[0]):
            load_recipe("digits", [wrong])


def test_a_shift_that_could_leave_nothing_of_a_sample_is_refused_before_anything_is_written(tmp_path):
    for key, size in (("time_shift", 9), ("channel_shift", 64)):
        recipe = load_recipe("digits", [f"trainer.{key}={size}", "trainer.epochs=1"])
        for refused in (lambda recipe=recipe: train(recipe, tmp_path / "run"), lambda recipe=recipe: dry_run(recipe)):
            with pytest.raises(RecipeError, match=f"trainer.{key}: {size} .*; choose at most {size - 1}"):
                refused()
    assert not (tmp_path / "run").exists()
