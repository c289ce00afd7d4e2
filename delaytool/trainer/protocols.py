"""Protocols: which epoch of a run counts, and the sentences that state it. docs/training.md compares them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PROTOCOLS = {
    "honest": "honest: the epoch was chosen on validation; test was looked at once, at the end",
    "paper": "paper: the epoch was chosen on the test set, as in published practice, so the accuracy is optimistic",
    "fixed": "fixed: no epoch was chosen, the last one counts",
}


def describe_protocol(protocol: str, *, chosen_on_test: bool, test_every_epoch: bool) -> str:
    """The protocol's name, a colon and what it means.

    chosen_on_test: the test part served as validation. test_every_epoch: test accuracy was recorded all along.
    """
    looked = "in every epoch, which decided nothing" if test_every_epoch else "once, at the end"
    if protocol == "paper" and not chosen_on_test:
        return f"paper: the epoch was chosen on the data's own validation part; test was looked at {looked}"
    if protocol == "fixed":
        return f"{PROTOCOLS[protocol]}; test was looked at {looked}"
    return PROTOCOLS[protocol]


@dataclass
class ChosenEpoch:
    """The epoch that counts so far: of those that can be chosen, the highest validation accuracy, then the lowest loss.

    final       whether the epoch is one that can be chosen. Until one is, the last epoch is the chosen one
    accuracy, loss   of validation; -1 and infinite where no epoch was validated
    """

    accuracy: float = -1.0
    loss: float = float("inf")
    epoch: int = 0
    final: bool = False

    def improved_by(self, metrics: dict[str, Any], final: bool, *, last_counts: bool = False) -> bool:
        """Whether the epoch with these metrics is the chosen one from now on; last_counts: it is, whatever they are."""
        accuracy, loss = metrics["validation_accuracy"], metrics["validation_loss"]
        if not last_counts and self.final and (not final or (accuracy, -loss) <= (self.accuracy, -self.loss)):
            return False
        if accuracy is not None:
            self.accuracy, self.loss = accuracy, loss
        self.epoch, self.final = metrics["epoch"], final
        return True
