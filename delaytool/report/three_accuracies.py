"""The three test accuracies of a training as rows, for terminals, pages and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from delaytool.accuracy_errors import format_percent

CHOSEN_ON_TEST = "chosen on the test set"


def three_accuracy_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what it is, percent), the protocol's first; empty where the epochs' test accuracies were not recorded.

    >>> three_accuracy_rows(
    ...     {
    ...         "protocol": "fixed: no epoch was chosen, the last one counts",
    ...         "best_epoch": 100,
    ...         "test_accuracy_rounded": 0.93,
    ...         "test_accuracy_last_epochs": 0.92,
    ...         "last_epochs": 20,
    ...         "test_accuracy_best_on_test": 0.95,
    ...         "best_on_test_epoch": 71,
    ...     }
    ... )[1:]
    [('mean of the last 20 epochs', '92.00 %'), ('best epoch on test, 71: chosen on the test set', '95.00 %')]
    """
    if "test_accuracy_last_epochs" not in summary:
        return []
    name = summary["protocol"].partition(":")[0]
    epoch, best, count = summary["best_epoch"], summary["best_on_test_epoch"], summary["last_epochs"]
    # With 'paper' it is the same figure, unless the data have a validation part of their own.
    note = f": {CHOSEN_ON_TEST}" if CHOSEN_ON_TEST in summary["protocol"] else ""
    return [
        (f"protocol {name}, epoch {epoch}{note}", format_percent(summary["test_accuracy_rounded"])),
        (f"mean of the last {count} epochs", format_percent(summary["test_accuracy_last_epochs"])),
        (f"best epoch on test, {best}: {CHOSEN_ON_TEST}", format_percent(summary["test_accuracy_best_on_test"])),
    ]
