"""The tests of a comparison's pairs as rows and sentences."""

from __future__ import annotations

from delaytool.accuracy_errors import format_points
from delaytool.experiments.pairs import LEVEL, PairTest
from delaytool.report.comparison import MethodComparison

HEADINGS = ("pair", "runs", "difference", "95 % interval", "p", "p, all pairs", "could be chance")


def shown_pairs(comparison: MethodComparison) -> tuple[PairTest, ...]:
    """Every method against the first, and against the best or, where none is called so, the highest on test.

    comparison.json has all pairs.
    """
    first = comparison.methods[0].name if comparison.methods else None
    return comparison.pairs.of([name for name in (comparison.best or comparison.highest_on_test, first) if name])


def pair_rows(comparison: MethodComparison) -> list[tuple[str, ...]]:
    """One per pair, in the order of `HEADINGS`; differences in points of accuracy."""
    return [
        (
            f"{test.one} - {test.other}",
            str(test.runs),
            format_points(100 * test.difference),
            f"{format_points(100 * test.interval[0])} to {format_points(100 * test.interval[1])}",
            format_p_value(test.p_value),
            format_p_value(test.adjusted),
            "yes" if test.could_be_chance else "no",
        )
        for test in shown_pairs(comparison)
    ]


def pair_note(comparison: MethodComparison) -> str:
    """What the figures of the pairs are."""
    tests = comparison.pairs.tests
    if not tests:
        return ""
    how = "a paired bootstrap over seeds and samples"
    if all(test.test == "mcnemar" for test in tests):
        whose = "the two networks" if all(test.runs == 1 for test in tests) else "the networks of one seed"
        how = f"McNemar's exact test of {whose}; other seeds may differ"
    together = (
        " With a speaker held out as the test part in turn, the answers of a seed's networks, each to its own "
        "speaker's samples, are tested together."
        if any(test.runs > test.rows for test in tests)
        else ""
    )
    return (
        f"Differences of the integers' accuracy on the same test samples, in points: {how}.{together} "
        f"'p, all pairs' is Holm's correction for all {len(tests)} pair{'s' * (len(tests) != 1)}; "
        f"a difference could be chance where it is {LEVEL:g} or more."
    )


def describe_pairs(comparison: MethodComparison) -> list[str]:
    """A sentence for each pair that is shown, and for what could not be tested."""
    return [*(describe_pair(test) for test in shown_pairs(comparison)), *map(_untested, comparison.pairs.untested)]


def describe_pair(test: PairTest) -> str:
    """'digits is better than fixed by 7.38 points (95 % interval of this pair alone +2.95 to +11.81; p over all pairs
    0.0021).'
    """
    one, other, sign = (test.one, test.other, 1) if test.difference >= 0 else (test.other, test.one, -1)
    low, high = sorted(100 * sign * bound for bound in test.interval)
    points = f"{100 * abs(test.difference):.2f} points"
    figures = (
        f"(95 % interval of this pair alone {format_points(low)} to {format_points(high)}; "
        f"p over all pairs {format_p_value(test.adjusted)})"
    )
    if test.could_be_chance:
        return f"{one} and {other}: the difference of {points} could be chance {figures}."
    networks = "two networks" if test.runs == 1 else f"{2 * test.runs} networks of one seed"
    about = "" if test.test == "bootstrap" else f", as far as these {networks} show"
    return f"{one} is better than {other} by {points} {figures}{about}."


def format_p_value(p_value: float) -> str:
    """'<0.0001', '0.0021', '0.250'; with more digits where rounding would move it to the other side of `LEVEL`.

    >>> format_p_value(0.0496), format_p_value(0.0501)
    ('0.0496', '0.050')
    """
    if p_value < 0.00995:
        return "<0.0001" if p_value < 1e-4 else f"{p_value:.2g}"
    texts = (f"{p_value:.{digits}f}" for digits in range(3, 18))
    return next((text for text in texts if (float(text) < LEVEL) == (p_value < LEVEL)), repr(p_value))


def _untested(reason: str) -> str:
    return f"{reason}; not tested."
