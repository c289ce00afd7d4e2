"""What delays are worth on the embedded digits: learned, fixed and none, over seeds.

    python benchmarks/delays_on_digits.py --seeds 3 -o ablation
    python benchmarks/delays_on_digits.py --protocol fixed -o ablation-fixed

With the protocols 'paper' and 'fixed' three test accuracies stand side by side: the protocol's, the mean of the last 20
epochs, and the best on test, which is chosen on the test set.

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

# What a protocol needs besides its name, for the three accuracies.
PROTOCOLS = {
    "honest": [],
    "paper": ["protocol=paper"],
    "fixed": ["protocol=fixed", "trainer.test_every_epoch=true"],
}
# The first two are known with every protocol.
ACCURACIES = {
    "test accuracy": "test_accuracy_rounded",
    "as trained, before rounding": "test_accuracy_as_trained",
    "mean of the last 20 epochs": "test_accuracy_last_epochs",
    "best on test: chosen on the test set": "test_accuracy_best_on_test",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--protocol", choices=PROTOCOLS, default="honest")
    parser.add_argument("--only", choices=list(VARIANTS), help="train one variant; the table shows what is complete")
    parser.add_argument("-o", "--output", type=Path, default=Path("ablation"))
    arguments = parser.parse_args()
    for name, overrides in VARIANTS.items():
        if arguments.only in (None, name):
            for seed in range(arguments.seeds):
                folder = folder_of(arguments.output, name, seed)
                if not RunFolder(folder).read_summary():
                    shutil.rmtree(folder, ignore_errors=True)
                    keys = [*overrides, *PROTOCOLS[arguments.protocol], f"seed={seed}"]
                    summary = train(load_recipe("digits", keys), folder)
                    print(f"{name}, seed {seed}: {100 * summary['test_accuracy_rounded']:.2f} %", flush=True)
    columns = ACCURACIES if arguments.protocol != "honest" else dict(list(ACCURACIES.items())[:2])
    print(f"\n| network | parameters | {' | '.join(columns)} | runs |\n|---|---{'|---' * len(columns)}|---|")
    for name in VARIANTS:
        folders = [folder_of(arguments.output, name, seed) for seed in range(arguments.seeds)]
        complete = [summary for folder in folders if (summary := RunFolder(folder).read_summary())]
        if complete:
            cells = [mean_and_error([summary[key] for summary in complete]) for key in columns.values()]
            print(f"| {name} | {complete[0]['parameters']:,} | {' | '.join(cells)} | {len(complete)} |")


def mean_and_error(accuracies: list[float]) -> str:
    """Mean and standard error over seeds, in percent."""
    values = 100 * np.array(accuracies)
    error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else float("nan")
    return f"{values.mean():.2f} ± {error:.2f} %"


def folder_of(output: Path, name: str, seed: int) -> Path:
    return output / name.replace(",", "").replace(" ", "-") / str(seed)


if __name__ == "__main__":
    main()
