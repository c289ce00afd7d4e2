"""From a run folder to a network file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from delaytool.datasets import Splits, digest
from delaytool.datasets.subset import evenly_spaced
from delaytool.errors import CheckpointError
from delaytool.experiments.data_of_run import data_of_run
from delaytool.exporter.compile import Export, export
from delaytool.exporter.record import CHECKPOINTS
from delaytool.files import sha256_of
from delaytool.hw_configs import Target
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import TrainingData
from delaytool.trainer.evaluation import evaluate_both
from delaytool.trainer.run_folder import RunFolder
from delaytool.verification.float_figures import float_record


@dataclass(frozen=True)
class ExportOptions:
    """How a run is exported.

    checkpoint            'best' or 'last'
    clip_delays           cut delays over the target's limit, and count them
    data                  where the run's data are now; None: where its recipe states
    calibration_samples   of validation, evenly spaced, on which scales are chosen
    """

    checkpoint: str = "best"
    clip_delays: bool = False
    data: str | None = None
    calibration_samples: int = 128


def export_run(
    run: Path,
    chip: Target,
    output: Path | None,
    options: ExportOptions | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    data: Splits | TrainingData | None = None,
) -> Export:
    """Compile a run's checkpoint for a chip, with the float network's predictions on the test samples.

    Calibrated on evenly spaced validation samples of the run's data; on training samples where there is no validation
    part, and where the protocol is 'paper', as validation may then be the test part. output None: the network is made
    in memory only. data: the run's, where they are in memory. Raises DelaytoolError.
    """
    options = options or ExportOptions()
    source = checkpoint_path(run, options.checkpoint)
    saved = Checkpoint.load(source)
    loaded, warnings = data_of_run(saved, options.data, progress, data)
    calibrates = loaded.train if saved.recipe.protocol == "paper" or loaded.validation is None else loaded.validation
    calibration = calibrates.frames.numpy()
    done = export(
        saved.network(),
        saved.encoding,
        chip,
        output,
        calibration[evenly_spaced(len(calibration), options.calibration_samples)],
        clip_delays=options.clip_delays,
        checkpoint=options.checkpoint,
        class_names=class_names_of(run, saved, loaded.class_names),
        provenance=_provenance(saved, source, loaded),
        progress=progress,
    )
    return replace(done, warnings=warnings)


def checkpoint_path(run: Path, checkpoint: str) -> Path:
    """The file of a run's checkpoint 'best' or 'last'. Raises CheckpointError for any other name, and during folds."""
    if checkpoint not in CHECKPOINTS:
        raise CheckpointError(f"{run}: a run has no checkpoint {checkpoint!r}; choose 'best' or 'last'")
    folder = RunFolder(run)
    folder.refuse_folds_under_way()
    return folder.best if checkpoint == "best" else folder.last


def class_names_of(run: Path, saved: Checkpoint, of_data: Sequence[str] = ()) -> tuple[str, ...]:
    """One different name for each class: those of the data, else those that the run has recorded; or none."""
    names = tuple(of_data or RunFolder(run).read_class_names())
    return names if len(set(names)) == len(names) == saved.n_classes else ()


def origin_of(saved: Checkpoint, source: Path) -> dict[str, Any]:
    """Where a network came from: the checkpoint, its file, and the recipe that it was trained by, as JSON values."""
    return {
        "recipe": saved.recipe.model_dump(mode="json"),
        "recipe_sha256": saved.recipe.digest(),
        "checkpoint_sha256": sha256_of(source),
        "epoch": saved.epoch,
        "split": saved.split,
    }


def _provenance(saved: Checkpoint, source: Path, loaded: TrainingData) -> dict[str, Any]:
    """Where the network came from, and the trained network's predictions on the test samples."""
    model = saved.network()
    test, batch = loaded.test, saved.recipe.trainer.batch_size
    trained, rounded = evaluate_both(model, test.frames, test.labels, batch, saved.sigma)
    origin = origin_of(saved, source)
    samples = digest(test.frames.numpy(), test.labels.numpy())
    predictions = (trained.predictions.tolist(), rounded.predictions.tolist())
    record = float_record(origin["checkpoint_sha256"], samples, *predictions)
    return {**origin, "float": record}
