"""The study's tables, in Markdown, and its picture.

    python benchmarks/speech_study/make_tables.py rows/results.jsonl --measured measured/measured.jsonl -o tables.md \\
        --picture delays-on-speech.png

Accuracies are of the last epoch, means over seeds with their standard errors; beside them stand the mean of the last
epochs and the best on test. Integers are those of Loihi 2. A row lacks what was not measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

sys.path.insert(0, str(Path(__file__).parent))

from noisy_recordings import NO_NOISE
from robustness import present_name
from rows import rows as all_rows
from runner import read_lines
from student import student_interval

from delaytool.accuracy_errors import binomial_standard_error, over_seeds
from delaytool.experiments.paired_tests import paired_bootstrap
from delaytool.figure_style import SERIES, save_png, styled

Line = dict[str, Any]
TEST_SETS = {
    "ten": "ten commands, speakers not seen",
    "digits-speaker": "spoken digits, one speaker left out",
    "digits": "spoken digits, speakers of the training part",
}
# By stage, what its rows are compared with: (stage, row, what the table calls it).
BASES = {"structure": ("ablation", "without weight averaging", "all synapses, not averaged either")}
COMPARED = ("own", "augmented", "reference, augmented", "paper", "reference")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--measured", type=Path, nargs="*", default=[])
    parser.add_argument("--noisy", type=Path, help="the file that `noisy_recordings.py evaluate` has written")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    measured = {line["name"]: line for path in options.measured for line in read_lines(path)}
    lines: dict[str, Line] = {}
    for path in options.results:
        for line in read_lines(path):
            if "error" not in line and line.get("fold") is None:
                lines[line["name"]] = {**line, "measured": measured.get(line["name"], {})}
    found = list(lines.values())
    tables = [
        *(compared(found, name) for name in TEST_SETS),
        *(differences(found, name) for name in TEST_SETS),
        plain(found, "ablation", "ten", "Our recipe without each ingredient, ten commands"),
        plain(found, "ablation", "digits-speaker", "Our recipe without each ingredient, spoken digits"),
        plain(found, "delays", "ten", "Delays, ten commands"),
        plain(found, "structure", "ten", "Few synapses, ten commands"),
        damaged(found),
        noisy(read_lines(options.noisy)) if options.noisy else "",
        structure(found),
    ]
    options.output.write_text("\n\n".join(table for table in tables if table) + "\n", encoding="utf-8")
    print(f"{options.output}: {len(found)} runs, {sum(bool(line['measured']) for line in found)} measured as integers")
    if options.picture:
        picture(found, options.picture)


def rows_of(lines: Iterable[Line], stage: str, test_set: str) -> dict[str, list[Line]]:
    """The runs of each row of a table, by seed, in the order in which `rows.py` names the rows."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        data = "digits-speaker" if line["data"].startswith("digits-speaker") else line["data"]
        if line["stage"] == stage and data == test_set:
            found.setdefault(line["row"], []).append(line)
    place = _order(stage)
    ordered = sorted(found, key=lambda row: place.get(row, len(place)))
    return {row: sorted(found[row], key=lambda line: line["seed"]) for row in ordered}


@cache
def _order(stage: str) -> dict[str, int]:
    """The place of each row of a stage's table."""
    names = list(dict.fromkeys(job.row for job in all_rows([stage])))
    if stage == "structure":  # trained with the sparsest before those between
        names.sort(key=lambda row: float(row.split()[0]))
    return {row: index for index, row in enumerate(names)}


def percent(values: Sequence[float]) -> str:
    """Mean and standard error over seeds in percent, without the sign."""
    result = over_seeds(values)
    error = "" if result.standard_error is None else f" ± {100 * result.standard_error:.2f}"
    return f"{100 * result.mean:.2f}{error}"


def mean_of(runs: list[Line], key: str, scale: float = 1.0) -> float | None:
    """Mean of a measured value over the seeds that have it."""
    values = [line["measured"][key] for line in runs if line["measured"].get(key) is not None]
    return scale * float(np.mean(values)) if values else None


