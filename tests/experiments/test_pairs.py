"""Pairs of methods: which runs and samples belong together, and what is made of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from delaytool.experiments.paired_tests import mcnemar, paired_bootstrap
from delaytool.experiments.pairs import MethodAnswers, PairTest, Repeat, RunAnswers, compare_pairs
from delaytool.report.comparison import MethodComparison
from delaytool.report.comparison_pairs import describe_pair, format_p_value, pair_note

GENERATOR = np.random.default_rng(0)
EASY = GENERATOR.normal(1.5, 2.0, 400)


def method(name: str, runs: int, advantage: float = 0.0, labels: str = "x") -> MethodAnswers:
    """Networks of one method: they differ from seed to seed, and share what is easy."""
    return MethodAnswers(
        name,
        {
            Repeat(seed): RunAnswers(EASY + advantage + GENERATOR.normal(0, 1, len(EASY)) > 0, labels)
            for seed in range(runs)
        },
    )


def test_a_pair_that_differs_by_chance_and_one_that_really_differs() -> None:
    tests = compare_pairs([method("a", 5), method("b", 5), method("good", 5, advantage=1.0)]).tests
    assert [(test.one, test.other, test.could_be_chance) for test in tests] == [
        ("a", "b", True), ("a", "good", False), ("b", "good", False),
    ]  # fmt: skip
    chance, real, _ = tests
    assert (real.runs, real.samples, real.test) == (5, 400, "bootstrap")
    assert real.difference < 0
    assert real.interval[0] < real.difference < real.interval[1] < 0
    assert describe_pair(real).startswith(f"good is better than a by {-100 * real.difference:.2f} points (")
    assert f"the difference of {100 * abs(chance.difference):.2f} points could be chance" in describe_pair(chance)
    assert real.p_value < real.adjusted < 0.05


def test_the_figures_are_those_of_the_tests_on_the_same_runs() -> None:
    one, other = method("a", 3), method("b", 4, advantage=0.4)  # seed 3 has no partner
    test = compare_pairs([one, other]).tests[0]
    right, other_right = (np.stack([each.runs[Repeat(seed)].right for seed in range(3)]) for each in (one, other))
    expected = paired_bootstrap(right, other_right)
    assert (test.difference, test.interval, test.p_value) == (
        expected.difference, expected.interval, expected.p_value,
    )  # fmt: skip
    assert test.adjusted == test.p_value  # a single pair
    assert test.accuracies == (right.mean(), other_right.mean())
    assert test.mcnemar == tuple(mcnemar(*pair) for pair in zip(right, other_right, strict=True))
    values = json.loads(json.dumps(test.as_dict()))
    assert values["could_be_chance"] == test.could_be_chance
    assert values["interval_95"] == [100 * bound for bound in test.interval]


def test_one_pair_of_networks_is_tested_by_mcnemar() -> None:
    test = compare_pairs([method("a", 1), method("good", 1, advantage=1.5)]).tests[0]
    assert (test.runs, test.test) == (1, "mcnemar")
    assert test.p_value == test.mcnemar[0].p_value < 0.05
    assert describe_pair(test).endswith(", as far as these two networks show.")


def test_speakers_held_out_for_the_test_are_samples_of_one_seed() -> None:
    """Two seeds times three speakers are two runs of all speakers' samples; an incomplete seed is left out."""
    methods = []
    for name in ("a", "b"):
        runs = {}
        for seed in range(3):
            for speaker in (4, 7, 9)[: 1 if seed == 2 else 3]:
                right = GENERATOR.random(10 * speaker) < 0.8
                runs[Repeat(seed, speaker)] = RunAnswers(right, f"samples of {speaker}")
        methods.append(MethodAnswers(name, runs))
    test = compare_pairs(methods).tests[0]
    assert (test.runs, test.rows, test.samples) == (6, 2, 200)
    expected = [
        [np.concatenate([each.runs[Repeat(seed, one)].right for one in (4, 7, 9)]) for seed in (0, 1)]
        for each in methods
    ]
    assert test.accuracies == (np.mean(expected[0]), np.mean(expected[1]))


def test_the_speakers_of_one_seed_are_not_called_two_networks() -> None:
    methods = [
        MethodAnswers(
            name, {Repeat(0, speaker): RunAnswers(np.full(20 * speaker, right), str(speaker)) for speaker in (1, 2, 3)}
        )
        for name, right in (("a", True), ("b", False))
    ]
    tests = compare_pairs(methods)
    (test,) = tests.tests
    assert (test.runs, test.rows, test.samples, test.test) == (3, 1, 120, "mcnemar")
    assert describe_pair(test).endswith(", as far as these 6 networks of one seed show.")
    note = pair_note(MethodComparison("loihi2", (), [], tests))
    assert "McNemar's exact test of the networks of one seed; other seeds may differ" in note
    assert "each to its own speaker's samples, are tested together" in note
    assert "two networks" not in note


def test_speakers_held_out_for_validation_are_runs_on_the_same_samples() -> None:
    methods = [
        MethodAnswers(
            name,
            {
                Repeat(seed, speaker): RunAnswers(GENERATOR.random(50) < 0.8, "x")
                for seed in range(2)
                for speaker in (None, 1, 2)
            },
        )
        for name in ("a", "b")
    ]
    test = compare_pairs(methods).tests[0]
    assert (test.runs, test.rows, test.samples) == (6, 6, 50)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (MethodAnswers("b", {}), "a and b: no seed of both has finished with its answers recorded"),
        (method("b", 2, labels="y"), "a and b: their test parts are not the same samples"),
    ],
)
def test_what_cannot_be_paired_has_a_reason(other: MethodAnswers, reason: str) -> None:
    result = compare_pairs([method("a", 2), other])
    assert (result.tests, result.untested) == ((), (reason,))


def test_test_parts_that_change_with_the_seed_are_not_mixed() -> None:
    methods = [
        MethodAnswers(name, {Repeat(seed): RunAnswers(np.ones(5, bool), f"draw {seed}") for seed in range(3)})
        for name in ("a", "b")
    ]
    assert compare_pairs(methods).untested == ("a and b: the test part is another one for each seed",)


def test_pairs_of_some_methods() -> None:
    tests = compare_pairs([method(name, 1) for name in "abcd"])
    assert len(tests.tests) == 6
    assert [(test.one, test.other) for test in tests.of(["c"])] == [("a", "c"), ("b", "c"), ("c", "d")]


def test_the_interval_of_a_sentence_is_turned_with_its_names() -> None:
    test = PairTest("a", "b", 3, 3, 100, (0.5, 0.6), -0.1, (-0.15, -0.05), "bootstrap", 0.001, (), 0.002)
    assert describe_pair(test) == (
        "b is better than a by 10.00 points (95 % interval of this pair alone +5.00 to +15.00; p over all pairs 0.002)."
    )


def test_p_values_are_short() -> None:
    assert [format_p_value(value) for value in (0.00005, 0.00234, 0.00999, 0.0502, 0.1234, 1.0)] == [
        "<0.0001", "0.0023", "0.010", "0.050", "0.123", "1.000",
    ]  # fmt: skip
