"""The examples in docstrings are what happens; those of public names are executed by tests/docs."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import delaytool

PACKAGE = Path(delaytool.__file__).parent
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_what_happens(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    public = {f"{name}.{each}" for each in delaytool.__all__}
    found = [one for one in doctest.DocTestFinder().find(module) if one.name not in public]
    runner = doctest.DocTestRunner()
    output: list[str] = []
    for one in found:
        runner.run(one, out=output.append)
    assert not runner.failures, "".join(output)
