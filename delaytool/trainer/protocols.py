"""Protocols: which epoch of a run counts, and the sentences that state it. docs/training.md compares them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delaytool.trainer.recipe import Recipe

PROTOCOLS = {
    "honest": "honest: the epoch was chosen on validation; test was looked at once, at the end",
    "paper": "paper: the epoch was chosen on the test set, as in published practice, so the accuracy is optimistic",
    "fixed": "fixed: no epoch was chosen, the last one counts",
    "cross-validated": "cross-validated: the epoch was chosen by the mean of folds, and all but the test part was "
    "trained on once, to that epoch; test was looked at once, at the end",
}
# What a protocol of an epoch that was chosen on the test part begins with, in summaries of all versions.
_ON_TEST = "paper: the epoch was chosen on the test set"
ONE_FOLD = "cross-validated: one of the folds, on which epochs are compared; test was not looked at"


# Of so many validating speakers one more or less hardly moves the choice.
MANY_SPEAKERS = 10


def describe_protocol(recipe: Recipe, *, chosen_on_test: bool, has_folds: bool) -> str:
    """The protocol's name, a colon and what it means.

    chosen_on_test: the test part served as validation. has_folds: the run has a record of the folds that chose it.
    """
    protocol = recipe.protocol
    if protocol == "cross-validated" and recipe.is_fold:
        return ONE_FOLD
    if protocol == "cross-validated" and not has_folds:
        return (
            f"cross-validated: trained on all but the test part to epoch {recipe.trainer.last_epoch}, which the recipe "
            "gives; the folds that chose it are not recorded with this run; test was looked at once, at the end"
        )
    looked = "in every epoch, which decided nothing" if recipe.trainer.test_every_epoch else "once, at the end"
    if protocol == "paper" and not chosen_on_test:
        return f"paper: the epoch was chosen on the data's own validation part; test was looked at {looked}"
    if protocol == "fixed":
        return f"{PROTOCOLS[protocol]}; test was looked at {looked}"
    return PROTOCOLS[protocol]


def is_chosen_on_test(protocol: str) -> bool:
    """Whether a summary's sentence (`describe_protocol`) says that the test part served as validation.

    >>> is_chosen_on_test(PROTOCOLS["paper"]), is_chosen_on_test(PROTOCOLS["honest"])
    (True, False)
    """
    return protocol.startswith(_ON_TEST)


def describe_cost(summary: Mapping[str, Any]) -> str:
    """What holding few speakers out cost, in a sentence; empty where they are many or unknown, or none was held out.

    >>> describe_cost({"held_out": {"samples": 450, "of": 2250, "speakers": 1}}).partition(",")[0]
    'what that cost: 450 of 2'
    """
    held_out = summary.get("held_out") or {}
    speakers = held_out.get("speakers")
    if speakers is None or speakers >= MANY_SPEAKERS:
        return ""
    who = "one speaker" if speakers == 1 else f"{speakers} speakers"
    return (
        f"what that cost: {held_out['samples']:,} of {held_out['of']:,} samples were not trained on, and {who} chose "
        "the epoch, so that others may choose another; protocol 'cross-validated' lets all speakers choose and trains "
        "on all samples"
    )


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


def fold_curve(metrics: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """A fold's epochs, one value each: validation accuracy and loss, and whether it can be chosen."""
    return {
        "accuracy": [line["validation_accuracy"] for line in metrics],
        "loss": [line["validation_loss"] for line in metrics],
        "can_be_chosen": [line.get("can_be_chosen", True) for line in metrics],
    }
