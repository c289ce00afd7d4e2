"""What came out of a sweep: one row per run, and one row per setting with its repeats averaged."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from delaytool.accuracy_errors import SeedMean, binomial_standard_error, exact_mean, over_seeds
from delaytool.experiments.cross_validation.hyperparameters import FoldedSetting, final_summary, folded_setting
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.journal import unusable
from delaytool.experiments.sweep.setting import Setting, format_value
from delaytool.experiments.sweep.tested_samples import Tested, mean_on_test, sizes_of_test_parts
from delaytool.files import write_text_atomically
from delaytool.trainer.protocols import is_chosen_on_test
from delaytool.trainer.run_folder import RunFolder

SEED = "seed"
SPEAKER = "data.held_out_speaker"
# Runs that differ in these alone repeat one setting.
FOLD = "data.fold"
REPEATS = (SEED, SPEAKER, FOLD)
State = Literal["finished", "failed", "running", "waiting"]


@dataclass(frozen=True)
class RunResult:
    """One run. summary: the finished run's summary.json, else empty; error: why it failed, else ''."""

    setting: Setting
    state: State
    summary: dict[str, Any]
    error: str

    @property
    def tested(self) -> Tested:
        return self.setting.recipe, self.summary


@dataclass(frozen=True)
class SettingResult:
    """One setting without its seed and held-out speaker; means over finished runs (0..1), None where none is.

    validation of a cross-validated setting is over its seeds whose folds have all finished: the folds' mean in the
    epoch that it chooses. test is then that of the trainings on all samples, of the chosen setting alone.

    test           over the samples of all test parts where speakers are held out as the test part in turn
    test_samples   of all test parts that are not the same
    folded         of a cross-validated setting, by seed: what the folds choose
    finals         of a cross-validated setting that was chosen: the trainings on all samples that have finished
    binomial       standard error of the test accuracy that the number of samples alone causes
    """

    values: dict[str, Any]
    runs: tuple[RunResult, ...]
    validation: SeedMean | None
    test: SeedMean | None
    test_samples: int | None
    folded: tuple[FoldedSetting, ...] = ()
    finals: tuple[Tested, ...] = ()

    @property
    def finished(self) -> list[RunResult]:
        return _finished(self.runs)

    @property
    def runs_finished(self) -> str:
        """'3', or '2 of 3'."""
        done, of = len(self.finished), len(self.runs)
        return str(done) if done == of else f"{done} of {of}"

    @property
    def chose_on_test(self) -> bool:
        """Whether the test part served as validation, so that no accuracy of it can choose a setting."""
        return any(is_chosen_on_test(run.summary["protocol"]) for run in self.finished)

    @property
    def other_test_accuracies(self) -> dict[str, SeedMean | None]:
        """The mean of the last epochs and the best on test, by the summary's keys, where they were recorded."""
        done = [run.tested for run in self.finished]
        keys = ("test_accuracy_last_epochs", "test_accuracy_best_on_test")
        return {key: mean_on_test(done, [summary.get(key) for _, summary in done]) for key in keys}

    @property
    def binomial(self) -> float | None:
        return None if self.test is None else binomial_standard_error(self.test.mean, self.test_samples or 1)

    def count(self, state: State) -> int:
        return sum(run.state == state for run in self.runs)


@dataclass(frozen=True)
class Results:
    """keys: what is swept, repeats left out."""

    keys: tuple[str, ...]
    settings: tuple[SettingResult, ...]

    @property
    def are_cross_validated(self) -> bool:
        """Whether the runs are folds."""
        return any(FOLD in run.setting.values for run in self.runs)

    @property
    def chose_on_test(self) -> bool:
        """Whether a setting has its validation accuracy on the test part."""
        return any(setting.chose_on_test for setting in self.settings)

    @property
    def protocols(self) -> list[str]:
        """How epochs were chosen and data split, each once; of a cross-validated sweep the tested networks' too."""
        summaries = [run.summary for run in self.runs if run.summary]
        summaries += [dict(summary) for setting in self.settings for _, summary in setting.finals]
        return list(dict.fromkeys(f"{one['protocol']}; {one['split']}" for one in summaries))

    @property
    def runs(self) -> list[RunResult]:
        return [run for setting in self.settings for run in setting.runs]

    def count(self, state: State) -> int:
        return sum(setting.count(state) for setting in self.settings)


def run_results(folder: SweepFolder) -> list[RunResult]:
    """Every run that was asked for."""
    errors, at_work = folder.journal.errors(), folder.at_work()
    results = []
    for setting in folder.journal.settings():
        error = ""
        if folder.is_done(setting):
            state: State = "finished"
        elif setting.name in errors:
            state, error = "failed", errors[setting.name]
        else:
            state = "running" if setting.name in at_work else "waiting"
        summary = RunFolder(folder.run(setting)).read_summary() if state == "finished" else {}
        results.append(RunResult(setting, state, summary, error))
    return results


def gather(folder: SweepFolder) -> Results:
    """Runs that differ in seed or held-out speaker alone are one setting. Settings are in the order of their values."""
    groups: dict[str, list[RunResult]] = {}
    for run in run_results(folder):
        groups.setdefault(repr(_setting_alone(run.setting.values)), []).append(run)
    settings = [_averaged(tuple(runs), folder.path) for runs in groups.values()]
    keys = tuple(settings[0].values) if settings else ()
    for setting in settings:
        if tuple(setting.values) != keys:
            name = setting.runs[0].setting.name
            why = f"run {name} has the keys {', '.join(setting.values)}, others {', '.join(keys)}"
            raise unusable(folder.journal.path, why)
    ranks = {key: _ranks([setting.values[key] for setting in settings]) for key in keys}
    settings.sort(key=lambda setting: [ranks[key][repr(setting.values[key])] for key in keys])
    return Results(keys, tuple(settings))


