"""Before a sweep runs: its data are read once, its settings are queued, and abandoned runs are freed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from delaytool.errors import RecipeError
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.job import Job
from delaytool.experiments.sweep.setting import Setting
from delaytool.files import require_writable_folder
from delaytool.trainer.data import load_data


@dataclass(frozen=True)
class PreparedSweep:
    """A folder whose queue holds all that is not finished.

    finished   settings of this request that need no training
    earlier    settings in the folder that only earlier requests named
    warnings   sentences about the data that a user should read
    """

    folder: SweepFolder
    finished: int
    earlier: int
    warnings: tuple[str, ...]


def prepare_sweep(path: Path, job: Job, settings: list[Setting], *, retry_failed: bool = False) -> PreparedSweep:
    """Queue all that is not finished. Raises DelaytoolError, before anything is written where the data are missing."""
    for setting in settings:
        if setting.recipe.needs_folds:
            raise RecipeError(
                f"protocol: {setting.name} is 'cross-validated', which is several runs; choose 'honest' or 'fixed' "
                "here, or give `train` or `sweep` this recipe"
            )
    require_writable_folder(path)
    if not SweepFolder.has_journal(path):
        # Before a new journal states what the runs are for.
        for setting in settings:
            job.refuse_other_run(setting.recipe, path / "runs" / setting.name)
    unfinished = next((setting for setting in settings if not job.is_done(path / "runs" / setting.name)), None)
    warnings = () if unfinished is None else tuple(load_data(unfinished.recipe).warnings)
    folder = SweepFolder(path, job)
    folder.queue(settings, retry_failed=retry_failed)
    folder.free_abandoned()
    return PreparedSweep(
        folder=folder,
        finished=sum(folder.is_done(setting) for setting in settings),
        earlier=len(folder.journal.settings()) - len(settings),
        warnings=warnings,
    )
