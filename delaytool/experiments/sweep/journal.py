"""Which runs are asked for and who has taken which: an Optuna study in a file that any number of machines may share.

A trial is a request to train a setting. Optuna's journal file gives each waiting trial to one process only, on network
file systems too, with no server. It has no heartbeat, so a lock on a file (`folder.py`), which the operating system
drops with the process, shows whether a trial's process still runs.

A run's results are in its own folder and nowhere else. A request too many does no harm: the process that takes it
finds the run finished or locked.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, Trial, TrialState

from delaytool.errors import SweepError, first_line
from delaytool.experiments.sweep.setting import Setting, describe_changes, run_name
from delaytool.files import os_reason, way_out
from delaytool.printable import printable
from delaytool.trainer.recipe import validated

STUDY = "delaytool"
# What Optuna raises when it reads a line that is not JSON, or does what a damaged line says.
_REPLAY_ERRORS = (
    ValueError, KeyError, TypeError, AttributeError, AssertionError, IndexError, OverflowError, RecursionError,
)  # fmt: skip
# What a request holds.
_ATTRIBUTES = {"run": str, "values": dict, "family": str, "recipe": str, "error": str}
_LEVEL = threading.Lock()  # held while Optuna's level is another one


class _Lock(JournalFileOpenLock):
    """Held while a line is written. The operating system drops it with its process.

    Optuna's own are links and files, which outlive a killed process: whoever comes next waits half a minute, or, with a
    link whose path is relative, for ever.
    """

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


@contextmanager
def _warnings_alone() -> Iterator[None]:
    """Optuna's notes about its study are left out; its level, which all threads share, is as before afterwards."""
    with _LEVEL:
        before = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(max(before, optuna.logging.WARNING))
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)


