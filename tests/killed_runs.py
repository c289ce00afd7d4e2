"""What a run that was killed and gone on with has in common with one that was not: everything but its times."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.run_folder import RunFolder


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def scalars(run: RunFolder) -> dict[str, list[tuple[int, float]]]:
    board = EventAccumulator(str(run.tensorboard))
    board.Reload()
    tags = [tag for tag in board.Tags()["scalars"] if tag != "seconds"]
    return {tag: [(event.step, event.value) for event in board.Scalars(tag)] for tag in tags}


def assert_as_never_killed(folder: Path, whole: Path) -> None:
    run, expected = RunFolder(folder), RunFolder(whole)
    for name in ("best", "last"):
        one, other = Checkpoint.load(getattr(run, name)), Checkpoint.load(getattr(expected, name))
        assert same(vars(one), vars(other)), name
    timeless = [
        [{key: value for key, value in line.items() if key != "seconds"} for line in each.read_metrics()]
        for each in (run, expected)
    ]
    assert timeless[0] == timeless[1]
    assert run.read_summary() == expected.read_summary() != {}
    assert run.read_environment() == expected.read_environment() != {}
    assert run.read_recipe() == expected.read_recipe()
    assert scalars(run) == scalars(expected) != {}
    assert run.unsigned_files() == ()
    hidden = {path.name for path in Path(folder).iterdir() if path.name.startswith(".")}
    assert hidden == {".lock"}, "nothing half-made is left"
