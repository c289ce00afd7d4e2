"""A queue whose file is damaged: one line that names it and the way out, whatever was damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("optuna")

from delaytool.errors import DelaytoolError, SweepError
from delaytool.experiments.sweep.folder import SweepFolder
from delaytool.experiments.sweep.journal import Journal
from delaytool.experiments.sweep.results import gather
from delaytool.experiments.sweep.setting import Setting

Settings = Callable[..., list[Setting]]

ODD: tuple[Any, ...] = (None, True, -1, 7, 2**63, 0.5, "", "x", "../../x", [], [0], {}, {"a": 1}, KeyError)


@pytest.fixture
def queued(tmp_path: Path, quick: Any, settings: Settings) -> list[dict[str, Any]]:
    """The lines of a journal with two runs, of which one was taken and ended."""
    folder = SweepFolder(tmp_path, quick())
    folder.queue(settings("seed=0..1"))
    taken = folder.journal.take()
    assert taken is not None
    folder.journal.finish(taken[0].number, 0.5)
    return [json.loads(line) for line in (tmp_path / "journal.log").read_text().splitlines()]


def read_everything(folder: Path, quick: Any) -> None:
    found = SweepFolder(folder, quick())
    gather(found)
    found.journal.waiting()
    found.journal.errors()
    found.unfinished()


def variants(line: dict[str, Any]) -> list[dict[str, Any]]:
    """The line with one of its values, or of those one level below, another one or gone."""
    made = []
    for key, value in line.items():
        for odd in ODD:
            rest = {name: one for name, one in line.items() if name != key}
            made.append(rest if odd is KeyError else {**rest, key: odd})
            for inner in value if isinstance(value, dict) else ():
                less = {name: one for name, one in value.items() if name != inner}
                made.append({**rest, key: less if odd is KeyError else {**less, inner: odd}})
    return made


def test_whatever_a_line_holds_it_is_read_or_refused(tmp_path: Path, quick: Any, queued: list[dict[str, Any]]) -> None:
    path = tmp_path / "journal.log"
    refused = count = 0
    for number, line in enumerate(queued):
        for other in variants(line):
            lines = [*queued[:number], other, *queued[number + 1 :]]
            path.write_text("".join(json.dumps(one) + "\n" for one in lines))
            count += 1
            try:
                read_everything(tmp_path, quick)
            except DelaytoolError as error:
                refused += 1
                message = str(error)
                assert str(tmp_path) in message, other
                assert "\n" not in message, other
            except Exception as error:
                raise AssertionError(f"{other}: {type(error).__name__}: {error}") from error
    assert refused > 100
    assert count - refused > 20


@pytest.mark.parametrize("text", ['{"op_code":2,"half', "\x00\x01", "[" * 100_000, "null", "7", "[1]", '"é', "NaN", ""])
@pytest.mark.parametrize("place", [1, 3])
def test_a_line_that_is_no_request_is_refused_by_whatever_reads_it(
    tmp_path: Path, quick: Any, queued: list[dict[str, Any]], text: str, place: int
) -> None:
    lines = [json.dumps(line) for line in queued]
    lines[place] = text
    (tmp_path / "journal.log").write_text("\n".join(lines) + "\n")
    with pytest.raises(SweepError, match=r"journal\.log: cannot be read, it is damaged.*finished runs stay"):
        read_everything(tmp_path, quick)


def test_damage_that_comes_while_the_queue_is_open_is_refused_too(tmp_path: Path, settings: Settings) -> None:
    journal = Journal(tmp_path / "journal.log", "train")
    journal.queue(settings("seed=0")[0])
    with (tmp_path / "journal.log").open("a") as file:
        file.write('{"half\n{"op_code":0}\n')
    for ask in (
        journal.settings, journal.waiting, journal.running, journal.errors, journal.take,
        lambda: journal.finish(0, 0.5), lambda: journal.queue(settings("seed=1")[0]),
    ):  # fmt: skip
        with pytest.raises(SweepError, match="it is damaged"):
            ask()
