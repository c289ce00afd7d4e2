"""Whole epochs as `delaytool train` runs them, on synthetic spikes in SHD's and SSC's sizes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from gpu_run import Context, Row
from train_epoch import SIZES, run_epochs, write_data

from delaytool.trainer.recipe import load_recipe

# name: (training samples, epochs, seconds that writing and one run take about)
RUNS = {"SHD": (8156, 8, 20.0), "SSC": (8192, 4, 25.0)}
TINY = {"SHD": (40, 2, 0.0)}
TINY_SETTINGS = ["model.hidden=[8,8]", "trainer.batch_size=16", "trainer.threads=1"]


def epochs(context: Context) -> Iterator[Row]:
    """Rows of (size, precision): what one epoch took, and all of the preset's over all samples at that rate.

    SHD is run with as many training samples as it has, so that only the number of epochs is extrapolated; SSC's samples
    are extrapolated too.
    """
    for size, (samples, count, needed) in (TINY if context.tiny else RUNS).items():
        with tempfile.TemporaryDirectory() as data:
            for precision in ("float32", "tf32"):
                if not context.allows(f"epochs of {size} in {precision}", needed):
                    continue
                if not any(Path(data).iterdir()):
                    write_data(Path(data), size, samples)
                yield _measured(size, samples, count, precision, data, context)


def _measured(size: str, samples: int, count: int, precision: str, data: str, context: Context) -> Row:
    settings = [f"trainer.device={context.device}", f"trainer.precision={precision}"]
    measured = run_epochs(size, samples, count, settings + (TINY_SETTINGS if context.tiny else []), data)
    preset, _, all_samples = SIZES[size]
    total = load_recipe(preset).trainer.epochs
    return {
        "size": size,
        "precision": precision,
        "measured": f"{count} epochs of {samples:,} training samples, and their validation",
        "loading_s": measured.loading_s,
        "epoch_s": [seconds for _, seconds in measured.epochs],
        "fastest_epoch_s": measured.fastest_s,
        "all_epochs": total,
        "all_samples": all_samples,
        "all_epochs_s": measured.fastest_s / samples * all_samples * total,
        "note": f"{total} epochs of {all_samples:,} samples are extrapolated from the fastest epoch",
    }
