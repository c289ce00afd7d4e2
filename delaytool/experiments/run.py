"""A run as a program has it: trained from a recipe and data, or loaded from its folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets import DataSpec, FrameData, Splits
from delaytool.datasets.in_memory import MemoryData, in_memory
from delaytool.datasets.spec import MEMORY, absolute_source
from delaytool.errors import CheckpointError, RecipeError
from delaytool.experiments.cross_validation.begin import begun_folds
from delaytool.experiments.export_run import checkpoint_path
from delaytool.printable import printable
from delaytool.quantization.integer_training import TrainedNetwork
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import TrainingData
from delaytool.trainer.loop import train as train_recipe
from delaytool.trainer.recipe import Recipe, load_recipe, preset_names, validated, with_overrides
from delaytool.trainer.reporter import Reporter
from delaytool.trainer.run_folder import RunFolder


@dataclass(frozen=True, eq=False)
class Run:
    """A training run in its folder; everything is read from there when it is asked for.

    path   the folder
    data   what it was trained on, where that was given in memory

    >>> run = train("digits", folder="runs/small", overrides={"model.hidden": [4], "trainer.epochs": 1})
    >>> run.recipe.model.hidden, len(run.metrics), run.encoding.n_channels
    ((4,), 1, 64)
    >>> 0 <= run.summary["test_accuracy_rounded"] <= 1
    True
    """

    path: Path
    data: Splits | TrainingData | None = None

    def __repr__(self) -> str:
        summary = self.summary
        state = f"{len(self.metrics)} epochs"
        if "test_accuracy_rounded" in summary:
            state += f", test accuracy {100 * summary['test_accuracy_rounded']:.2f} %"
        return f"Run({printable(str(self.path))!r}, {state})"

    @property
    def recipe(self) -> Recipe:
        return RunFolder(self.path).load_recipe()

    @property
    def summary(self) -> dict[str, Any]:
        """What the finished run recorded; empty while it has not ended."""
        return RunFolder(self.path).read_summary()

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One dictionary for each epoch, in order."""
        return RunFolder(self.path).read_metrics()

    def checkpoint(self, which: str = "best") -> Checkpoint:
        """The checkpoint 'best' or 'last', with its encoding. Raises CheckpointError."""
        return Checkpoint.load(checkpoint_path(self.path, which))

    def model(self, which: str = "best") -> TrainedNetwork:
        """The network of a checkpoint, in evaluation mode, on the CPU; as trained through integers, where it was."""
        return self.checkpoint(which).network()

    @property
    def encoding(self) -> InputEncoding:
        """How its data become frames."""
        return self.checkpoint().encoding


def load_run(path: str | os.PathLike[str]) -> Run:
    """A run from its folder, which `train` or `delaytool train` made.

    Raises CheckpointError where none is there, or one of its files is damaged.

    >>> _ = train("digits", folder="runs/loaded", overrides={"model.hidden": [4], "trainer.epochs": 1})
    >>> load_run("runs/loaded").model().layer_names()
    ['hidden1', 'readout']
    """
    RunFolder(path).require_intact()
    return Run(Path(path))


