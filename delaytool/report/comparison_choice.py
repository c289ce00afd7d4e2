"""Which method of a comparison is the best, where validation can tell; test results must not."""

from __future__ import annotations

from collections.abc import Sequence

from delaytool.report.comparison import Method, MethodComparison


def describe_choice(comparison: MethodComparison) -> str:
    """A sentence that names the best method, or says why none is called so; '' where there is nothing to choose."""
    if len(comparison.methods) < 2:
        return ""
    if comparison.best is not None:
        if comparison.compares_all_runs:
            return f"Best by validation: {comparison.best}."
        return f"Best by validation, over the {format_common_runs(comparison)}: {comparison.best}."
    if comparison.highest_on_test is None:
        return ""
    return (
        f"No method is called the best: {_why_not(comparison)}, and test results must not choose. Highest on test, "
        f"which is no choice: {comparison.highest_on_test}."
    )


def format_common_runs(comparison: MethodComparison) -> str:
    """'2 runs that every method has', by which the best is chosen while others are missing."""
    count = len(comparison.common_repeats)
    return f"{count} run{'s' * (count != 1)} that every method has"


def _why_not(comparison: MethodComparison) -> str:
    finished = [method for method in comparison.methods if method.finished]
    on_test = [method for method in finished if method.chose_on_test]
    without = [method for method in finished if not method.validation]
    reasons = []
    if without:
        reasons.append(f"{_names(without)} {'has' if len(without) == 1 else 'have'} no validation accuracy")
    if on_test:
        reasons.append(f"{_names(on_test)} chose epochs on the test part")
    if not reasons:
        reasons.append("no seed (and speaker) has finished for all of them")
    return " and ".join(reasons)


def _names(methods: Sequence[Method]) -> str:
    return ", ".join(method.name for method in methods)
