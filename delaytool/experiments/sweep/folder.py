"""A sweep is a folder: the journal, one lock per run, the runs."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from optuna.trial import Trial

from delaytool.errors import SweepError
from delaytool.experiments.sweep.job import Job
from delaytool.experiments.sweep.journal import Journal
from delaytool.experiments.sweep.setting import Setting

# A process that tests whether a lock's holder is alive holds the lock for a moment itself.
PATIENCE_S = 5.0


@dataclass(frozen=True)
class Claim:
    """A run that this process trains; no other process does while the lock is held."""

    setting: Setting
    trial: Trial
    lock: FileLock


class SweepFolder:
    """Any number of processes and machines may have the same folder open."""

    def __init__(self, path: Path, job: Job) -> None:
        if path.exists() and not path.is_dir():
            raise SweepError(f"{path}: this is a file; give a folder with -o")
        self.path, self.job = path, job
        (path / "locks").mkdir(parents=True, exist_ok=True)
        self.journal = Journal(path / "journal.log", job.purpose)

    @staticmethod
    def has_journal(path: Path) -> bool:
        """Whether a sweep is in a folder."""
        return (path / "journal.log").is_file()

    @staticmethod
    def purpose_at(path: Path, wanted: str) -> str:
        """What the runs of a folder are for. Raises SweepError where none is; `wanted`: 'sweep' or 'comparison'."""
        if not SweepFolder.has_journal(path):
            raise SweepError(f"{path}: no {wanted} is there; give the folder of one")
        return Journal(path / "journal.log", None).purpose or ""

    def run(self, setting: Setting) -> Path:
        """The folder of a run, as `delaytool train` makes it."""
        return self.path / "runs" / setting.name

    def is_done(self, setting: Setting) -> bool:
        return self.job.is_done(self.run(setting))

    def queue(self, settings: Iterable[Setting], *, retry_failed: bool = False) -> None:
        """Queue runs that are neither finished nor queued nor being trained; failed ones only with `retry_failed`."""
        settings = list(settings)
        self.journal.refuse_other_plans(settings)
        known = {setting.name for setting in self.journal.settings()}
        for setting in settings:
            if setting.name not in known:  # its journal may have been deleted, or another command made the run
                self.job.refuse_other_run(setting.recipe, self.run(setting))
        queued = self.journal.waiting() | {setting.name for setting in self.journal.running().values()}
        if not retry_failed:
            queued |= set(self.journal.errors())
        for setting in settings:
            # A finished run that is not in the journal, which may have been deleted, is queued to enter it again.
            if setting.name not in queued and not (setting.name in known and self.is_done(setting)):
                self.journal.queue(setting)

    def claim(self) -> Claim | None:
        """The next run to train; None where nothing is left but what others are training now."""
        while True:
            taken = self.journal.take()
            if taken is None:
                if not self.free_abandoned():
                    return None
                continue
            trial, setting = taken
            lock = self._lock(setting)
            try:
                lock.acquire(timeout=PATIENCE_S)
            except Timeout:
                self.journal.drop(trial.number)  # another process trains it, on an earlier request
                continue
            if self.is_done(setting):
                self.journal.finish(trial.number, self.job.accuracy(self.run(setting)))
                lock.release()
                continue
            return Claim(setting, trial, lock)

    def unfinished(self) -> bool:
        """Whether a run waits, or was taken and has not ended."""
        return bool(self.journal.waiting() or self.journal.running())

    def free_abandoned(self) -> int:
        """Queue again the runs of processes that have ended without finishing them; returns how many."""
        freed = 0
        for number in self.journal.running():
            setting = self.journal.running().get(number)
            if setting is None:
                continue
            with suppress(Timeout), self._lock(setting).acquire(timeout=0):
                if number in self.journal.running():  # still, now that the lock proves that no process trains it
                    self.journal.drop(number)
                    self.journal.queue(setting)
                    freed += 1
        return freed

    def at_work(self) -> set[str]:
        """Runs that a living process trains now, here or elsewhere."""
        names = set()
        for setting in self.journal.running().values():
            try:
                self._lock(setting).acquire(timeout=0).lock.release()
            except Timeout:
                names.add(setting.name)
        return names

    def _lock(self, setting: Setting) -> FileLock:
        return FileLock(self.path / "locks" / f"{setting.name}.lock")
