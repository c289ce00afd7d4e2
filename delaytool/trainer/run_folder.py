"""A run is a folder: recipe, environment, metrics, checkpoints, summary. Reading it needs no PyTorch.

In which order its files are written, and why a crash cannot separate them, is in docs/reliability.md.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from shlex import quote
from typing import Any

from pydantic import BaseModel

from delaytool.digests import (
    SignedLine,
    read_signed_json,
    read_signed_lines,
    read_signed_toml,
    signed_line,
    write_signed_json,
    write_signed_toml,
)
from delaytool.errors import CheckpointError
from delaytool.files import append_durably, os_reason, way_out, write_bytes_atomically
from delaytool.trainer.protocols import ChosenEpoch, is_chosen_on_test
from delaytool.trainer.recipe import Recipe, recipe_of_run
from delaytool.trainer.run_records import (
    ClassNames,
    Environment,
    FoldsRecord,
    PartDigests,
    Summary,
    check_metrics,
    check_record,
)
from delaytool.version import __version__

DAMAGED = "the run is damaged: put the file back as it was, or train again into another folder"
_KINDS: dict[str, type[BaseModel]] = {
    "summary.json": Summary,
    "environment.json": Environment,
    "class_names.json": ClassNames,
    "folds.json": FoldsRecord,
    "data.json": PartDigests,
}


class RunFolder:
    """The names of a run's files; reads and writes the small ones.

    Every read checks the file's SHA-256 where it has one, and what it holds (`run_records`), and raises CheckpointError
    where it is damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.recipe = self.path / "recipe.toml"
        self.environment = self.path / "environment.json"
        self.class_names = self.path / "class_names.json"  # where the data name their classes
        self.metrics = self.path / "metrics.jsonl"
        self.tensorboard = self.path / "tensorboard"
        self.best = self.path / "best.pt"
        self.last = self.path / "last.pt"
        self.summary = self.path / "summary.json"
        self.folds = self.path / "folds.json"  # which epoch the folds chose, and how; written before the recipe
        self.folds_folder = self.path / "folds"
        self.folds_recipe = self.folds_folder / "recipe.toml"
        self.folds_data = self.folds_folder / "data.json"  # digests of the data that folds are cut from
        self.lock = self.path / ".lock"

    @property
    def files(self) -> tuple[Path, ...]:
        """The files of the training, whether they are there or not."""
        small = (self.recipe, self.environment, self.class_names, self.metrics, self.summary, self.folds, self.lock)
        return (*small, self.best, self.last)

    @property
    def is_run(self) -> bool:
        """Whether a run was begun here. Its recipe is the last file that beginning it writes."""
        return self.recipe.is_file()

    def refuse_folds_under_way(self) -> None:
        """Raise CheckpointError where folds are here that choose the epoch of a run which has not begun."""
        if not self.is_run and self.has_folds:
            raise CheckpointError(
                f"{self.path}: the folds that choose this run's epoch are not over; go on with: delaytool train "
                f"--resume {quote(str(self.path))}"
            )

    def require_intact(self) -> None:
        """Raise CheckpointError where no run is here, or one of its small files is damaged."""
        self.refuse_folds_under_way()
        if not self.is_run:
            raise CheckpointError(
                f"{self.path}: no run is there (it has no recipe.toml); give a run folder that `delaytool train` made, "
                "or a network file"
            )
        self.unsigned_files()

    def read_recipe(self) -> str:
        """The recipe as TOML."""
        with _naming(self.recipe):
            return read_signed_toml(self.recipe).text

    def load_recipe(self) -> Recipe:
        """Raises RecipeError where this version cannot use it."""
        return recipe_of_run(self.read_recipe(), str(self.recipe))

    def load_folds_recipe(self) -> Recipe:
        """The recipe whose folds choose the epoch of a run."""
        return recipe_of_run(read_signed_toml(self.folds_recipe).text, str(self.folds_recipe))

    def read_metrics(self) -> list[dict[str, Any]]:
        """One dictionary per epoch, in order; empty before the first epoch has ended."""
        return [line.value for line in self._metrics_lines()]

    def read_summary(self) -> dict[str, Any]:
        """The finished run's summary; empty while it has not ended."""
        return self._read_json(self.summary)[0]

    def read_environment(self) -> dict[str, Any]:
        """Versions, machine and seed of the run; empty where the folder has no record of them."""
        return self._read_json(self.environment)[0]

    def read_class_names(self) -> tuple[str, ...]:
        """One for each class; empty where the data name none, or an earlier version began the run."""
        return tuple(self._read_json(self.class_names)[0].get("class_names", ()))

    def keep_class_names(self, names: Sequence[str]) -> None:
        """Write them where there are some and none are written yet."""
        if names and not self.class_names.exists():
            write_signed_json(self.class_names, {"class_names": list(map(str, names))})

    def read_folds(self) -> dict[str, Any]:
        """How folds chose the epoch (`experiments.cross_validation`); empty where none did."""
        return self._read_json(self.folds)[0]

    def read_folds_data(self) -> dict[str, str]:
        """SHA-256 of each part of the data that folds are cut from; empty where none are, or an earlier version began
        them.
        """
        return self._read_json(self.folds_data)[0]

    def unsigned_files(self) -> tuple[str, ...]:
        """Names of the small files without a SHA-256: earlier versions wrote them, or it was deleted on purpose."""
        unsigned = []
        with _naming(self.recipe):
            if not read_signed_toml(self.recipe).is_signed:
                unsigned.append(self.recipe.name)
        for path in (self.environment, self.class_names, self.folds, self.summary):
            content, is_signed = self._read_json(path)
            if content and not is_signed:
                unsigned.append(path.name)
        if not all(line.is_signed for line in self._metrics_lines()):
            unsigned.append(self.metrics.name)
        return tuple(unsigned)

    def best_epoch(self) -> int | None:
        """The epoch whose network was kept (`ChosenEpoch`); None before the first epoch has ended."""
        summary, metrics = self.read_summary(), self.read_metrics()
        if "best_epoch" in summary:
            return int(summary["best_epoch"])
        if not metrics:
            return None
        last_counts = self.chose_none or metrics[-1]["validation_accuracy"] is None
        best = ChosenEpoch()
        for line in metrics:
            best.improved_by(line, line.get("can_be_chosen", True), last_counts=last_counts)
        return best.epoch

    @property
    def chosen_on_test(self) -> bool:
        """Whether the test part served as validation, which curves must state."""
        summary = self.read_summary()
        if summary:
            return is_chosen_on_test(summary["protocol"])
        if not self._recipe_holds('protocol = "paper"'):
            return False
        # Where the data have a validation part of their own, the test part is measured apart from it, or not at all.
        # Versions before `can_be_chosen` did not record it. NaN is equal to itself as text.
        return all(
            repr(line[f"validation_{key}"]) == repr(line.get(f"test_{key}"))
            for line in self.read_metrics()
            if "can_be_chosen" in line
            for key in ("accuracy", "loss")
        )

    @property
    def data_in_memory(self) -> bool:
        """Whether a program gave the data, instead of a source that can be read again."""
        return self.recipe.is_file() and self._recipe_holds('source = "in-memory"')

    @property
    def chose_none(self) -> bool:
        """Whether the last epoch counts, whatever its accuracy is."""
        return self._recipe_holds('protocol = "fixed"') or (
            self._recipe_holds('protocol = "cross-validated"') and not self._is_fold
        )

    @property
    def _is_fold(self) -> bool:
        return any(line.startswith("fold = ") for line in self.read_recipe().splitlines())

    @property
    def learns_delays(self) -> bool:
        return self._recipe_holds('delays = "learned"')

    def networks(self) -> list[Path]:
        """Exported networks, Loihi 2's first."""
        found = sorted(self.path.glob("network-*.h5"))
        return sorted(found, key=lambda path: path.name != "network-loihi2.h5")

    @property
    def has_folds(self) -> bool:
        """Whether folds have been begun here, to choose the epoch of a run."""
        return self.folds_recipe.is_file()

    def refuse_existing(self, *, allow_folds: bool = False) -> None:
        """Raise CheckpointError where a run, or the folds of one, are here already, or the place is not a folder."""
        if self.last.exists() or self.is_run or (self.has_folds and not allow_folds):
            raise CheckpointError(
                f"{self.path}: a run is there already; go on with it by --resume, or give another folder with -o"
            )
        if self.path.exists() and not self.path.is_dir():
            raise CheckpointError(f"{self.path}: this is a file; give a folder with -o")

    def require_begun(self) -> None:
        """Raise CheckpointError where there is no run to go on with."""
        if not (self.is_run or self.last.exists() or self.best.exists()):
            raise CheckpointError(f"{self.path}: no run to resume there; leave out --resume to start one")

    def create(self, recipe: Recipe, class_names: Sequence[str] = ()) -> None:
        """Make the folder and begin a run in it. Raises CheckpointError where a run is there already, OSError."""
        self.refuse_existing(allow_folds=recipe.protocol == "cross-validated")
        self.path.mkdir(parents=True, exist_ok=True)
        write_signed_json(self.environment, environment(recipe))
        self.class_names.unlink(missing_ok=True)  # of a run that was killed before it had begun
        self.keep_class_names(class_names)
        write_signed_toml(self.recipe, recipe.to_toml())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone. The lock ends with its process.

        Half-written files of a killed process are removed. Raises CheckpointError where another process holds it.
        """
        from filelock import FileLock, Timeout  # comes with PyTorch

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.lock)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise CheckpointError(
                f"{self.path}: another process is training this run now; wait until it ends, or stop it"
            ) from None
        try:
            self._remove_leftovers()
            yield
        finally:
            lock.release()

    def append_metrics(self, line: dict[str, Any]) -> None:
        """Add an epoch's line; it is on the disk when this returns."""
        append_durably(self.metrics, signed_line(line))

    def cut_metrics(self, epochs: int, *, complete: bool = True) -> None:
        """Forget the epochs after the first `epochs`: a resumed run writes them again.

        complete: raise CheckpointError where the line of epoch `epochs` is not there.
        """
        kept = [line for line in self._metrics_lines() if line.value["epoch"] <= epochs]
        if complete and epochs and (not kept or kept[-1].value["epoch"] != epochs):
            raise CheckpointError(
                f"{self.metrics}: has no line for epoch {epochs}, which the checkpoint has done; {DAMAGED}"
            )
        content = b"".join(line.raw for line in kept)
        if self.metrics.exists() and self.metrics.read_bytes() != content:
            self.summary.unlink(missing_ok=True)  # of epochs that are trained again
            write_bytes_atomically(self.metrics, content)

    def write_summary(self, summary: dict[str, Any]) -> None:
        write_signed_json(self.summary, summary)

    def _metrics_lines(self) -> list[SignedLine]:
        """All lines, sound, and those that the other files of the run say there are (docs/reliability.md)."""
        if not self.metrics.exists():
            return []
        epochs = self._epochs_done()
        with _naming(self.metrics):
            lines = list(read_signed_lines(self.metrics, may_be_cut=epochs is None))
        check_metrics([line.value for line in lines], self.metrics, DAMAGED)
        for before, line in pairwise(lines):
            step = line.value["epoch"] - before.value["epoch"]
            # Versions that wrote no digests could lose a line.
            if step != 1 and (step < 1 or (before.is_signed and line.is_signed)):
                raise CheckpointError(
                    f"{self.metrics}: epoch {line.value['epoch']} follows epoch {before.value['epoch']}; {DAMAGED}"
                )
        if self._keeps_the_order():
            if not lines and (self.best.exists() or self.last.exists()):
                raise CheckpointError(f"{self.metrics}: has no epoch, but the run has a checkpoint; {DAMAGED}")
            if lines and lines[0].value["epoch"] != 1:
                raise CheckpointError(f"{self.metrics}: begins with epoch {lines[0].value['epoch']}, not 1; {DAMAGED}")
        elif not lines or not lines[-1].is_signed:
            return lines
        if epochs is not None and lines[-1].value["epoch"] != epochs:
            raise CheckpointError(
                f"{self.metrics}: ends with epoch {lines[-1].value['epoch']}, but {self.summary.name} is of {epochs}; "
                f"{DAMAGED}"
            )
        return lines

    def _epochs_done(self) -> int | None:
        """With how many epochs the run ended; None while it has not, or where its summary has no digest."""
        content, is_signed = self._read_json(self.summary)
        if not content or not is_signed:
            return None
        return int(content.get("stopped_after", content.get("last_epoch", content["epochs"])))

    def _keeps_the_order(self) -> bool:
        """Whether a version began the run that writes an epoch's line before its checkpoint: those write digests."""
        content, is_signed = self._read_json(self.environment)
        return bool(content) and is_signed

    def _read_json(self, path: Path) -> tuple[dict[str, Any], bool]:
        with _naming(path):
            try:
                content, is_signed = read_signed_json(path)
            except FileNotFoundError:
                return {}, True
        check_record(_KINDS[path.name], content, path, DAMAGED)
        return content, is_signed

    def _recipe_holds(self, line: str) -> bool:
        """Whether the recipe holds this line; the trainer writes every key, always in the same form."""
        return line in self.read_recipe().splitlines()

    def _remove_leftovers(self) -> None:
        names = "|".join(re.escape(path.name) for path in self.files)
        for path in self.path.iterdir():
            if re.fullmatch(rf"\.(?:{names}|delaytool-probe)\.[0-9a-f]{{8}}", path.name):
                path.unlink(missing_ok=True)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; give a run folder that `delaytool train` made") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({os_reason(error)}); {way_out(error)}") from None


def environment(recipe: Recipe) -> dict[str, Any]:
    """Versions, machine and threads, on which the run's bits depend besides its recipe."""
    import numpy as np
    import torch

    return {
        "delaytool": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": recipe.trainer.threads or torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "seed": recipe.seed,
    }
