"""Messages about missing packages name a command that works for the way delaytool was installed."""

from __future__ import annotations

import importlib.metadata
import json

import pytest

from delaytool import installation


class _Distribution:
    def __init__(self, text: str | None) -> None:
        self.text = text

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.text


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, 'pip install "delaytool[train]"'),
        ({"url": "https://example.org/delaytool.whl", "archive_info": {}}, 'pip install "delaytool[train]"'),
        ({"url": "file:///home/a%20b/delaytool", "dir_info": {}}, 'pip install "/home/a b/delaytool[train]"'),
        (
            {"url": "file:///home/me/delaytool", "dir_info": {"editable": True}},
            'pip install -e "/home/me/delaytool[train]"',
        ),
    ],
)
def test_the_command_names_where_it_was_installed_from(
    monkeypatch: pytest.MonkeyPatch, origin: dict | None, expected: str
) -> None:
    text = None if origin is None else json.dumps(origin)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: _Distribution(text))
    assert installation.install_command("train") == expected


def test_a_copy_that_pip_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    assert installation.install_command("plots") == 'pip install "delaytool[plots]"'
