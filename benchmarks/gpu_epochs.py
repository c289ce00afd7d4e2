"""Whole epochs as `delaytool train` runs them, on synthetic spikes in SHD's and SSC's sizes."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_run import Context, Row
from train_epoch import SIZES, run_epochs

from delaytool.trainer.recipe import load_recipe

# name: (training samples, epochs, seconds that it takes about, generating and loading included)
RUNS = {"SHD": (8156, 4, 45.0), "SSC": (8192, 3, 60.0)}
TINY = {"SHD": (40, 2, 0.0)}
TINY_SETTINGS = ["model.hidden=[8,8]", "trainer.batch_size=16", "trainer.threads=1"]


def epochs(context: Context) -> Iterator[Row]:
    """Rows of (size, precision): what one epoch took, and all of the preset's over all samples at that rate.

    SHD is run with as many training samples as it has, so that only the number of epochs is extrapolated; SSC's samples
    are extrapolated too.
    """
    runs = TINY if context.tiny else RUNS
    for size, precision in [(size, "float32") for size in runs] + [("SHD", "tf32")]:
        samples, count, needed = runs[size]
        if not context.allows(f"epochs of {size} in {precision}", needed):
            continue
        settings = [f"trainer.device={context.device}", f"trainer.precision={precision}"]
        measured = run_epochs(size, samples, count, settings + (TINY_SETTINGS if context.tiny else []))
        preset, _, all_samples = SIZES[size]
        total = load_recipe(preset).trainer.epochs
        yield {
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
