"""Which samples a page shows spike by spike, and what the network did with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from delaytool.contract.frames import padded_input
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import DataError
from delaytool.experiments.verify_run import TwoPartVerification
from delaytool.runtime.backends import backend_named
from delaytool.runtime.trace import Trace

SHOWN = 6
WRONG_SHOWN = 3


@dataclass(frozen=True)
class SampleTrace:
    """One sample as the integer network ran it. frames (step, channel); trace holds this one sample."""

    index: int
    label: int
    prediction: int
    frames: np.ndarray
    trace: Trace

    @property
    def is_right(self) -> bool:
        return self.label == self.prediction


def choose_samples(labels: np.ndarray, predictions: np.ndarray, first: int) -> list[int]:
    """Numbers of at most `SHOWN` samples: `first`, then up to `WRONG_SHOWN` wrong ones, then right ones.

    labels, predictions   (sample,) int
    Of the wrong and of the right ones, those of classes that are not among the chosen yet come first.

    >>> choose_samples(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 0]), first=0)
    [0, 3, 1, 2]
    """
    chosen = [first]
    is_right = np.asarray(labels) == np.asarray(predictions)
    for candidates, most in ((np.flatnonzero(~is_right), WRONG_SHOWN), (np.flatnonzero(is_right), SHOWN)):
        left = [int(index) for index in candidates if index != first]
        for _ in range(min(most, SHOWN - len(chosen), len(left))):
            seen = {int(labels[index]) for index in chosen}
            pick = next((index for index in left if int(labels[index]) not in seen), left[0])
            left.remove(pick)
            chosen.append(pick)
    return chosen


def trace_samples(verification: TwoPartVerification, first: int) -> tuple[SampleTrace, ...]:
    """The samples that the page shows, `first` first. Raises DataError where there is no such sample."""
    samples, network = verification.samples, verification.network
    if first >= len(samples.frames):
        raise DataError(f"--sample {first}: the data hold samples 0..{len(samples.frames) - 1}; choose one of them")
    predictions = verification.whole.predictions
    indices = choose_samples(samples.labels, predictions, first)
    run = backend_named(verification.whole.backend)
    return tuple(
        SampleTrace(
            index=index,
            label=int(samples.labels[index]),
            prediction=int(predictions[index]),
            frames=padded_input(samples.frames[index : index + 1], network.n_steps)[0],
            trace=run(network, samples.frames[index : index + 1]),
        )
        for index in indices
    )


def class_name(network: IntegerNetwork, number: int) -> str:
    """The class's name, else 'class 3'."""
    return network.class_names[number] if network.class_names else f"class {number}"
