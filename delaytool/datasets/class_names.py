"""Classes that data name: a label means the class of its name, whatever number another file gives to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np

from delaytool.datasets.events import EventData
from delaytool.datasets.frames import FrameData
from delaytool.errors import DataError

Data = TypeVar("Data", bound=EventData | FrameData)


def refuse_other_names(parts: Mapping[str, EventData | FrameData]) -> None:
    """Raise DataError where two parts of the data name their classes differently, so that labels would be mixed up."""
    named = [part for part in parts.values() if part.class_names]
    for part in named[1:]:
        common = min(len(part.class_names), len(named[0].class_names))
        if part.class_names[:common] != named[0].class_names[:common]:
            raise DataError(
                f"{part.name}: its classes are named {_listed(part.class_names)}, those of {named[0].name} "
                f"{_listed(named[0].class_names)}; give both the same names in the same order (extra/keys)"
            )


def numbered_as(data: Data, names: tuple[str, ...]) -> Data:
    """The data with each label as the number that `names` has for its class.

    Data without names, and all data where `names` is empty, stay as they are. Raises DataError for a sample of a class
    that is none of `names`.
    """
    if not names or not data.class_names or data.class_names == names[: len(data.class_names)]:
        return data
    number = {name: index for index, name in enumerate(names)}
    own = dict(enumerate(data.class_names))
    unknown = [own.get(label, str(label)) for label in np.unique(data.labels).tolist() if own.get(label) not in number]
    if unknown:
        raise DataError(
            f"{data.name}: its class {unknown[0]!r} is none of the network's, {_listed(names)}; give data of the "
            "classes that the network was trained on"
        )
    renumbered = np.array([number.get(name, -1) for name in data.class_names], np.int64)[data.labels]
    return replace(data, labels=renumbered, class_names=names, n_classes=len(names))


def _listed(names: tuple[str, ...]) -> str:
    some = ", ".join(names[:6])
    return some if len(names) <= 6 else f"{some}, … ({len(names)} in all)"
