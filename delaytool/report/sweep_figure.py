"""A sweep as one picture: test accuracy over the key with the most values, a line for each setting of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from delaytool.accuracy_errors import SeedMean
from delaytool.experiments.sweep.results import Results, SettingResult, is_number
from delaytool.experiments.sweep.setting import format_value
from delaytool.figure_style import MUTED, SERIES, new_figure, save_png, styled, unclutter
from delaytool.files import atomic_path

# More lines than this cannot be distinguished; the others are in the table, and the title states how many.
MOST_LINES = 8
MARKERS = "os^Dv<>P"
# A key whose values span more than this is drawn on a logarithmic axis: learning rates are.
LOGARITHMIC_FROM = 30


@styled
def draw(results: Results) -> Figure | None:
    """Means with their standard errors; None where no run has finished."""
    part = "validation" if results.are_cross_validated else "test"
    done = [setting for setting in results.settings if getattr(setting, part) is not None]
    if not done:
        return None
    figure = new_figure(8.2, 3.8)
    axes = figure.subplots()
    over = _horizontal(results, done)
    values: list[Any] = []
    if over is not None:
        values = list({repr(setting.values[over]): setting.values[over] for setting in done}.values())
    numeric = over is not None and all(is_number(value) for value in values)
    lines = _lines(done, over)
    for index, (name, settings) in enumerate(list(lines.items())[:MOST_LINES]):
        given = [None if over is None else setting.values[over] for setting in settings]
        places = given if numeric else [values.index(value) if values else 0 for value in given]
        _line(axes, places, [getattr(setting, part) for setting in settings], name, index, joined=numeric)
    _axes(axes, over, values, numeric)
    for accuracy in _repeats_alone(results, over):
        axes.plot([0], [100 * accuracy], "_", color=MUTED, markersize=18)
    if len(lines) > 1:
        axes.legend(title=", ".join(key for key in results.keys if key != over), loc="best", title_fontsize=7.5)
    most = max(setting.count("finished") for setting in done)
    error = f"mean and standard error of up to {most} runs" if most > 1 else "one run each"
    left_out = f"; {len(lines) - MOST_LINES} more lines are in the table" if len(lines) > MOST_LINES else ""
    if results.are_cross_validated:
        axes.set_title(f"Mean accuracy of the folds, with rounded delays{left_out}")
        axes.set_ylabel("validation accuracy (%)")
    else:
        axes.set_title(f"Test accuracy with rounded delays: {error}{left_out}")
        axes.set_ylabel("test accuracy (%)")
    return figure


def write_figure(results: Results, path: Path) -> bool:
    """The picture as PNG; False, and no file, where nothing is to be drawn."""
    figure = draw(results)
    if figure is None:
        return False
    with atomic_path(path) as temporary:
        save_png(figure, temporary)
    return True


def _horizontal(results: Results, done: list[SettingResult]) -> str | None:
    """Of the keys that hold numbers the one with most values, else of all; None where runs are only repeated."""

    def spread(key: str) -> tuple[bool, int]:
        values = [setting.values[key] for setting in done]
        return all(is_number(value) for value in values), len({repr(value) for value in values})

    return max(results.keys, key=spread, default=None)


def _lines(done: list[SettingResult], over: str | None) -> dict[str, list[SettingResult]]:
    lines: dict[str, list[SettingResult]] = {}
    for setting in done:
        name = ", ".join(format_value(value) for key, value in setting.values.items() if key != over)
        lines.setdefault(name, []).append(setting)
    return lines


def _line(axes: Axes, places: list[Any], seeds: list[SeedMean], name: str, index: int, joined: bool) -> None:
    means = [100 * one.mean for one in seeds]
    errors = [100 * (one.standard_error or 0) for one in seeds]
    axes.errorbar(
        places, means, yerr=errors if any(errors) else None, label=name, color=SERIES[index % len(SERIES)],
        marker=MARKERS[index % len(MARKERS)], markersize=5, capsize=2.5, linestyle="-" if joined else "none",
        elinewidth=1.0,
    )  # fmt: skip


def _axes(axes: Axes, over: str | None, values: list[Any], numeric: bool) -> None:
    if over is None:
        axes.set_xlim(-1, 1)
        axes.set_xticks([0], ["all runs"])
    elif numeric:
        if min(values) > 0 and max(values) / min(values) >= LOGARITHMIC_FROM:
            axes.set_xscale("log")
        if len(values) <= 12:
            axes.set_xticks(values, [format_value(value) for value in values])
            axes.minorticks_off()
    else:
        axes.set_xticks(range(len(values)), [format_value(value) for value in values])
        axes.set_xlim(-0.6, len(values) - 0.4)
    axes.set_xlabel(over or "")
    unclutter(axes)


def _repeats_alone(results: Results, over: str | None) -> list[float]:
    """Every run's accuracy, where nothing but seeds and speakers is swept."""
    if over is not None:
        return []
    key = "validation_accuracy" if results.are_cross_validated else "test_accuracy_rounded"
    return [run.summary[key] for run in results.runs if run.summary]