def train(
    recipe: str | os.PathLike[str] | Recipe | None = None,
    data: Any = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    class_names: Sequence[str] | None = None,
    resume: bool = False,
    reporter: Reporter | None = None,
    jobs: int | None = None,
) -> Run:
    """Train a recipe in a run folder, as `delaytool train` does.

    recipe        a preset's name (`delaytool recipes`), a TOML file, or a Recipe; None: 'digits'
    data          None: what the recipe names; a string or path: a source, as `--data`; else data in memory: (frames,
                  labels), (events, labels), a torch Dataset or DataLoader, a tonic data set, or a dictionary of such
                  parts 'train', 'validation' and 'test' (see `delaytool.datasets.in_memory`). Parts that are missing
                  are cut off as for a file. Frames that are ready (`delaytool.trainer.data.load_data`) are used as they
                  are: many runs may share them
    folder        of the run; None: runs/NAME
    overrides     {key: value}, as `--set`, e.g. {"trainer.epochs": 5}
    class_names   one for each class, of samples in memory that are not divided yet; with resume, those that the run
                  began with
    resume        go on with the folder's run, without `recipe` and `overrides`; a path as `data` is where its data are
                  now: the same samples, or CheckpointError
    reporter      called as training goes on (`delaytool.Reporter`); not for folds
    jobs          of protocol 'cross-validated': how many folds are trained at the same time; None: 1

    Frames of spike counts keep their steps and channels: data.start is 'zero', data.n_steps the longest sample's,
    and a preset's data.channel_bins becomes 1 unless `overrides` has it. Real numbers are quantized (data.values
    'graded'), floats that are whole too where the recipe asks for that. Events are binned as the recipe sets. One
    run is trained at a time in a process. Raises RecipeError, also where `overrides` has a key that these data
    decide otherwise, for an argument that would have no effect and while another thread trains, DataError,
    CheckpointError.

    >>> import numpy as np
    >>> labels = np.arange(60) % 2
    >>> rates = np.where(labels[:, None] == np.arange(8) // 4, 0.4, 0.1)  # (sample, channel): one half is louder
    >>> frames = np.random.default_rng(0).random((60, 20, 8)) < rates[:, None]  # (sample, time, channel)
    >>> settings = {"model.hidden": [8], "trainer.epochs": 2}
    >>> run = train("digits", (frames, labels), folder="runs/sides", overrides=settings, class_names=["left", "right"])
    >>> len(run.metrics), run.encoding.n_channels, run.encoding.n_steps
    (2, 8, 20)
    """
    given: Splits | TrainingData | None = None
    if resume:
        if folder is None:
            raise RecipeError("resume goes on with a run; give its folder")
        if recipe is not None or overrides:
            raise RecipeError("resume goes on with the run as it began; leave out recipe and overrides")
        loaded = begun_folds(Path(folder)) or load_run(folder).recipe
    else:
        loaded = _recipe("digits" if recipe is None else recipe, overrides or {})
    if jobs is not None and not loaded.needs_folds:
        raise RecipeError(f"jobs {jobs} would have no effect: it is for folds of 'cross-validated'; leave it out")
    if class_names is not None and (data is None or isinstance(data, str | os.PathLike | Splits | TrainingData)):
        raise RecipeError(
            f"class_names {tuple(class_names)} would have no effect: they are for samples in memory, and these data "
            "name their classes themselves; leave them out"
        )
    moved_to = None
    if isinstance(data, str | os.PathLike):
        changes = {"source": absolute_source(str(data))}
        if not resume:
            _refuse_other_values(loaded, changes, overrides or {})
            loaded = _with_data(loaded, changes)
        elif changes["source"] != loaded.data.source:
            moved_to = changes["source"]
            if loaded.needs_folds:
                raise RecipeError("data: folds go on with the data where they began; leave it out")
    elif isinstance(data, Splits | TrainingData):
        given = data
        if not resume:
            _refuse_other_values(loaded, {"source": MEMORY}, overrides or {})
            loaded = _with_data(loaded, {"source": MEMORY})
    elif data is not None:
        spec = DataSpec.from_recipe(loaded.model_dump(mode="json"), source=MEMORY)
        if resume and folder is not None:
            class_names = _begun_class_names(Path(folder), class_names)
        graded = loaded.data.values == "graded"
        read = in_memory(data, spec, class_names=class_names, n_units=loaded.data.n_units, graded=graded)
        given = read.splits
        if not resume:
            is_preset = recipe is None or (isinstance(recipe, str) and recipe in preset_names())
            bins = loaded.data.channel_bins if "data.channel_bins" in (overrides or {}) or not is_preset else 1
            changes = _as_given(loaded, read, bins)
            _refuse_other_values(loaded, changes, overrides or {})
            loaded = _with_data(loaded, changes)
    where = Path("runs") / loaded.name if folder is None else Path(folder)
    if loaded.needs_folds:
        from delaytool.experiments.cross_validation.train import cross_validate  # its queue is an extra

        if isinstance(given, TrainingData):
            raise RecipeError("protocol: 'cross-validated' cuts folds off samples; give the samples, not their frames")
        cross_validate(
            None if resume else loaded, where, resume=resume, jobs=jobs or 1, reporter=reporter, splits=given
        )
    else:
        which = None if resume else loaded
        train_recipe(which, where, resume=resume, reporter=reporter, data=given, moved_to=moved_to)
    return Run(where, given)


def _recipe(recipe: str | os.PathLike[str] | Recipe, overrides: Mapping[str, Any]) -> Recipe:
    if isinstance(recipe, Recipe):
        return with_overrides(recipe, overrides)
    return load_recipe(os.fspath(recipe), overrides)


def _begun_class_names(folder: Path, given: Sequence[str] | None) -> Sequence[str] | None:
    """The names that a run began with, by which its labels are numbered again. Raises CheckpointError for others."""
    begun = RunFolder(folder).read_class_names()
    if begun and given is not None and tuple(map(str, given)) != begun:
        raise CheckpointError(
            f"{folder}: class_names {tuple(given)} are not those that the run began with, {begun}; leave them out"
        )
    return begun or given


def _as_given(recipe: Recipe, given: MemoryData, channel_bins: int) -> dict[str, Any]:
    """The keys of a recipe's data part with which data in memory are read as they are.

    channel_bins   of spike counts: how many channels are summed into one
    """
    train = given.splits.train
    if isinstance(train, FrameData):
        made_of_recordings = {} if train.mel is not None else {"mel": None}
        graded = {"values": "graded", "channel_bins": 1, "max_count": None, "ear": False}
        return {"source": MEMORY, **graded, **made_of_recordings}
    if given.n_steps is None:
        return {"source": MEMORY}
    n_steps = recipe.data.n_steps or given.n_steps
    return {
        "source": MEMORY,
        "start": "zero",
        "n_steps": n_steps,
        "channel_bins": channel_bins,
        "ear": False,
        "mel": None,
    }


def _refuse_other_values(recipe: Recipe, changes: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise RecipeError where a key that was given is about to get another value from the data that were given too."""
    for name, value in changes.items():
        key, own = f"data.{name}", getattr(recipe.data, name)
        if key in given and own != value:
            raise RecipeError(
                f"{key}: {own!r} is not possible with these data, which make it {value!r}; leave one of them out"
            )


def _with_data(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    values = recipe.model_dump(mode="json")
    values["data"] |= changes
    return validated(values, "data")
