"""The reference: every public name is in it, with an example that is executed."""

from __future__ import annotations

import doctest
import importlib.util
import re
import sys
from pathlib import Path

import pytest

import delaytool as dt

ROOT = Path(__file__).parents[2]
PUBLIC = sorted(set(dt.__all__) - {"__version__"})
WITHOUT_TORCH = {"DelaytoolError", "IntegerNetwork", "Stream", "Trace", "Verdict", "load", "predict", "run", "verify"}
HAS_TORCH = importlib.util.find_spec("torch") is not None

sys.path.insert(0, str(ROOT / "docs"))


@pytest.fixture
def in_a_project(tmp_path, monkeypatch):
    """A working directory in which tests/golden is found, as in the project's own folder."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "golden").symlink_to(ROOT / "tests" / "golden", target_is_directory=True)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", PUBLIC)
def test_the_example_of_a_public_name_is_what_happens(name, in_a_project) -> None:
    if name not in WITHOUT_TORCH and not HAS_TORCH:
        pytest.skip("PyTorch is not installed")
    value = getattr(dt, name)
    module = sys.modules[value.__module__]
    found = doctest.DocTestFinder(recurse=False).find(value, name, globs=vars(module).copy(), module=module)
    assert sum(len(one.examples) for one in found) > 0, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for one in found:
        output: list[str] = []
        runner.run(one, out=output.append)
        assert not runner.failures, "".join(output)


def test_every_public_name_is_in_the_reference_once() -> None:
    pages = "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs/reference").glob("*.md")))
    assert sorted(re.findall(r"^::: delaytool\.(\w+)$", pages, re.MULTILINE)) == PUBLIC


def test_every_public_name_is_in_the_table_of_names() -> None:
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    table = page.partition("## Names")[2].partition("\n\n**What is public")[0]
    assert set(re.findall(r"(\w+)(?=[(`])", table)) >= set(PUBLIC)


def test_docstrings_become_markdown() -> None:
    pytest.importorskip("griffe")
    import docstring_markdown

    result = doctest.testmod(docstring_markdown)
    assert result.attempted
    assert not result.failed
