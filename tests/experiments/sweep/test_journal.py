"""The queue of a sweep: what it leaves of Optuna's settings, which the whole process shares."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna")

from delaytool.experiments.sweep.journal import Journal  # noqa: E402
from delaytool.experiments.sweep.setting import Setting  # noqa: E402


@pytest.mark.parametrize("level", [optuna.logging.DEBUG, optuna.logging.INFO, optuna.logging.ERROR])
def test_optunas_notes_are_left_out_and_its_level_stays(
    level: int, tmp_path: Path, settings: Callable[[str], list[Setting]]
) -> None:
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logger = logging.getLogger("optuna")
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(level)
    logger.addHandler(handler)
    try:
        journal = Journal(tmp_path / "journal.log", "train")
        assert optuna.logging.get_verbosity() == level
        Journal(tmp_path / "journal.log", "train")
        journal.queue(settings("seed=0")[0])
        taken = journal.take()
        assert taken is not None
        journal.finish(taken[0].number, 0.5)
        journal.drop(taken[0].number)  # it has ended already, which Optuna notes
        assert optuna.logging.get_verbosity() == level
    finally:
        logger.removeHandler(handler)
        optuna.logging.set_verbosity(before)
    assert [record.getMessage() for record in records if record.levelno == logging.INFO] == []
