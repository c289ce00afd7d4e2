"""What delays are worth on the embedded digits: learned, fixed and none, over seeds.

    python benchmarks/delays_on_digits.py --seeds 3 -o ablation

Every run is a run folder below the output and is not trained again where it is complete, so that an interrupted
measurement goes on. Prints a table of means and standard errors over seeds, in Markdown.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np

from delaytool.trainer.loop import train
from delaytool.trainer.recipe import load_recipe
from delaytool.trainer.run_folder import RunFolder

VARIANTS = {
    "learned delays": [],
    "learned delays, never single taps in training": ["trainer.single_tap_epochs=0"],
    "fixed random delays": ["model.delays=fixed"],
    "no delays, same neurons": ["model.max_delay=0", "model.tail_steps=4"],
    "no delays, same parameters": ["model.max_delay=0", "model.tail_steps=4", "model.hidden=[193,193]"],
    "no delays, same parameters, tau 8": [
        "model.max_delay=0", "model.tail_steps=4", "model.hidden=[193,193]", "model.tau=8",
    ],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=list(VARIANTS), help="train one variant; the table shows what is complete")
    parser.add_argument("-o", "--output", type=Path, default=Path("ablation"))
    arguments = parser.parse_args()
    for name, overrides in VARIANTS.items():
        if arguments.only in (None, name):
            for seed in range(arguments.seeds):
                folder = folder_of(arguments.output, name, seed)
                if not RunFolder(folder).read_summary():
                    shutil.rmtree(folder, ignore_errors=True)
                    summary = train(load_recipe("digits", [*overrides, f"seed={seed}"]), folder)
                    print(f"{name}, seed {seed}: {100 * summary['test_accuracy_rounded']:.2f} %", flush=True)
    print("\n| network | parameters | test accuracy | as trained, before rounding | runs |\n|---|---|---|---|---|")
    for name in VARIANTS:
        folders = [folder_of(arguments.output, name, seed) for seed in range(arguments.seeds)]
        complete = [summary for folder in folders if (summary := RunFolder(folder).read_summary())]
        if complete:
            rounded, trained = (
                mean_and_error([summary[f"test_accuracy_{which}"] for summary in complete])
                for which in ("rounded", "as_trained")
            )
            print(f"| {name} | {complete[0]['parameters']:,} | {rounded} | {trained} | {len(complete)} |")


def mean_and_error(accuracies: list[float]) -> str:
    """Mean and standard error over seeds, in percent."""
    values = 100 * np.array(accuracies)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():.2f} ± {error:.2f} %"


def folder_of(output: Path, name: str, seed: int) -> Path:
    return output / name.replace(",", "").replace(" ", "-") / str(seed)


if __name__ == "__main__":
    main()
