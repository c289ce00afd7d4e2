"""FrameData: labeled samples of real numbers in time steps and channels, stored end to end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from delaytool.contract.encoding import MelSpectrogram
from delaytool.datasets.events import check_labels
from delaytool.errors import DataError


@dataclass(frozen=True, eq=False)
class FrameData:
    """Samples whose channels have a real value in every step, such as the decibels of mel filters.

    values        (n_rows, n_units) float16, as of recordings, or float32; possibly a file that is read as it is used
    starts, steps (n_samples,) int64: sample i is the rows starts[i]..starts[i] + steps[i] - 1, one row per time step
    labels        (n_samples,) int64, 0..n_classes - 1
    time_step_ms  length of a step
    speakers      (n_samples,) int64, or None where the data name none
    name          where the data came from, for messages
    class_names   one name per class, or empty
    floor         the value that stands for nothing at all (a filter without energy), or None
    mel           how recordings became these values, or None
    warnings      sentences about the data that a user should read
    """

    values: np.ndarray
    starts: np.ndarray
    steps: np.ndarray
    labels: np.ndarray
    n_classes: int
    time_step_ms: float
    speakers: np.ndarray | None = None
    name: str = ""
    class_names: tuple[str, ...] = ()
    floor: float | None = None
    mel: MelSpectrogram | None = None
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.labels.size

    @property
    def n_units(self) -> int:
        return self.values.shape[1]

    def sample(self, index: int) -> np.ndarray:
        """(time, unit) of one sample, as a view."""
        return self.values[self.starts[index] : self.starts[index] + self.steps[index]]

    def subset(self, indices: Any) -> FrameData:
        """The samples `indices` (numbers or a mask), in that order; values are shared, not copied.

        Raises DataError where none is left.
        """
        chosen = np.arange(len(self))[np.asarray(indices, dtype=None if np.size(indices) else np.int64)]
        if chosen.size == 0:
            raise DataError(f"{self.name}: an empty split, no sample is left; change the split's fraction")
        return replace(
            self,
            starts=self.starts[chosen],
            steps=self.steps[chosen],
            labels=self.labels[chosen],
            speakers=None if self.speakers is None else self.speakers[chosen],
        )

    def blocks(self, samples_at_once: int = 256) -> Iterator[np.ndarray]:
        """Yield the values of a few samples after the other, (n_rows, n_units)."""
        for low in range(0, len(self), samples_at_once):
            yield np.concatenate([self.sample(index) for index in range(low, min(low + samples_at_once, len(self)))])

    def check(self) -> FrameData:
        """Return self if it is sound, else raise a DataError that names the first offending sample and value."""
        if self.labels.size == 0:
            raise DataError(f"{self.name}: an empty split, it holds no samples; give data with at least one")
        if self.values.ndim != 2 or self.values.dtype not in (np.float16, np.float32):
            raise DataError(
                f"{self.name}: values have shape {self.values.shape} and type {self.values.dtype}; they must be "
                "(n_rows, n_units) float16 or float32"
            )
        if not (self.starts.shape == self.steps.shape == self.labels.shape):
            raise DataError(
                f"{self.name}: {self.starts.size} starts and {self.steps.size} lengths for {self.labels.size} labels; "
                "they must be as many"
            )
        bad = (self.starts < 0) | (self.steps < 1) | (self.starts + self.steps > len(self.values))
        if bad.any():
            at = int(np.argmax(bad))
            raise DataError(
                f"{self.name}: sample {at}: its {self.steps[at]} steps from row {self.starts[at]} are outside the "
                f"{len(self.values)} rows; make the data anew"
            )
        check_labels(self.name, self.labels, self.n_classes)
        for index in range(len(self)):
            check_finite(self.name, index, self.sample(index))
        return self


def check_finite(name: str, sample: int, values: np.ndarray) -> None:
    """Raise DataError where a sample of floats holds what their type does not."""
    if not np.isfinite(values).all():
        raise DataError(
            f"{name}: sample {sample}: it holds a value that is not finite, or beyond "
            f"{np.finfo(values.dtype).max:,.6g}; correct or remove the sample"
        )
