"""Accuracy of the reference formulation and of delaytool, on the same frames, epochs and parts, over seeds.

    python benchmarks/accuracy.py --data FOLDER -o accuracy --seeds 5
    python benchmarks/accuracy.py --data ten.h5 -o accuracy --set data.ear=true --set data.start=zero --jobs 8

The reference formulation is dcls and spikingjelly, trained as the code of arXiv 2306.17670 trains it
(`speech_study/reference_training.py`); both take the recipe of `speech_study/recipes/paper.toml`, SHD's made small,
and whatever --set changes, augmentations included. The test part is evaluated after every epoch and decides nothing.
Printed are the last epoch's accuracy, the mean of the last 20 epochs (of 5, where there are fewer than 100), and the
best on test, which is what has often been published, and of each the difference between the two over the seeds that
both have, in pairs, with Student's 95 % interval. accuracy.json has every curve. A run that is there already is not
trained again; with --seconds 0 none is, and what is there is printed.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent / "speech_study"))

from jobs import Job, last_epochs
from runner import Runner
from student import student_interval

from delaytool.accuracy_errors import format_seed_mean, over_seeds
from delaytool.datasets.spec import absolute_source
from delaytool.trainer.data import TrainingData, load_data
from delaytool.trainer.recipe import Recipe

ENTRANTS = {"ours": False, "reference": True}


class SourceData:
    """Frames of what `delaytool train --data` reads, the test part also as validation; each made once."""

    def __init__(self) -> None:
        self._frames: dict[str, TrainingData] = {}

    def training_data(self, recipe: Recipe, name: str, fold: int | None = None) -> TrainingData:
        """Of the source `name`; there are no folds here."""
        data = recipe.data.model_copy(update={"source": name})
        key = data.model_dump_json()
        if key not in self._frames:
            made = load_data(recipe.model_copy(update={"data": data, "protocol": "paper"}))
            self._frames[key] = replace(made, spec=None)  # for a recipe of protocol 'fixed', too
        return self._frames[key]

    def prepare(self, wanted: Iterable[tuple[Recipe, str, int | None]]) -> None:
        for recipe, name, _ in wanted:
            self.training_data(recipe, name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", required=True, help="as for `delaytool train --data`")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of accuracy.json")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--hidden", type=int, nargs="+", default=[128, 128], help="neurons of each hidden layer")
    parser.add_argument("--entrants", nargs="+", choices=list(ENTRANTS), default=list(ENTRANTS))
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="for both")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="after which no run goes on")
    options = parser.parse_args()
    settings = (f"trainer.epochs={options.epochs}", f"model.hidden={options.hidden}", *options.settings)
    jobs = [
        Job("accuracy", entrant, absolute_source(source), seed, "paper", settings, reference=ENTRANTS[entrant])
        for seed in range(options.seeds)
        for source in options.data
        for entrant in options.entrants
    ]
    with tempfile.TemporaryDirectory() as working:
        runner = Runner(
            SourceData(), options.output, Path(working), options.device, options.jobs,
            time.monotonic() + options.seconds,
        )  # fmt: skip
        runner.run(jobs)
    names = {job.name for job in jobs}
    lines = [line for line in runner.lines if line["name"] in names and "error" not in line]
    (options.output / "accuracy.json").write_text(json.dumps(lines, indent=1))
    print_table(lines, options.epochs)
    if len(lines) < len(jobs):
        sys.exit(f"{len(jobs) - len(lines)} of {len(jobs)} runs are missing")


FIGURES = ("last", "mean_of_last", "best_on_test")


def print_table(lines: list[dict[str, Any]], epochs: int) -> None:
    """In Markdown: every seed, the means with their standard errors over seeds, and the differences in pairs."""
    count = last_epochs(epochs)
    print(f"\n| data | method | seed | last epoch | mean of the last {count} | best on test (chosen there) |")
    print("|---|---|---|---|---|---|")
    for source in dict.fromkeys(line["data"] for line in lines):
        by_seed = {}
        for entrant in ENTRANTS:
            own = [line for line in lines if (line["data"], line["row"]) == (source, entrant)]
            by_seed[entrant] = {line["seed"]: line for line in own}
            head = f"| {Path(source).name} | {entrant} |"
            for line in own:
                print(f"{head} {line['seed']} | {' | '.join(f'{100 * line[key]:.2f} %' for key in FIGURES)} |")
            if own:
                means = " | ".join(format_seed_mean(over_seeds(line[key] for line in own)) for key in FIGURES)
                print(f"{head} mean of {len(own)} | {means} |")
        pairs = [(line, by_seed["reference"].get(seed)) for seed, line in by_seed["ours"].items()]
        both = [(ours, other) for ours, other in pairs if other is not None]
        if both:
            cells = (format_difference([100 * (ours[key] - other[key]) for ours, other in both]) for key in FIGURES)
            count_of_pairs = f"{len(both)} pair{'s' * (len(both) > 1)}"
            print(f"| {Path(source).name} | ours - reference, points | {count_of_pairs} | {' | '.join(cells)} |")


def format_difference(points: list[float]) -> str:
    """Mean of the pairs' differences and its 95 % interval: `+0.72 (-1.61 to +3.05)`; of one pair, no interval."""
    if len(points) == 1:
        return _signed(points[0])
    mean, low, high = map(_signed, student_interval(points))
    return f"{mean} ({low} to {high})"


def _signed(points: float) -> str:
    return f"{round(points, 2) + 0.0:+.2f}"  # + 0.0: never -0.00


if __name__ == "__main__":
    main()
