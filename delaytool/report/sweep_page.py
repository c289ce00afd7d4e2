"""Composes a sweep's page: one HTML file that needs no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from delaytool.accuracy_errors import SeedMean, format_percent, format_seed_mean
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.results import Results, RunResult, SettingResult
from delaytool.experiments.sweep.same_data import changed_data
from delaytool.experiments.sweep.setting import format_value, short_names
from delaytool.files import write_text_atomically
from delaytool.report import rows
from delaytool.report.inline_svg import inline_svg
from delaytool.report.learning_curves import draw_learning_curves
from delaytool.report.recipe_changes import changes_from_preset
from delaytool.report.render import render
from delaytool.report.sentences import Figure
from delaytool.report.sweep_figure import draw
from delaytool.trainer.run_folder import RunFolder

SECTIONS = {
    "results": "Results",
    "figure": "Test accuracy",
    "curves": "Learning curves",
    "unfinished": "What failed, and what is not finished",
    "runs": "All runs",
    "recipe": "Recipe",
}
# More curves than this cannot be distinguished: the best settings on validation are shown, or the first ones.
MOST_CURVES = 6


def write_page(results: Results, folder: SweepFolder, output: Path) -> None:
    """Compose the page and write it, whole or not at all."""
    write_text_atomically(output, compose(results, folder))


def compose(results: Results, folder: SweepFolder) -> str:
    """The page as text."""
    figure = draw(results)
    best = _by_validation(results)
    trained = best or [setting for setting in results.settings if setting.count("finished")]
    shown = trained[:MOST_CURVES]
    on_test = [_name(setting) for setting in shown if setting.chose_on_test]
    curves = {_name(setting): [_metrics(folder, run) for run in setting.finished] for setting in shown}
    sections = {**SECTIONS, "figure": _drawn(results)}
    absent = {"figure": figure is None, "curves": not curves}
    return render(
        "sweep.html.j2",
        {id: heading for id, heading in sections.items() if not absent.get(id)},
        title=f"Sweep of {results.runs[0].setting.recipe.name}" if results.runs else "Sweep",
        subtitle=_subtitle(results),
        protocols=results.protocols,
        key_figures=_key_figures(results, best),
        headings=rows.sweep_headings(results),
        rows=rows.sweep_rows(results),
        chose_on_test=results.chose_on_test,
        note=rows.sweep_note(results),
        figure=None if figure is None else inline_svg(figure, f"{_drawn(results)} over the values that are swept"),
        curves=draw_learning_curves(curves, on_test) if curves else [],
        curves_of="the best settings on validation" if best else "the first settings",
        left_out=len(trained) - len(shown),
        failed=[(run.setting.name, run.error) for run in results.runs if run.state == "failed"],
        changed=changed_data(results.runs),
        waiting=[run.setting.name for run in results.runs if run.state in ("running", "waiting")],
        run_headings=("run", "state", "best epoch", "validation", "test, rounded"),
        run_rows=[_run_row(run) for run in results.runs],
        changes=changes_from_preset(results.runs[0].setting.recipe) if results.runs else None,
        keys=[*results.keys, "seed"],
        recipe=results.runs[0].setting.recipe.to_toml() if results.runs else "",
    )  # fmt: skip


def _subtitle(results: Results) -> str:
    finished = results.count("finished")
    over = " over " + ", ".join(short_names(list(results.keys)).values()) if results.keys else ""
    return f"{finished} of {len(results.runs)} runs finished: {len(results.settings)} settings{over}"


def _key_figures(results: Results, best: list[SettingResult]) -> list[Figure]:
    """The setting that is best on validation, and its test accuracy: the best of many test accuracies is optimistic."""
    figures = []
    if best:
        first = best[0]
        figures.append(Figure("best on validation", _name(first), format_seed_mean(first.validation), "name"))
        figures.append(Figure("its test accuracy", _percent(first.test), _of_runs(first.test)))
    failed = results.count("failed")
    figures.append(Figure("runs that failed", str(failed), f"of {len(results.runs)}", "bad" if failed else "good"))
    return figures


def _by_validation(results: Results) -> list[SettingResult]:
    """The settings, best first; none where the test part, which must not choose, served as validation."""
    if results.chose_on_test:
        return []
    known = [(setting.validation.mean, setting) for setting in results.settings if setting.validation is not None]
    return [setting for _, setting in sorted(known, key=lambda pair: -pair[0])]


def _metrics(folder: SweepFolder, run: RunResult) -> list[dict[str, Any]]:
    return RunFolder(folder.run(run.setting)).read_metrics()


def _name(setting: SettingResult) -> str:
    names = short_names(list(setting.values))
    return ", ".join(f"{names[key]}={format_value(value)}" for key, value in setting.values.items()) or "all runs"


def _drawn(results: Results) -> str:
    """What the picture shows of each setting."""
    return "Mean accuracy of the folds" if results.are_cross_validated else "Test accuracy"


def _of_runs(mean: SeedMean | None) -> str:
    if mean is None:
        return "not tested"
    return f"{mean.seeds} run{'s' * (mean.seeds != 1)}, delays rounded"


def _percent(mean: SeedMean | None) -> str:
    return "-" if mean is None else format_percent(mean.mean)


def _run_row(run: RunResult) -> tuple[str, ...]:
    summary = run.summary
    accuracies = (summary.get(key) for key in ("validation_accuracy", "test_accuracy_rounded"))
    return (
        run.setting.name,
        run.state,
        str(summary.get("best_epoch", "-")),
        *("-" if value is None else format_percent(value) for value in accuracies),
    )
