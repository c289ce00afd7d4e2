"""What rounding the delays costs, by the schedule of their width and by their interpolation, on the embedded digits.

    python benchmarks/sigma_schedules.py --seeds 2 --epochs 12 -o sigma-schedules

Trains a small 'digits' (one layer of 64 neurons) for each schedule with the gauss, and for each other interpolation
with the exponential schedule, narrowing over half of the epochs, and evaluates the last epoch's network on the test
part twice: as trained, every tap spread over the last width, and with rounded delays and single taps, which is what is
exported. Every run is a run folder below the output; a complete one is not trained again and an interrupted one goes
on. Prints a table over seeds, in Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from delays_on_digits import mean_and_error

from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import load_data
from delaytool.trainer.evaluation import evaluate_both
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import Recipe, load_recipe
from delaytool.trainer.run_folder import RunFolder

VARIANTS = [
    ("gauss", "exponential"), ("gauss", "linear"), ("gauss", "cosine"), ("gauss", "plateau"), ("gauss", "constant"),
    ("gauss", "single-tap"), ("laplace", "exponential"), ("max", "exponential"), ("triangle", "exponential"),
]  # fmt: skip
SHORT = ["model.hidden=[64]", "trainer.batch_size=128", "trainer.lr=1e-2", "trainer.sigma_epochs=0.5"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("-o", "--output", type=Path, default=Path("sigma-schedules"))
    arguments = parser.parse_args()
    rows = []
    for interpolation, schedule in VARIANTS:
        runs = []
        for seed in range(arguments.seeds):
            folder = arguments.output / f"{interpolation}-{schedule}-{arguments.epochs}" / str(seed)
            runs.append(rounding_of(folder, recipe_of(interpolation, schedule, arguments.epochs, seed)))
            sigma, trained, rounded, changed = runs[-1]
            print(
                f"{interpolation}, {schedule}, seed {seed}: as trained {100 * trained:.2f} %, "
                f"rounded {100 * rounded:.2f} %, {100 * changed:.2f} % of the predictions changed",
                flush=True,
            )
        rows.append((interpolation, schedule, runs))
    print("\n| interpolation | schedule | last width | as trained | rounded | drop, points | predictions changed |")
    print("|---|---|---|---|---|---|---|")
    for interpolation, schedule, runs in rows:
        sigma = runs[0][0]
        trained, rounded, changed = ([run[column] for run in runs] for column in (1, 2, 3))
        drops = [before - after for before, after in zip(trained, rounded, strict=True)]
        width = "single taps" if sigma is None else f"{sigma:.2f}"
        print(
            f"| {interpolation} | {schedule} | {width} | {mean_and_error(trained)} | {mean_and_error(rounded)} "
            f"| {mean_and_error(drops).removesuffix(' %')} | {100 * np.mean(changed):.2f} % |"
        )


def recipe_of(interpolation: str, schedule: str, epochs: int, seed: int) -> Recipe:
    """The preset, but for what is compared; only 'single-tap' ends on single taps."""
    overrides = [
        f"model.interpolation={interpolation}", f"trainer.sigma_schedule={schedule}", f"trainer.epochs={epochs}",
        "trainer.single_tap_epochs=0", f"seed={seed}", *SHORT,
    ]  # fmt: skip
    return load_recipe("digits", overrides)


def rounding_of(folder: Path, recipe: Recipe) -> tuple[float | None, float, float, float]:
    """Train where needed: (last sigma, test accuracy as trained, rounded, share of answers that rounding changed)."""
    run = RunFolder(folder)
    if not run.read_summary():
        if run.recipe.exists():
            train(None, folder, resume=True)
        else:
            train(recipe, folder)
    last = Checkpoint.load(run.last)
    test = load_data(last.recipe, last.encoding).test
    batch = last.recipe.trainer.batch_size
    trained, rounded = evaluate_both(last.network(), test.frames, test.labels, batch, last.sigma)
    changed = float(np.mean(trained.predictions != rounded.predictions))
    return last.sigma, trained.accuracy, rounded.accuracy, changed


if __name__ == "__main__":
    main()