class Journal:
    """purpose: what is done with each run; a folder is for one purpose.

    Whatever is asked reads the file's new lines first, so that each call raises SweepError where one is damaged.
    """

    def __init__(self, path: Path, purpose: str | None) -> None:
        self.path = path
        lock = _Lock(path.with_name("journal.lock"))
        try:
            # The sampler is never used: every trial is queued with its whole recipe.
            with _warnings_alone():
                self.study = optuna.create_study(
                    storage=JournalStorage(JournalFileBackend(str(path), lock_obj=lock)),
                    study_name=STUDY, load_if_exists=True, direction="maximize", sampler=RandomSampler(seed=0),
                )  # fmt: skip
            there = self.study.user_attrs.get("purpose")
            if there is not None and not isinstance(there, str):
                raise ValueError("its purpose is no text")
        except OSError as error:
            raise SweepError(f"{path}: cannot be read ({os_reason(error)}); {way_out(error)}") from None
        except _REPLAY_ERRORS as error:
            raise _damaged(path, error) from None
        if there is None and purpose is not None:
            with self._replaying():
                self.study.set_user_attr("purpose", purpose)
        elif purpose is not None and there != purpose:
            raise SweepError(f"{path.parent}: its runs are to {there}, not to {purpose}; give another folder with -o")
        self.purpose = there or purpose

    def settings(self) -> list[Setting]:
        """Every setting that was ever queued, in that order."""
        known: dict[str, Setting] = {}
        for trial in self._trials():
            name = trial.user_attrs["run"]
            if name not in known:
                known[name] = self._setting(trial)
        return list(known.values())

    def refuse_other_plans(self, settings: Iterable[Setting]) -> None:
        """Raise SweepError where a setting does not belong to those that are here already."""
        known: dict[str, Setting] = {}
        for setting in self.settings():
            known.setdefault(setting.family, setting)
        for setting in settings:
            before = known.get(setting.family)
            if before is None:
                continue
            if list(before.values) != list(setting.values):
                raise SweepError(
                    f"{self.path.parent}: sweeps {', '.join(before.values)}, not {', '.join(setting.values)}; "
                    "sweep the same keys in the same order, or give another folder with -o"
                )
            changed = describe_changes(before.kept(), setting.kept())
            if changed:
                raise SweepError(
                    f"{self.path.parent}: was made with another recipe: {changed}; give the same recipe, or another "
                    "folder with -o"
                )

    def queue(self, setting: Setting) -> None:
        """Queue a run."""
        attributes = {
            "run": setting.name,
            "values": setting.values,
            "family": setting.family,
            "recipe": setting.recipe.model_dump_json(),
        }
        with self._replaying():
            self.study.enqueue_trial({}, user_attrs=attributes)

    def take(self) -> tuple[Trial, Setting] | None:
        """The next run that waits, which is then this process's; None where none does."""
        while self._trials(TrialState.WAITING):
            with self._replaying():
                trial = self.study.ask()
                if "run" not in trial.user_attrs:  # another process took the last one, so Optuna made a new trial
                    self.study.tell(trial, state=TrialState.PRUNED)
                    continue
            return trial, self._setting(trial)
        return None

    def finish(self, number: int, accuracy: float) -> None:
        """The accuracy, 0..1, that Optuna's own tools show (`Job.accuracy`)."""
        self._end(number, accuracy)

    def fail(self, trial: Trial, error: str) -> None:
        """The run failed by itself; it is tried again only with --retry-failed."""
        with suppress(RuntimeError, ValueError):
            trial.set_user_attr("error", error)
        if self._end(trial.number, state=TrialState.FAIL) is TrialState.FAIL:
            return
        # Another process withdrew the request, because this one was slow to lock the run: a new one keeps the error.
        attributes = {**trial.user_attrs, "error": error}
        with self._replaying():
            self.study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL, user_attrs=attributes))

    def drop(self, number: int) -> None:
        """Withdraw this request; another one of the same run counts."""
        self._end(number, state=TrialState.PRUNED)

    def _end(self, number: int, accuracy: float | None = None, state: TrialState | None = None) -> TrialState:
        """End a request, unless it has ended; returns the state that it is then in."""
        with _warnings_alone(), self._replaying():
            return self.study.tell(number, accuracy, state, skip_if_finished=True).state

    def waiting(self) -> set[str]:
        return {trial.user_attrs["run"] for trial in self._trials(TrialState.WAITING)}

    def running(self) -> dict[int, Setting]:
        """By trial's number; whether its process is alive is not known here."""
        return {trial.number: self._setting(trial) for trial in self._trials(TrialState.RUNNING)}

    def errors(self) -> dict[str, str]:
        """By run: why the latest request of it failed; runs without failure are left out."""
        errors: dict[str, str] = {}
        for trial in self._trials(TrialState.COMPLETE, TrialState.FAIL, TrialState.WAITING, TrialState.RUNNING):
            errors[trial.user_attrs["run"]] = trial.user_attrs.get("error", "")
        return {run: error for run, error in errors.items() if error}

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        with self._replaying():
            trials = self.study.get_trials(deepcopy=False, states=states or None)
            found = [trial for trial in trials if "run" in trial.user_attrs]
            for trial in found:
                _check_attributes(trial.user_attrs)
        return found

    def _setting(self, trial: FrozenTrial | Trial) -> Setting:
        with self._replaying():
            kept = trial.user_attrs
            _check_attributes(kept)
            values = json.loads(kept["recipe"])
        return Setting(kept["values"], validated(values, str(self.path)), kept["family"])

    @contextmanager
    def _replaying(self) -> Iterator[None]:
        try:
            yield
        except _REPLAY_ERRORS as error:
            raise _damaged(self.path, error) from None


def _check_attributes(kept: dict[str, Any]) -> None:
    """Raise ValueError where a request does not hold what `Journal.queue` wrote."""
    for name, kind in _ATTRIBUTES.items():
        if not isinstance(kept.get(name, "" if name == "error" else None), kind):
            raise ValueError(f"a run's {name!r} is {printable(kept.get(name))[:60]}")
    if kept["run"] != run_name(kept["values"]):
        raise ValueError(f"run {printable(kept['run'])[:60]} has the values of {run_name(kept['values'])[:60]}")


def unusable(path: Path, why: str) -> SweepError:
    """The error of a journal that does not say what the folder's runs are."""
    return SweepError(f"{path}: {why}; delete it and give the whole command again: finished runs stay")


def _damaged(path: Path, error: BaseException) -> SweepError:
    what = f"{type(error).__name__}: {first_line(error)}" if isinstance(error, KeyError) else first_line(error)
    return unusable(path, f"cannot be read, it is damaged ({printable(what)[:120]})")
