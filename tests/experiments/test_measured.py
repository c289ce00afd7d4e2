"""What a comparison's run keeps of itself is checked when it is read again."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from delaytool.errors import CheckpointError
from delaytool.experiments.measure_run import Measured


def test_what_was_written_is_read(tmp_path: Path) -> None:
    measured = Measured("loihi2", "", "loihi2", cores=3, accuracy=1, drop=0.5)
    Measured.path(tmp_path).write_text(json.dumps(asdict(measured)))
    assert Measured.read(tmp_path) == measured


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"integers_for": 0.5}, "integers_for is 0.5"),
        ({"cores": 1.5}, "cores is 1.5"),
        ({"accuracy": True}, "accuracy is True"),
        ({"accuracy": "0.5"}, "accuracy is 0.5"),
        ({"drop": [1]}, r"drop is \[1\]"),
        ({"target": None}, "target is None"),
        ({"right": "0120"}, "right is 0120"),
        ({"right": 7}, "right is 7"),
        ({"unknown": 1}, "unknown is 1"),
        ({"un\x1b[2Jknown": 1}, r"un\\x1b\[2Jknown is 1"),
    ],
)
def test_a_value_of_a_wrong_type_is_named(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    """A comparison's page ended in a traceback."""
    values = {**asdict(Measured("loihi2", "")), **changed}
    Measured.path(tmp_path).write_text(json.dumps(values))
    with pytest.raises(CheckpointError, match=rf"measured.json: {words}, which cannot be"):
        Measured.read(tmp_path)


def test_a_value_that_is_missing_is_named(tmp_path: Path) -> None:
    Measured.path(tmp_path).write_text(json.dumps({"target": "loihi2"}))
    with pytest.raises(CheckpointError, match="lacks 'why_not'"):
        Measured.read(tmp_path)
