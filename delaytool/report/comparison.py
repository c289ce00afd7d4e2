"""Methods side by side, gathered from the folder of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from delaytool.accuracy_errors import SeedMean, binomial_standard_error, exact_mean, over_seeds
from delaytool.experiments.measure_run import Measured
from delaytool.experiments.pairs import MethodAnswers, PairTests, Repeat, RunAnswers, compare_pairs
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.journal import unusable
from delaytool.experiments.sweep.results import REPEATS, RunResult, SettingResult, gather
from delaytool.experiments.sweep.setting import format_value
from delaytool.experiments.sweep.tested_samples import mean_on_test, sizes_of_test_parts, tested_speaker
from delaytool.trainer.recipe import all_values
from delaytool.trainer.run_folder import RunFolder

METHOD = "method"


@dataclass(frozen=True)
class Accuracy:
    """Test accuracy, 0..1: mean over runs, and the binomial standard error that the number of samples causes."""

    over_runs: SeedMean
    binomial: float


@dataclass(frozen=True)
class Method:
    """One recipe over its seeds and speakers. None: not available. Means are over the runs that have a figure.

    curves   metrics by epoch of each finished run
    """

    name: str
    result: SettingResult
    measured: tuple[Measured, ...]
    curves: tuple[list[dict[str, Any]], ...] = ()

    @property
    def finished(self) -> list[RunResult]:
        return self.result.finished

    @property
    def validation(self) -> SeedMean | None:
        """Accuracy, 0..1, of the chosen epochs; with speakers left out in turn, on speakers not seen in training."""
        return self.result.validation

    @property
    def validated(self) -> dict[Repeat, tuple[float, int]]:
        """Accuracy on validation, and its samples, of each finished run that has one."""
        return {
            Repeat.of(run.setting.recipe): (run.summary["validation_accuracy"], run.summary["validation_samples"])
            for run in self.finished
            if run.summary["validation_accuracy"] is not None
        }

    def exact_validation(self, repeats: Collection[Repeat]) -> Fraction:
        """The mean of these runs without rounding, so that equals are equal."""
        known = [one for repeat, one in self.validated.items() if repeat in repeats]
        return exact_mean([accuracy for accuracy, _ in known], [samples for _, samples in known])

    @property
    def chose_on_test(self) -> bool:
        """Whether the test part served as validation."""
        return self.result.chose_on_test

    @property
    def as_trained(self) -> Accuracy | None:
        return self._accuracy([run.summary.get("test_accuracy_as_trained") for run in self.finished])

    @property
    def rounded(self) -> Accuracy | None:
        return self._accuracy([run.summary.get("test_accuracy_rounded") for run in self.finished])

    @property
    def integer(self) -> Accuracy | None:
        return self._accuracy([one.accuracy for one in self.measured])

    @property
    def answers(self) -> MethodAnswers:
        """Which test samples the integers of each run get right, as far as that was recorded."""
        runs = {}
        for run, one in zip(self.finished, self.measured, strict=True):
            if one.is_right is not None:
                recipe = run.setting.recipe
                # Two speakers' samples may have the same classes in the same order.
                part = f"{one.test_labels} of speaker {tested_speaker(recipe)}"
                runs[Repeat.of(recipe)] = RunAnswers(one.is_right, part)
        return MethodAnswers(self.name, runs)

    @property
    def integers_for(self) -> str:
        """What the integers were made for: the chip, or 'ideal' where it cannot hold them; '' without integers."""
        return ", ".join(dict.fromkeys(one.integers_for for one in self.measured if one.integers_for))

    @property
    def drop(self) -> SeedMean | None:
        """Points."""
        return mean_on_test([run.tested for run in self.finished], [one.drop for one in self.measured])

    @property
    def test_parts(self) -> int:
        """How many test parts the runs have: one, or one for each speaker who is held out for it."""
        return len(sizes_of_test_parts([run.tested for run in self.finished]))

    @property
    def parameters(self) -> int | None:
        return self.finished[0].summary["parameters"] if self.finished else None

    @property
    def spikes(self) -> SeedMean | None:
        """Per sample, over all layers: of the integers, else of the float network with rounded delays."""
        integer = self.mean(lambda one: one.spikes)
        if integer is not None or not self.finished:
            return integer
        return over_seeds([sum(run.summary["spikes"].values()) for run in self.finished])

    @property
    def differing(self) -> int | None:
        """Over all runs."""
        values = [one.differing for one in self.measured if one.differing is not None]
        return sum(values) if values else None

    @property
    def compared(self) -> int:
        return sum(one.compared or 0 for one in self.measured)

    @property
    def fitting(self) -> int:
        """Runs that the chip can hold."""
        return sum(not one.why_not for one in self.measured)

    @property
    def reasons(self) -> list[str]:
        """Why the chip cannot hold it, why there are no integers, why runs failed: the first run's reason for each."""
        reasons: dict[str, list[str]] = {}
        for one in self.measured:
            reasons.setdefault(f"does not fit {one.target}", []).append(one.why_not)
            reasons.setdefault("has no integers", []).append(one.no_integers if one.accuracy is None else "")
        for run in self.result.runs:
            reasons.setdefault("failed", []).append(run.error)
        return [
            f"{what} ({len(whys) - whys.count('')} of {len(whys)} runs): {next(why for why in whys if why)}"
            for what, whys in reasons.items()
            if any(whys)
        ]

    def mean(self, figure: Callable[[Measured], float | None]) -> SeedMean | None:
        values = [value for one in self.measured if (value := figure(one)) is not None]
        return over_seeds(values) if values else None

    def _accuracy(self, values: Sequence[float | None]) -> Accuracy | None:
        """One value per finished run."""
        runs = [run.tested for run in self.finished]
        mean = mean_on_test(runs, values)
        if mean is None:
            return None
        known = [run for run, value in zip(runs, values, strict=True) if value is not None]
        samples = sum(sizes_of_test_parts(known).values())
        return Accuracy(mean, binomial_standard_error(mean.mean, samples or 1))


