"""What a network decides about a sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from delaytool.contract.network import IntegerNetwork


@dataclass(frozen=True, eq=False)
class Prediction:
    """A decision about one sample.

    source       what it was read from
    sample       its number there, from 0
    label        the class with the highest score, the lowest one on a tie
    class_name   its name; where the network has no class names, its number
    margin       how far the highest score is above the next one, per step of the readout's window: for a readout
                 'softmax-sum' the mean lead in probability, 0..1; for 'sum' the mean lead of the membrane, in units
                 in which it was trained. 0 is a tie
    scores       (class,) float64, as the readout adds them up
    true_label   the class that the data name for this sample, or None
    notes        what the user should know of this sample
    """

    source: str
    sample: int
    label: int
    class_name: str
    margin: float
    scores: np.ndarray
    true_label: int | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self, network: IntegerNetwork) -> dict[str, Any]:
        """As JSON values, with every class's score by its name."""
        return {
            "source": self.source,
            "sample": self.sample,
            **decision_dict(network, self.scores, self.label, self.margin),
            **({} if self.true_label is None else {"true_class": name_of_class(network, self.true_label)}),
            "notes": list(self.notes),
        }


def name_of_class(network: IntegerNetwork, label: int) -> str:
    return network.class_names[label] if label < len(network.class_names) else str(label)


def margin_of(network: IntegerNetwork, scores: np.ndarray, n_steps: int) -> float:
    """The lead of the highest score, per step of `n_steps`; see `Prediction.margin`. 0 where there is one class."""
    if scores.size < 2 or n_steps < 1:
        return 0.0
    second, first = np.partition(scores, -2)[-2:]
    unit = network.readout.scale if network.readout.method == "sum" else 1.0
    return float((first - second) / (n_steps * unit))


def decision_dict(network: IntegerNetwork, scores: np.ndarray, label: int, margin: float) -> dict[str, Any]:
    named = {name_of_class(network, index): float(score) for index, score in enumerate(scores)}
    return {"class": name_of_class(network, label), "label": label, "margin": margin, "scores": named}
