"""Training what a sweep asks for, with progress: what `sweep` and `compare` share."""

from __future__ import annotations

import sys
from pathlib import Path

from delaytool.commands.console import echo
from delaytool.commands.sweep_progress import SweepProgress
from delaytool.commands.warnings import show_warnings
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.job import Job
from delaytool.experiments.sweep.processes import work_in_processes
from delaytool.experiments.sweep.setting import Setting
from delaytool.files import require_writable_folder
from delaytool.trainer.data import load_data


def sweep(
    path: Path,
    job: Job,
    settings: list[Setting],
    *,
    jobs: int,
    retry_failed: bool,
    again: str,
    quiet: bool = False,
) -> SweepFolder:
    """Train all that is not finished. Ctrl-C says `again` and exits with 130. Raises DelaytoolError."""
    require_writable_folder(path)
    if any(not job.is_done(path / "runs" / setting.name) for setting in settings):
        # Before anything is written: a source that is not there would fail every run.
        show_warnings(load_data(next(s for s in settings if not job.is_done(path / "runs" / s.name)).recipe).warnings)
    folder = SweepFolder(path, job)
    folder.queue(settings, retry_failed=retry_failed)
    folder.free_abandoned()
    total = len(folder.journal.settings())
    earlier = f", {total - len(settings)} more of earlier commands" if total > len(settings) else ""
    done = sum(folder.is_done(setting) for setting in settings)
    if not quiet:
        echo(f"{path}: {len(settings)} runs{earlier}" + (f"; {done} finished already" if done else ""))
    try:
        with SweepProgress(folder, quiet) as progress:
            work_in_processes(path, job, progress.update, jobs)
    except KeyboardInterrupt:
        echo(f"\nstopped; {again}", err=True)
        sys.exit(130)
    return folder
