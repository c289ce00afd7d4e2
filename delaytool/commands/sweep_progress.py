"""Running a sweep with progress on the terminal, for `sweep` and `compare`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from rich.progress import TaskID
from rich.text import Text

from delaytool.commands.console import PlainConsole, echo
from delaytool.commands.warnings import show_warnings
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.job import Job
from delaytool.experiments.sweep.prepare import prepare_sweep
from delaytool.experiments.sweep.processes import work_in_processes
from delaytool.experiments.sweep.setting import Setting
from delaytool.experiments.sweep.worker import RunUpdate
from delaytool.printable import printable
from delaytool.progress import live_bars

# Epochs may take minutes, and runs differ in size, so the speed is a mean over a long time.
SPEED_PERIOD_S = 1800.0
# How often the folder is searched for runs that other machines have finished.
SECONDS_BETWEEN_COUNTS = 10.0


def run_sweep(
    path: Path, job: Job, settings: list[Setting], *, jobs: int, retry_failed: bool, hint: str, quiet: bool = False
) -> SweepFolder:
    """Train all settings that are not finished. Ctrl-C prints `hint` and exits with 130. Raises DelaytoolError."""
    sweep = prepare_sweep(path, job, settings, retry_failed=retry_failed)
    show_warnings(sweep.warnings)
    earlier = f", {sweep.earlier} more of earlier commands" if sweep.earlier else ""
    finished = f"; {sweep.finished} finished already" if sweep.finished else ""
    if not quiet:
        echo(f"{path}: {len(settings)} runs{earlier}{finished}")
    try:
        with SweepProgress(sweep.folder, quiet) as progress:
            work_in_processes(path, job, progress.update, jobs)
    except KeyboardInterrupt:
        echo(f"\nstopped; {hint}", err=True)
        sys.exit(130)
    return sweep.folder


class SweepProgress:
    """A bar for the whole sweep, in epochs, and one for each worker; one line per run everywhere."""

    def __init__(self, folder: SweepFolder, quiet: bool = False) -> None:
        self.folder = folder
        self.settings = folder.journal.settings()
        self.console = PlainConsole(quiet=quiet)
        self.progress = live_bars(self.console, "{task.fields[status]}", SPEED_PERIOD_S)
        self.workers: dict[int, TaskID] = {}
        self.at_work: dict[int, RunUpdate] = {}
        self.ended = 0
        self._counted_at = float("-inf")

    def __enter__(self) -> SweepProgress:
        self._count_ended()
        self.whole = self.progress.add_task("", total=_epochs_of(self.settings), completed=self.epochs, status="")
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def update(self, update: RunUpdate) -> None:
        if update.worker not in self.workers:
            self.workers[update.worker] = self.progress.add_task("", total=update.of, status="")
        task = self.workers[update.worker]
        if self.at_work.get(update.worker, update).run != update.run or update.worker not in self.at_work:
            self.progress.reset(task, total=update.of, description=f"  {printable(update.run)}", completed=0)
        self.at_work[update.worker] = update
        self.progress.update(task, completed=update.epochs, status=printable(update.text))
        if update.kind in ("finished", "failed"):
            del self.at_work[update.worker]
            self._count_ended()
            place = f"{self.ended:>{len(str(len(self.settings)))}}/{len(self.settings)}"
            line = Text(printable(f"{place}  {update.run}  "))
            if update.kind == "failed":
                line.append("failed", style="bold red").append(": ")
            self.console.print(line.append(printable(update.text)))
        elif time.monotonic() - self._counted_at > SECONDS_BETWEEN_COUNTS:
            self._count_ended()
        under_way = sum(one.epochs for one in self.at_work.values())
        self.progress.update(
            self.whole, completed=self.epochs + under_way, description=f"{self.ended} of {len(self.settings)} runs"
        )

    def _count_ended(self) -> None:
        """Count the runs that have ended, here or on other machines, and their epochs."""
        self._counted_at = time.monotonic()
        failed = self.folder.journal.errors()
        over = [setting for setting in self.settings if setting.name in failed or self.folder.is_done(setting)]
        self.ended, self.epochs = len(over), _epochs_of(over)


def _epochs_of(settings: Iterable[Setting]) -> int:
    return sum(setting.recipe.trainer.epochs_to_train for setting in settings)
