"""From a run folder to a network file: what `export` and `compare` share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from delaytool.commands.samples import evenly_spaced
from delaytool.datasets import digest
from delaytool.exporter.compile import Export, export
from delaytool.files import sha256_of
from delaytool.hw_configs import Target
from delaytool.trainer import Checkpoint, RunFolder
from delaytool.trainer.data import TrainingData, load_data
from delaytool.trainer.evaluation import evaluate_both


def export_run(
    run: Path,
    chip: Target,
    output: Path,
    *,
    checkpoint: str = "best",
    clip_delays: bool = False,
    data: str | None = None,
    calibration_samples: int = 128,
    progress: Callable[[str, int, int], None] | None = None,
) -> Export:
    """Compile a run's checkpoint ('best' or 'last') for a chip, with what the float network says of the test samples.

    Calibrated on evenly spaced validation samples of the run's data, or of `data`; on training samples where the
    protocol is 'paper', as validation may then be the test part. Raises DelaytoolError.
    """
    folder = RunFolder(run)
    source = folder.best if checkpoint == "best" else folder.last
    saved = Checkpoint.load(source)
    recipe = saved.recipe
    if data is not None:
        recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"source": data})})
    loaded = load_data(recipe, saved.encoding, progress)
    calibration = (loaded.train if recipe.protocol == "paper" else loaded.validation).frames.numpy()
    return export(
        saved.network(), saved.encoding, chip, output,
        calibration[evenly_spaced(len(calibration), calibration_samples)],
        clip_delays=clip_delays, provenance=_provenance(saved, source, loaded), progress=progress,
    )  # fmt: skip


def _provenance(saved: Checkpoint, source: Path, loaded: TrainingData) -> dict[str, Any]:
    """Where the network came from, and what the float network says of the test samples."""
    model = saved.network()
    test, batch = loaded.test, saved.recipe.trainer.batch_size
    trained, rounded = evaluate_both(model, test.frames, test.labels, batch, saved.sigma)
    return {
        "recipe": saved.recipe.model_dump(mode="json"),
        "recipe_sha256": saved.recipe.digest(),
        "checkpoint_sha256": sha256_of(source),
        "epoch": saved.epoch,
        "split": saved.split,
        "float": {
            "digest": digest(test.frames.numpy(), test.labels.numpy()),
            "samples": len(test),
            "as_trained": trained.predictions.tolist(),
            "rounded": rounded.predictions.tolist(),
        },
    }
