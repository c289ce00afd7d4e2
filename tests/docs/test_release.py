"""What is checked before a release."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / ".ci" / "check_release.py"

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="a source distribution has no .ci")


@pytest.fixture
def problems():
    spec = importlib.util.spec_from_file_location("check_release", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.problems


@pytest.fixture
def project(tmp_path):
    (tmp_path / "delaytool").mkdir()
    (tmp_path / "delaytool/version.py").write_text('"""Doc."""\n\n__version__ = "1.2.3"\n')
    (tmp_path / "CITATION.cff").write_text("cff-version: 1.2.0\nversion: 1.2.3\n")
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-11-26\n")
    return tmp_path


def test_a_version_that_all_files_name_can_be_released(problems, project) -> None:
    assert problems("v1.2.3", project) == []


def test_each_file_that_names_another_version_is_a_problem(problems, project) -> None:
    assert [line.split()[0] for line in problems("v1.2.4", project)] == [
        "delaytool/version.py", "CITATION.cff", "CHANGELOG.md",
    ]  # fmt: skip


def test_a_version_without_a_date_is_a_problem(problems, project) -> None:
    path = project / "CHANGELOG.md"
    path.write_text(path.read_text().replace("2026-11-26", "unreleased"))
    assert problems("v1.2.3", project) == ["CHANGELOG.md has no heading '## [1.2.3] - YYYY-MM-DD'"]


def test_the_citation_names_the_present_version() -> None:
    version = (ROOT / "delaytool/version.py").read_text(encoding="utf-8").split('"')[-2]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
