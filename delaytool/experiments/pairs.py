"""Every pair of a comparison's methods, tested on the runs and the test samples that both have."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from delaytool.experiments.paired_tests import McNemar, holm, mcnemar, paired_bootstrap
from delaytool.trainer.recipe import Recipe

# A difference that chance would make with at least this probability, all pairs considered, could be chance.
LEVEL = 0.05


class Repeat(NamedTuple):
    """What distinguishes a method's runs: seed, and the speaker that was held out."""

    seed: int
    speaker: int | None = None

    @classmethod
    def of(cls, recipe: Recipe) -> Repeat:
        return cls(recipe.seed, recipe.data.held_out_speaker)


@dataclass(frozen=True)
class RunAnswers:
    """right: (sample,) bool, the test samples that a network gets right.

    test_part   by which samples are known to be the same: a digest of their classes, and the speaker whose they are
    """

    right: np.ndarray
    test_part: str


@dataclass(frozen=True)
class MethodAnswers:
    """The runs of a method whose answers are known."""

    name: str
    runs: Mapping[Repeat, RunAnswers]


@dataclass(frozen=True)
class PairTest:
    """Two methods on the same samples; accuracies and their difference, one's less the other's, are shares (0..1).

    runs         pairs of networks with the same seed (and held-out speaker)
    rows         of answers on the same samples: the runs, or, where each speaker's samples are a test part of their
                 own, the seeds, in whose rows all speakers' samples stand together
    samples      of each row
    test         'bootstrap' over rows and samples, or with a single row 'mcnemar'
    interval     95 %, of the difference, by the bootstrap (of one row: over samples)
    adjusted     the p value after Holm's correction for all pairs that were tested
    mcnemar      McNemar's test of each row
    """

    one: str
    other: str
    runs: int
    rows: int
    samples: int
    accuracies: tuple[float, float]
    difference: float
    interval: tuple[float, float]
    test: Literal["mcnemar", "bootstrap"]
    p_value: float
    mcnemar: tuple[McNemar, ...]
    adjusted: float = 1.0

    @property
    def could_be_chance(self) -> bool:
        return self.adjusted >= LEVEL

    def as_dict(self) -> dict[str, Any]:
        """For machines: JSON values only, none of them nested; differences in points of accuracy."""
        return {
            "one": self.one,
            "other": self.other,
            "runs": self.runs,
            "rows": self.rows,
            "samples": self.samples,
            "accuracy_of_one": self.accuracies[0],
            "accuracy_of_other": self.accuracies[1],
            "difference_points": 100 * self.difference,
            "interval_95": [100 * bound for bound in self.interval],
            "test": self.test,
            "p_value": self.p_value,
            "p_value_all_pairs": self.adjusted,
            "could_be_chance": self.could_be_chance,
        }


@dataclass(frozen=True)
class PairTests:
    """tests: of all pairs, in the methods' order; untested: why a pair, or a method, was not tested."""

    tests: tuple[PairTest, ...] = ()
    untested: tuple[str, ...] = ()

    def of(self, names: Sequence[str]) -> tuple[PairTest, ...]:
        """The pairs in which at least one of these methods is."""
        return tuple(one for one in self.tests if one.one in names or one.other in names)


def compare_pairs(methods: Sequence[MethodAnswers]) -> PairTests:
    """Test every pair of methods, and correct for their number.

    The correction is for all pairs, whichever of them are looked at: the best method is known only afterwards.

    >>> answers = {Repeat(0): RunAnswers(np.arange(50) < 40, "")}
    >>> compare_pairs([MethodAnswers("a", answers), MethodAnswers("b", answers)]).tests[0].could_be_chance
    True
    """
    tests, untested = [], []
    for one, other in itertools.combinations(methods, 2):
        table = _common_answers(one, other)
        if isinstance(table, str):
            untested.append(f"{one.name} and {other.name}: {table}")
        else:
            tests.append(_tested(one.name, other.name, table))
    adjusted = holm([test.p_value for test in tests])
    return PairTests(
        tuple(replace(test, adjusted=p_value) for test, p_value in zip(tests, adjusted, strict=True)), tuple(untested)
    )


@dataclass(frozen=True)
class _CommonAnswers:
    """right, other_right: both (row, sample) bool; runs: the pairs of networks that gave them."""

    right: np.ndarray
    other_right: np.ndarray
    runs: int


def _tested(one: str, other: str, common: _CommonAnswers) -> PairTest:
    right, other_right = common.right, common.other_right
    each = tuple(mcnemar(*pair) for pair in zip(right, other_right, strict=True))
    bootstrap = paired_bootstrap(right, other_right)
    rows, samples = right.shape
    return PairTest(
        one=one,
        other=other,
        runs=common.runs,
        rows=rows,
        samples=samples,
        accuracies=(float(right.mean()), float(other_right.mean())),
        difference=bootstrap.difference,
        interval=bootstrap.interval,
        test="mcnemar" if rows == 1 else "bootstrap",
        p_value=each[0].p_value if rows == 1 else bootstrap.p_value,
        mcnemar=each,
    )


def _common_answers(one: MethodAnswers, other: MethodAnswers) -> _CommonAnswers | str:
    """Right answers of both, of the runs that both have; or why there are none.

    Where speakers are held out as the test part, a row's samples are those of all speakers in turn, for each seed.
    """
    common = [repeat for repeat in one.runs if repeat in other.runs]
    if not common:
        return "no seed of both has finished with its answers recorded"
    if any(one.runs[repeat].test_part != other.runs[repeat].test_part for repeat in common):
        return "their test parts are not the same samples"
    rows: dict[Repeat, list[Repeat]] = {}
    all_alike = len({one.runs[repeat].test_part for repeat in common}) == 1
    for repeat in sorted(common, key=lambda repeat: (repeat.seed, repeat.speaker is not None, repeat.speaker or 0)):
        rows.setdefault(repeat if all_alike else Repeat(repeat.seed), []).append(repeat)
    longest = max(len(row) for row in rows.values())
    whole = [row for row in rows.values() if len(row) == longest]
    if len({tuple(one.runs[repeat].test_part for repeat in row) for row in whole}) > 1:
        return "the test part is another one for each seed"
    first, second = (
        np.stack([np.concatenate([method.runs[repeat].right for repeat in row]) for row in whole])
        for method in (one, other)
    )
    return _CommonAnswers(first, second, sum(map(len, whole)))