def _ranks(values: Sequence[Any]) -> dict[str, int]:
    """Numbers by size, everything else as it was first named: an extended range is in order again."""
    different = list({repr(value): value for value in values}.values())
    if all(is_number(value) for value in different):
        different.sort()
    return {repr(value): rank for rank, value in enumerate(different)}


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _setting_alone(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in REPEATS}


def _averaged(runs: tuple[RunResult, ...], folder: Path) -> SettingResult:
    if FOLD in runs[0].setting.values:
        return _cross_validated(runs, folder)
    done = [run.tested for run in _finished(runs)]
    return SettingResult(
        values=_setting_alone(runs[0].setting.values),
        runs=runs,
        validation=_mean_of([summary.get("validation_accuracy") for _, summary in done]),
        **_on_test(done),
    )


def _on_test(done: Sequence[Tested]) -> dict[str, Any]:
    return {
        "test": mean_on_test(done, [summary.get("test_accuracy_rounded") for _, summary in done]),
        "test_samples": sum(sizes_of_test_parts(done).values()) or None,
    }


def _cross_validated(runs: tuple[RunResult, ...], folder: Path) -> SettingResult:
    """Of the folds of one setting, with one seed or several."""
    by_seed: dict[str, list[RunResult]] = {}
    for run in runs:
        whole = {key: value for key, value in run.setting.values.items() if key != FOLD}
        by_seed.setdefault(repr(whole), []).append(run)
    folded = tuple(
        folded_setting(folds[0].setting.values, folds[0].setting.recipe, [fold.summary for fold in _in_order(folds)])
        for folds in by_seed.values()
        if [fold.state for fold in folds] == ["finished"] * folds[0].setting.recipe.data.folds
    )
    finals = [(one.final.recipe, summary) for one in folded if (summary := final_summary(folder, one.final))]
    return SettingResult(
        values=_setting_alone(runs[0].setting.values),
        runs=runs,
        validation=_mean_of([one.choice.accuracy for one in folded]),
        folded=folded,
        finals=tuple(finals),
        **_on_test(finals),
    )


def _finished(runs: Sequence[RunResult]) -> list[RunResult]:
    return [run for run in runs if run.state == "finished"]


def _in_order(folds: Sequence[RunResult]) -> list[RunResult]:
    return sorted(folds, key=lambda run: int(run.setting.values[FOLD]))


def chosen_setting(results: Results) -> SettingResult | None:
    """Of a cross-validated sweep the setting with the highest mean of the folds, the first of equals.

    None where a run has not finished: what it would have been is not known.
    """
    if not results.are_cross_validated or any(run.state != "finished" for run in results.runs):
        return None
    return max(results.settings, key=_mean_of_folds)


def _mean_of_folds(setting: SettingResult) -> Fraction:
    """Over all seeds, without rounding, so that equals are equal; below 0 where no folds have finished."""
    folds = [fold for one in setting.folded for fold in one.choice.folds]
    if not folds:
        return Fraction(-1)
    return exact_mean([fold.accuracy_at_chosen for fold in folds], [fold.samples for fold in folds])


def _mean_of(accuracies: Sequence[float | None]) -> SeedMean | None:
    """Over the runs that have one: without a validation part there is no validation accuracy."""
    known = [accuracy for accuracy in accuracies if accuracy is not None]
    return over_seeds(known) if known else None


def write_tables(results: Results, folder: Path) -> list[Path]:
    """results.csv, one row per setting, and runs.csv, one row per run. Accuracies are shares, 0..1."""
    settings, runs = folder / "results.csv", folder / "runs.csv"
    write_csv(settings, _setting_rows(results))
    write_csv(runs, _run_rows(results))
    return [settings, runs]


def _setting_rows(results: Results) -> list[dict[str, Any]]:
    return [
        {
            **{key: format_value(value) for key, value in setting.values.items()},
            "runs": len(setting.runs),
            "finished": setting.count("finished"),
            "failed": setting.count("failed"),
            **_mean_columns("validation_accuracy", setting.validation),
            **_mean_columns("test_accuracy_rounded", setting.test),
            **{key: _number(mean.mean if mean else None) for key, mean in setting.other_test_accuracies.items()},
            "test_binomial_error": _number(setting.binomial),
            "test_samples": _number(setting.test_samples),
        }
        for setting in results.settings
    ]


def _mean_columns(name: str, mean: SeedMean | None) -> dict[str, str]:
    return {
        name: _number(mean.mean if mean else None),
        f"{name}_standard_error": _number(mean.standard_error if mean else None),
    }


def _run_rows(results: Results) -> list[dict[str, Any]]:
    kept = (
        "best_epoch", "validation_accuracy", "test_accuracy_as_trained", "test_accuracy_rounded", "test_samples",
        "test_accuracy_last_epochs", "test_accuracy_best_on_test", "parameters",
    )  # fmt: skip
    return [
        {
            "run": run.setting.name,
            **{key: format_value(value) for key, value in run.setting.values.items()},
            "state": run.state,
            **{key: _number(run.summary.get(key)) for key in kept},
            "error": run.error,
        }
        for run in results.runs
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows of the same columns, whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text_atomically(path, text.getvalue())
