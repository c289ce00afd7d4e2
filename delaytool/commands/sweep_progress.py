"""What `delaytool sweep` shows while it works."""

from __future__ import annotations

import time
from types import TracebackType

from rich.progress import TaskID
from rich.text import Text

from delaytool.commands.console import PlainConsole
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.worker import RunUpdate
from delaytool.printable import printable
from delaytool.progress import live_bars

# Epochs may take minutes, and runs are of different sizes: the speed is a long mean.
SPEED_PERIOD_S = 1800.0
# How often the folder is searched for what other machines have finished.
SECONDS_BETWEEN_LOOKS = 10.0


class SweepProgress:
    """A bar for the whole sweep, in epochs, and one for each worker; one line a run anywhere."""

    def __init__(self, folder: SweepFolder, quiet: bool = False) -> None:
        self.folder = folder
        self.settings = folder.journal.settings()
        self.console = PlainConsole(quiet=quiet)
        self.progress = live_bars(self.console, "{task.fields[status]}", SPEED_PERIOD_S)
        self.workers: dict[int, TaskID] = {}
        self.at_work: dict[int, RunUpdate] = {}
        self.ended = 0
        self._looked = float("-inf")

    def __enter__(self) -> SweepProgress:
        self._look()
        self.whole = self.progress.add_task(
            "", total=sum(setting.recipe.trainer.epochs for setting in self.settings), completed=self.epochs, status=""
        )
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
            self._look()
            place = f"{self.ended:>{len(str(len(self.settings)))}}/{len(self.settings)}"
            line = Text(printable(f"{place}  {update.run}  "))
            if update.kind == "failed":
                line.append("failed", style="bold red").append(": ")
            self.console.print(line.append(printable(update.text)))
        elif time.monotonic() - self._looked > SECONDS_BETWEEN_LOOKS:
            self._look()
        under_way = sum(one.epochs for one in self.at_work.values())
        self.progress.update(
            self.whole, completed=self.epochs + under_way, description=f"{self.ended} of {len(self.settings)} runs"
        )

    def _look(self) -> None:
        """What has ended, here or on other machines: `ended` runs of `epochs` epochs together."""
        self._looked = time.monotonic()
        failed = self.folder.journal.errors()
        over = [setting for setting in self.settings if setting.name in failed or self.folder.is_done(setting)]
        self.ended, self.epochs = len(over), sum(setting.recipe.trainer.epochs for setting in over)
