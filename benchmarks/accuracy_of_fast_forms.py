"""Test accuracy of a recipe trained by the fast forms and by the plain one, over seeds.

    python benchmarks/accuracy_of_fast_forms.py --recipe shd-2l-1kc --set data.source=FOLDER --seeds 3

The plain form makes kernels whole, convolves with the library's convolution and steps through neurons one by one
(`tests/oracles/plain.py`). Prints every run and the means with their standard errors; with `--set protocol=paper`, or
`protocol=fixed` and `trainer.test_every_epoch=true`, three of them: see `delays_on_digits.ACCURACIES`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delays_on_digits import ACCURACIES

from delaytool.accuracy_errors import format_seed_mean, over_seeds
from delaytool.models.delay_network import DelayNetwork
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import load_recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from oracles import plain


@contextmanager
def plain_training() -> Iterator[None]:
    """Networks train by the plain form while this is open."""
    fast = DelayNetwork.forward
    DelayNetwork.forward = plain.forward  # type: ignore[method-assign]
    try:
        yield
    finally:
        DelayNetwork.forward = fast  # type: ignore[method-assign]


@contextmanager
def fast_training() -> Iterator[None]:
    yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="digits")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    accuracies: dict[str, dict[str, list[float]]] = {"fast": defaultdict(list), "plain": defaultdict(list)}
    for seed in range(options.seeds):
        recipe = load_recipe(options.recipe, [*options.settings, f"seed={seed}"])
        for name, form in (("fast", fast_training), ("plain", plain_training)):
            begin = time.perf_counter()
            with tempfile.TemporaryDirectory() as folder, form():
                summary = train(recipe, Path(folder) / "run")
            taken = time.perf_counter() - begin
            print(f"seed {seed}  {name:<6} {100 * summary['test_accuracy_rounded']:.2f} %  {taken:.0f} s", flush=True)
            for what, key in ACCURACIES.items():
                if key in summary:
                    accuracies[name][what].append(summary[key])
    for name, by_kind in accuracies.items():
        for what, values in by_kind.items():
            print(f"{name:<6} {what:<38} {format_seed_mean(over_seeds(values))}")


if __name__ == "__main__":
    main()
