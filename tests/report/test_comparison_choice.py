"""Which method of a comparison is the best: validation tells, and test results never do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from delaytool.accuracy_errors import over_seeds
from delaytool.experiments.measure_run import Measured
from delaytool.experiments.pairs import compare_pairs
from delaytool.experiments.sweep.results import RunResult, SettingResult
from delaytool.experiments.sweep.setting import Setting
from delaytool.report.comparison import Method, MethodComparison
from delaytool.report.comparison_choice import describe_choice
from delaytool.report.comparison_page import compose
from delaytool.report.comparison_pairs import format_p_value, shown_pairs
from delaytool.report.comparison_tables import as_markdown
from delaytool.trainer.protocols import PROTOCOLS
from delaytool.trainer.recipe import load_recipe

RECIPE = load_recipe("digits")


def method(
    name: str, validation: float | Sequence[float] | None, right: str, protocol: str = "honest", samples: int = 30
) -> Method:
    """One run per validation accuracy; right: the answers of its integers."""
    runs = []
    accuracies = list(validation) if isinstance(validation, Sequence) else [validation]
    for seed, accuracy in enumerate(accuracies):
        summary: dict[str, Any] = {
            "validation_accuracy": accuracy, "validation_samples": samples, "protocol": PROTOCOLS[protocol],
            "test_samples": len(right), "test_accuracy_rounded": 0.5, "test_accuracy_as_trained": 0.5, "split": "…",
            "parameters": 1, "spikes": {"hidden1": 1.0},
        }  # fmt: skip
        recipe = RECIPE.model_copy(update={"seed": seed})
        runs.append(RunResult(Setting({"method": name, "seed": seed}, recipe), "finished", summary, ""))
    measured = Measured("loihi2", "", "loihi2", accuracy=right.count("1") / len(right), right=right, test_labels="x")
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    result = SettingResult({"method": name}, tuple(runs), over_seeds(known) if known else None, None, len(right))
    return Method(name, result, (measured,) * len(runs))


def comparison(*methods: Method) -> MethodComparison:
    return MethodComparison("loihi2", methods, [], compare_pairs([one.answers for one in methods]))


def test_validation_chooses_and_test_does_not() -> None:
    both = comparison(method("a", 0.6, "1111"), method("b", 0.7, "0000"))
    assert (both.best, both.highest_on_test) == ("b", None)
    assert describe_choice(both) == "Best by validation: b."


@pytest.mark.parametrize(
    ("validation", "protocol", "why"),
    [
        (None, "fixed", "last has no validation accuracy"),
        (0.9, "paper", "last chose epochs on the test part"),
    ],
)
def test_no_method_is_the_best_where_one_has_no_validation(validation: float | None, protocol: str, why: str) -> None:
    """However many of the others have one, and whether or not it has the highest test accuracy."""
    for right in ("1111", "0000"):
        three = comparison(
            method("a", 0.6, "1000"), method("b", 0.7, "1100"), method("last", validation, right, protocol)
        )
        highest = "last" if right == "1111" else "b"
        assert (three.best, three.highest_on_test) == (None, highest)
        sentence = (
            f"No method is called the best: {why}, and test results must not choose. Highest on test, which is no "
            f"choice: {highest}."
        )
        assert describe_choice(three) == sentence
        assert f"- {sentence}\n" in as_markdown(three)
        assert {(test.one, test.other) for test in shown_pairs(three)} == {
            ("a", "b"), ("a", "last"), ("b", "last"),
        }  # fmt: skip


def test_a_method_without_a_finished_run_takes_part_in_no_choice() -> None:
    failed = RunResult(Setting({"method": "wild"}, RECIPE), "failed", {}, "diverged")
    wild = Method("wild", SettingResult({"method": "wild"}, (failed,), None, None, None), ())
    assert comparison(wild, method("a", 0.6, "1000"), method("b", 0.7, "1100")).best == "b"


def without(method: Method, seed: int) -> Method:
    """The method without the run of a seed, which has not finished."""
    runs = [run if run.setting.recipe.seed != seed else replace(run, state="waiting", summary={})
            for run in method.result.runs]  # fmt: skip
    return replace(method, result=replace(method.result, runs=tuple(runs)), measured=method.measured[1:])


def test_the_best_is_chosen_by_the_runs_that_all_have() -> None:
    """The run that is missing of one would have lowered its mean, as it lowers the other's."""
    hard = comparison(method("a", [0.3, 0.7], "1111"), without(method("b", [0.2, 0.6], "0000"), seed=0))
    assert hard.best == "a"
    assert describe_choice(hard) == "Best by validation, over the 1 run that every method has: a."
    assert "over the 1 run that every method has" in compose(hard)
    apart = comparison(without(method("a", [0.3, 0.7], "1111"), seed=0), without(method("b", [0.2, 0.6], "00"), seed=1))
    assert (apart.best, apart.highest_on_test) == (None, "a")
    assert "is called the best: no seed (and speaker) has finished for all of them, and" in describe_choice(apart)


@pytest.mark.parametrize(
    ("p_value", "text"),
    [(0.0496, "0.0496"), (0.04999, "0.04999"), (0.05, "0.050"), (0.0501, "0.050"), (0.25, "0.250"), (0.0021, "0.0021")],
)
def test_a_p_value_below_the_level_is_shown_below_it(p_value: float, text: str) -> None:
    assert format_p_value(p_value) == text


def test_of_equal_validation_the_first_is_the_best() -> None:
    """As sums of floats the second mean is larger in its last bit."""
    first, second = [13 / 30, 18 / 30, 12 / 30], [18 / 30, 12 / 30, 13 / 30]
    assert sum(first) < sum(second)
    assert comparison(method("a", first, "10"), method("b", second, "10")).best == "a"


def test_a_single_method_is_not_chosen() -> None:
    assert describe_choice(comparison(method("a", 0.6, "1111"))) == ""