def shown(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def markdown(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    body = [f"| {' | '.join(row)} |" for row in rows]
    if not body:
        return ""
    lines = [f"### {title}", "", f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}", *body]
    return "\n".join(lines)


def figures(runs: list[Line]) -> list[str]:
    """Seeds, and the three figures of a row."""
    keys = ("last", "mean_of_last", "best_on_test")
    found = [[line[key] for line in runs if key in line] for key in keys]
    return [str(len(runs)), *(percent(values) if len(values) == len(runs) else "" for values in found)]


def integers(runs: list[Line]) -> list[str]:
    """Integers' accuracy, their cost, values that differ, KiB, events and energy, of the seeds that were measured."""
    accuracies = [line["measured"]["accuracy"] for line in runs if line["measured"].get("accuracy") is not None]
    if not accuracies:
        return [""] * 6
    drops = [line["measured"]["drop"] for line in runs if line["measured"].get("drop") is not None]
    differing = sum(line["measured"]["differing"] for line in runs if line["measured"].get("differing") is not None)
    energy = [line["measured"]["energy_uj"] for line in runs if line["measured"].get("energy_uj")]
    low, high = np.mean(energy, axis=0) if energy else (np.nan, np.nan)
    return [
        percent(accuracies),
        percent([drop / 100 for drop in drops]) if drops else "",
        str(differing),
        shown(mean_of(runs, "synapse_bytes", 1 / 1024), ".1f"),
        shown(mean_of(runs, "synaptic_events"), ",.0f"),
        f"{low:.1f} to {high:.1f}" if energy else "",
    ]


INTEGERS = ("integers", "drop, points", "values that differ", "KiB", "synaptic events", "µJ, estimated")
FIGURES = ("seeds", "last epoch", "mean of the last", "best on test")


def compared(lines: list[Line], test_set: str) -> str:
    found = rows_of(lines, "compare", test_set)
    samples = [line["samples"]["evaluated"] for runs in found.values() for line in runs]
    if not samples:
        return ""
    error = 100 * binomial_standard_error(
        max(0.01, np.mean([line["last"] for line in found[next(iter(found))]])), samples[0]
    )
    title = f"{TEST_SETS[test_set]}: {samples[0]} test samples, binomial standard error about {error:.1f} points"
    rows = [
        [row, f"{found[row][0]['parameters']:,}", *figures(found[row]), *integers(found[row])]
        for row in COMPARED
        if row in found
    ]
    return markdown(title, ("method", "parameters", *FIGURES, *INTEGERS), rows)


def plain(lines: list[Line], stage: str, test_set: str, title: str) -> str:
    found = rows_of(lines, stage, test_set)
    if not found:
        return ""
    base_stage, base_row, name = BASES.get(stage, ("compare", "own", "our recipe"))
    seeds = {line["seed"] for runs in found.values() for line in runs}
    base = [line for line in rows_of(lines, base_stage, test_set).get(base_row, []) if line["seed"] in seeds]
    rows = [[row, *figures(runs), *integers(runs)] for row, runs in (({name: base} if base else {}) | found).items()]
    return markdown(title, ("", *FIGURES, *INTEGERS), rows)


def correct(line: Line) -> np.ndarray:
    """(sample,) bool."""
    pairs = zip(line["predictions"], line["labels"], strict=True)
    return np.array([answer == label for answer, label in pairs])


def differences(lines: list[Line], test_set: str) -> str:
    """Our recipe against each other row: differences of the last epochs with intervals that seeds and samples give."""
    found = rows_of(lines, "compare", test_set)
    own = {line["seed"]: line for line in found.get("own", [])}
    rows = []
    for row in COMPARED[1:]:
        pairs = [(own[line["seed"]], line) for line in found.get(row, []) if line["seed"] in own]
        if len(pairs) > 1 and all("labels" in line for pair in pairs for line in pair):
            right, other = ([correct(pair[side]) for pair in pairs] for side in (0, 1))
            mean, low, high = interval(right, other, same_samples=len({line["data"] for _, line in pairs}) == 1)
            rows.append([row, str(len(pairs)), f"{mean:+.2f}", f"{low:+.2f} to {high:+.2f}"])
    title = f"Our recipe against others, points, {TEST_SETS[test_set]}"
    return markdown(title, ("against", "seeds", "difference", "95 % interval"), rows)


def interval(right: list[np.ndarray], other: list[np.ndarray], same_samples: bool) -> tuple[float, float, float]:
    """(mean, low, high) in points of the difference of two methods' accuracies, with a 95 % interval.

    right, other   by seed, (sample,) bool: the test samples that each network gets right
    same_samples   all seeds were tested on the same ones: then the interval is `paired_bootstrap`'s. Otherwise it is
                   Student's, of the seeds' differences, in which their samples' chance is contained
    """
    if same_samples:
        found = paired_bootstrap(np.stack(right), np.stack(other))
        return 100 * found.difference, 100 * found.interval[0], 100 * found.interval[1]
    return student_interval([100 * (one.mean() - two.mean()) for one, two in zip(right, other, strict=True)])


def damaged(lines: list[Line]) -> str:
    found = rows_of(lines, "compare", "ten")
    methods = [row for row in COMPARED if row in found]
    accuracies = {
        line["name"]: {present_name(name): accuracy for name, accuracy in line.get("damaged", {}).items()}
        for runs in found.values()
        for line in runs
    }
    names = list(dict.fromkeys(name for of_run in accuracies.values() for name in of_run))
    rows = [["as recorded", *(percent([line["last"] for line in found[row]]) for row in methods)]] if names else []
    for name in names:
        rows.append([name, *(percent([accuracies[line["name"]][name] for line in found[row]]) for row in methods)])
    return markdown("Damaged spikes, ten commands", ("test spikes", *methods), rows)


def noisy(lines: list[Line]) -> str:
    """Accuracies on noisy recordings: means over seeds, and what the noise costs each seed's network."""
    found = rows_of(({"stage": "compare", **line} for line in lines), "compare", "ten")
    methods = [row for row in COMPARED if row in found]
    counts = {line["samples"] for line in lines}
    if len(counts) != 1:
        raise SystemExit(f"the networks were evaluated on {sorted(counts)} recordings; evaluate all on the same")
    rows = []
    for name in lines[0]["accuracies"]:
        cells = [percent([line["accuracies"][name] for line in found[row]]) for row in methods]
        lost = [
            percent([line["accuracies"][name] - line["accuracies"][NO_NOISE] for line in found[row]]) for row in methods
        ]
        rows.append([name, *cells, *([""] * len(methods) if name == NO_NOISE else lost)])
    title = f"Noise in the recordings, ten commands, {counts.pop()} test recordings"
    return markdown(title, ("test recordings", *methods, *(f"{row}, change" for row in methods)), rows)


def structure(lines: list[Line]) -> str:
    """Moran's I before and after training, of the rows with learned and with fixed delays."""
    rows = []
    for stage in ("compare", "delays", "structure"):
        for row, runs in rows_of(lines, stage, "ten").items():
            with_i = [line["measured"]["morans_i"] for line in runs if line["measured"].get("morans_i")]
            with_i = [one for one in with_i if all(one[when].get("neurons") for when in ("before", "after"))]
            if not with_i or (stage == "compare" and row != "own"):
                continue
            cells = []
            for when in ("before", "after"):
                means = [one[when]["morans_i_mean"] for one in with_i]
                shares = [one[when]["weights_shuffled"]["share_significant"] for one in with_i]
                cells += [f"{np.mean(means):.4f}", f"{100 * np.mean(shares):.1f} %"]
            rows.append([f"{stage}: {row}", str(len(with_i)), *cells])
    headings = ("", "seeds", "I before", "p ≤ 5 % before", "I after", "p ≤ 5 % after")
    return markdown("Moran's I of the first layer's receptive fields, weights shuffled", headings, rows)


PANELS = (
    ("synaptic events per sample", lambda runs: mean_of(runs, "synaptic_events")),
    ("memory of the synapses, KiB", lambda runs: mean_of(runs, "synapse_bytes", 1 / 1024)),
    ("estimated energy per sample, µJ (Loihi 1 constants)", lambda runs: middle_energy(runs)),
)
# Rows that are named beside their points: on which side, and how far above (in points of a font).
NAMED = {
    ("compare", "own"): ("learned", "left", 0), ("compare", "paper"): ("paper's recipe", "left", 0),
    ("delays", "none"): ("none", "right", 0), ("delays", "fixed-random"): ("fixed random", "right", 2),
    ("delays", "dense"): ("dense", "left", 0), ("delays", "axonal"): ("axonal", "right", -4),
    ("delays", "dendritic"): ("dendritic", "right", 0),
}  # fmt: skip
SPARSE = {
    "learned": "a tenth to a hundredth of the synapses, learned",
    "fixed-random": "the same, fixed random",
    "chosen": "the same, chosen",
}


@styled
def picture(lines: list[Line], path: Path) -> None:
    """Accuracy of the integers against synaptic events, memory and estimated energy, a point per row."""
    rows = {
        (stage, row): runs
        for stage in ("compare", "delays", "structure")
        for row, runs in rows_of(lines, stage, "ten").items()
    }
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    for axes, (label, value) in zip(figure.subplots(1, len(PANELS), sharey=True), PANELS, strict=True):
        points = {
            key: (value(runs), mean_of(runs, "accuracy", 100)) for key, runs in rows.items() if value(runs) is not None
        }
        lengths = sorted((int(row[3:]), point) for (_, row), point in points.items() if row.startswith("to "))
        axes.plot(*zip(*(point for _, point in lengths), strict=True), "o-", color=SERIES[0], markersize=4, linewidth=1,
                  label="learned, longest delay " + ", ".join(str(steps) for steps, _ in lengths))  # fmt: skip
        for key, (name, side, above) in NAMED.items():
            if key in points:
                axes.plot(*points[key], "s", color=SERIES[1], markersize=5)
                axes.annotate(name, points[key], fontsize=7, xytext=(6 if side == "right" else -6, above - 2.5),
                              textcoords="offset points", ha="left" if side == "right" else "right")  # fmt: skip
        for color, (kind, name) in zip(SERIES[2:], SPARSE.items(), strict=False):
            some = [point for (stage, row), point in points.items() if stage == "structure" and row.split()[1] == kind]
            if some:
                axes.plot(*zip(*some, strict=True), "^", color=color, markersize=5, label=name)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel(label)
    figure.axes[0].set_ylabel("accuracy of the integers, ten commands, %")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8)
    save_png(figure, path)


def middle_energy(runs: list[Line]) -> float | None:
    """The middle of the estimated range, in µJ."""
    energy = [line["measured"]["energy_uj"] for line in runs if line["measured"].get("energy_uj")]
    return float(np.mean(energy)) if energy else None


if __name__ == "__main__":
    main()
