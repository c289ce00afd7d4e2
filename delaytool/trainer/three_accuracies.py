"""Three accuracies of one training on the test part, side by side, so that none is taken for another.

The protocol's; the mean of the last epochs; and the best epoch's, which is chosen on the test set and so too high. For
one published record on SHD, 96.41 %, the last 20 epochs of its logs average 93.08 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LAST_EPOCHS = 20


def last_and_best(metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """From a run's epochs to what its summary has besides the protocol's accuracy; empty where no epoch was tested.

    Of the epochs that can be chosen (`can_be_chosen`), or of all where none can:

    test_accuracy_last_epochs     mean over the last of them, at most LAST_EPOCHS; last_epochs is how many
    test_accuracy_best_on_test    the highest; best_on_test_epoch has it (of equals, the lowest loss, then the first)

    >>> epochs = [{"epoch": n + 1, "test_accuracy": a, "test_loss": 1.0} for n, a in enumerate((0.5, 0.75, 0.25))]
    >>> last_and_best([{**epoch, "can_be_chosen": epoch["epoch"] > 1} for epoch in epochs])["last_epochs"]
    2
    """
    tested = [line for line in metrics if line.get("test_accuracy") is not None]
    counted = [line for line in tested if line.get("can_be_chosen", True)] or tested
    if not counted:
        return {}
    last = [line["test_accuracy"] for line in counted[-LAST_EPOCHS:]]
    best = max(counted, key=lambda line: (line["test_accuracy"], -line["test_loss"]))
    return {
        "test_accuracy_last_epochs": sum(last) / len(last),
        "last_epochs": len(last),
        "test_accuracy_best_on_test": best["test_accuracy"],
        "best_on_test_epoch": best["epoch"],
    }