@dataclass(frozen=True)
class MethodComparison:
    """differences: (key, value of each method), of the recipes' keys that are not the same in all.

    pairs   whether methods differ by more than chance, by the answers of their integers
    """

    target: str
    methods: tuple[Method, ...]
    differences: list[tuple[str, list[str]]]
    pairs: PairTests = field(default_factory=PairTests)

    @property
    def best(self) -> str | None:
        """The method with the highest mean validation accuracy over the runs that all have, the first of equals.

        None where a method has none, or has it on the test part: test results must not choose.
        """
        finished = [method for method in self.methods if method.finished]
        common = self.common_repeats
        if not common or any(method.validation is None or method.chose_on_test for method in finished):
            return None
        return max(finished, key=lambda method: method.exact_validation(common)).name

    @property
    def common_repeats(self) -> frozenset[Repeat]:
        """Seeds (and held-out speakers) that every method which has finished runs has validated: others' samples or
        beginnings may be easier.
        """
        validated = [frozenset(method.validated) for method in self.methods if method.finished]
        return frozenset.intersection(*validated) if validated else frozenset()

    @property
    def compares_all_runs(self) -> bool:
        """Whether no method has validated a run that another has not."""
        return all(len(method.validated) == len(self.common_repeats) for method in self.methods if method.finished)

    @property
    def highest_on_test(self) -> str | None:
        """Where no method is the best: the one whose integers have the highest test accuracy, which is no choice."""
        tested = [(method.integer.over_runs.mean, method.name) for method in self.methods if method.integer]
        return None if self.best is not None or not tested else max(tested, key=lambda one: one[0])[1]

    @property
    def runs(self) -> list[RunResult]:
        return [run for method in self.methods for run in method.result.runs]

    @property
    def protocols(self) -> list[str]:
        """How epochs were chosen and data split, each once."""
        summaries = [run.summary for run in self.runs if run.summary]
        return list(dict.fromkeys(f"{one['protocol']}; {one['split']}" for one in summaries))


def comparison_of(folder: SweepFolder, target: str) -> MethodComparison:
    """What is finished so far, methods in the order in which they were first asked for."""
    methods = []
    for result in gather(folder).settings:
        if METHOD not in result.values:
            raise unusable(folder.journal.path, f"run {result.runs[0].setting.name} names no method")
        done = [folder.run(run.setting) for run in result.finished]
        measured = tuple(map(Measured.read, done))
        curves = tuple(RunFolder(run).read_metrics() for run in done)
        methods.append(Method(str(result.values[METHOD]), result, measured, curves))
    pairs = compare_pairs([method.answers for method in methods])
    return MethodComparison(target, tuple(methods), _differences(methods), pairs)


def _differences(methods: list[Method]) -> list[tuple[str, list[str]]]:
    recipes: list[dict[str, Any]] = [all_values(method.result.runs[0].setting.recipe) for method in methods]
    rows = [(key, [format_value(recipe[key]) for recipe in recipes]) for key in (recipes[0] if recipes else ())]
    return [(key, values) for key, values in rows if key not in (*REPEATS, "name") and len(set(values)) > 1]
