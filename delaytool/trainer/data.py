"""A recipe's data as frames on the training device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from delaytool import datasets
from delaytool.contract.encoding import InputEncoding
from delaytool.datasets.events import EventData
from delaytool.datasets.frames import FrameData
from delaytool.datasets.recordings import known_speakers
from delaytool.errors import DataError
from delaytool.trainer.given_data import (
    refuse_other_frames,
    refuse_other_parts,
    refuse_untrue_protocol,
    split_with_seed,
)
from delaytool.trainer.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Part:
    """frames (sample, time, channel) uint8; labels (sample,) int64."""

    frames: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Part:
        return Part(self.frames.to(device), self.labels.to(device))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class HeldOut:
    """What a validation part that was cut off training costs: its samples, of how many, and its whole speakers.

    speakers   None where the data name none, or the part is not made of whole speakers
    """

    samples: int
    of: int
    speakers: int | None


@dataclass(frozen=True)
class TrainingData:
    """The three parts, a sentence on how they were made, and the encoding that made frames of events.

    validation    None where the protocol trains on all; the test part itself where it is chosen on
    class_names   one per class, or empty where the data have no names
    warnings      sentences about the data that a user should read
    held_out      what the training part lacks because it validates; None where that costs nothing
    spec          how the samples were read and cut; None where that is not known
    """

    train: Part
    validation: Part | None
    test: Part
    encoding: InputEncoding
    n_classes: int
    split: str
    class_names: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    held_out: HeldOut | None = None
    spec: datasets.DataSpec | None = None

    @property
    def chosen_on_test(self) -> bool:
        """Whether the test part serves as validation."""
        return self.validation is self.test


def digests_of(data: TrainingData) -> dict[str, str]:
    """SHA-256 of the frames and labels of each part that there is (`datasets.digest`), by the part's name."""
    parts = {"training": data.train, "validation": data.validation, "test": data.test}
    return {
        name: datasets.digest(part.frames.numpy(), part.labels.numpy())
        for name, part in parts.items()
        if part is not None and not (name == "validation" and data.chosen_on_test)
    }


def changed_parts(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The parts of `before` (`digests_of`) that are others now, or are there no longer."""
    return [name for name, digest in before.items() if now.get(name) != digest]


def load_data(
    recipe: Recipe,
    encoding: InputEncoding | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    data: datasets.Splits | TrainingData | None = None,
) -> TrainingData:
    """Read, split and bin the recipe's data; `encoding` (a checkpoint's, already resolved) overrides the recipe's.

    progress   called with (what, done, of how many) where reading takes long
    data       what is taken instead of reading: samples (`datasets.in_memory`), or what an earlier call returned, whose
               frames are used as they are
    Raises DataError, also where such data were made in another way than the recipe, or `encoding`, says, or have other
    parts than its protocol.
    """
    if isinstance(data, TrainingData):
        refuse_other_frames(data.encoding, encoding or recipe.data.encoding(data.encoding.n_units))
        _refuse_other_data(recipe, data)
        split = split_with_seed(data.split, data.spec, recipe, is_drawn=data.held_out is not None)
        return replace(data, split=split)
    splits = data
    if splits is not None:
        _refuse_other_data(recipe, splits)
    else:
        spec = datasets.DataSpec.from_recipe(recipe.model_dump(mode="json"), encoding)
        splits = datasets.load(spec, progress=progress)
    if encoding is None:
        encoding = datasets.resolve_encoding(recipe.data.encoding(splits.train.n_units), splits.train)
    train, test = (_part(samples, encoding, name) for samples, name in ((splits.train, "train"), (splits.test, "test")))
    validation = None
    if splits.validation is not None:
        is_test = splits.validation is splits.test
        validation = test if is_test else _part(splits.validation, encoding, "validation")
    return TrainingData(
        train=train,
        validation=validation,
        test=test,
        encoding=encoding,
        n_classes=splits.train.n_classes,
        split=split_with_seed(splits.description, splits.spec, recipe, is_drawn=splits.cuts_validation),
        class_names=splits.train.class_names,
        warnings=splits.warnings,
        held_out=_held_out(splits),
        spec=splits.spec,
    )


def _refuse_other_data(recipe: Recipe, data: datasets.Splits | TrainingData) -> None:
    refuse_other_parts(data.spec, recipe)
    validation = data.validation
    refuse_untrue_protocol(
        recipe, has_validation=validation is not None, chosen_on_test=validation is not None and validation is data.test
    )


def _held_out(splits: datasets.Splits) -> HeldOut | None:
    train, validation = splits.train, splits.validation
    if validation is None or not splits.cuts_validation:
        return None
    speakers = None
    if validation.speakers is not None and train.speakers is not None:
        own, trained = set(np.asarray(validation.speakers).tolist()), set(np.asarray(train.speakers).tolist())
        speakers = None if own & trained else known_speakers(validation.speakers).size
    return HeldOut(len(validation), len(validation) + len(train), speakers)


def _part(samples: EventData | FrameData, encoding: InputEncoding, name: str) -> Part:
    frames = datasets.frames_of(samples, encoding)
    if not frames.any():
        raise DataError(f"{samples.name}: the {name} frames hold no spike; check data.time_step_ms")
    return Part(torch.from_numpy(frames), torch.from_numpy(samples.labels))
