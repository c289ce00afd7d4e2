"""The logic of `benchmarks/gpu.py`: budget, parts that are cut or fail, the files that it writes."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from gpu_page import page
from gpu_run import Budget, Context, Results, run_part
from gpu_tests import FILES, ROOT, rows_of

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def context_of(folder, seconds=60.0, tiny=False):
    return Context("cpu", tiny, folder, Budget(seconds))


def written(folder):
    return json.loads((folder / "results.json").read_text())["parts"]


def test_a_budget_counts_down():
    clock = Clock()
    budget = Budget(10.0, clock)
    clock.now += 4
    assert (budget.spent, budget.left) == (4.0, 6.0)
    clock.now += 10
    assert budget.left < 0


def test_what_no_longer_fits_is_skipped_with_a_sentence(folder):
    context = context_of(folder, 10.0)
    assert context.allows("a short one", 5.0)
    assert not context.allows("a long one", 50.0)
    assert context.skipped == ["a long one was skipped: it takes about 50 s, and 10 s are left"]
    assert context_of(folder, 10.0, tiny=True).allows("a long one, tiny", 50.0)


def test_every_row_is_written_when_it_is_there(folder):
    results = Results(folder, {"device": "cpu"})

    def part(context):
        yield {"row": 1}
        assert written(folder)["some"]["rows"] == [{"row": 1}]
        yield {"row": 2}

    assert run_part("some", part, 1.0, context_of(folder), results) == "complete"
    assert written(folder)["some"]["rows"] == [{"row": 1}, {"row": 2}]
    assert written(folder)["some"]["status"] == "complete"


def test_a_part_is_cut_when_its_share_is_over_and_keeps_its_rows(folder):
    def endless(context):
        yield {"row": 1}
        while True:
            time.sleep(0.01)

    results = Results(folder, {})
    assert run_part("endless", endless, 0.2 / 60, context_of(folder), results) == "cut"
    kept = written(folder)["endless"]
    assert kept["rows"] == [{"row": 1}]
    assert "the rest was cut" in kept["skipped"][0]
    assert run_part("next", lambda context: iter([{"row": 3}]), 1.0, context_of(folder), results) == "complete"


def test_a_part_sees_how_much_of_its_share_is_left(folder):
    def part(context):
        yield {"left": context.left, "fits": context.allows("one", 20.0)}

    run_part("part", part, 0.25, context_of(folder), Results(folder, {}))
    row = written(folder)["part"]["rows"][0]
    assert 10 < row["left"] <= 15
    assert not row["fits"]


def test_what_rows_took_counts_in_place_of_an_estimate(folder):
    def part(context):
        assert not context.allows("one", 100.0)
        yield {}
        yield {"fits": context.allows("one", 100.0)}

    assert run_part("part", part, 1.0, context_of(folder), Results(folder, {})) == "complete"
    assert written(folder)["part"]["rows"][1]["fits"]


@pytest.mark.parametrize("error", [RuntimeError("no memory"), ImportError("No module named 'DCLS'")])
def test_a_part_that_fails_states_why_and_keeps_its_rows(folder, error):
    def part(context):
        yield {"row": 1}
        raise error

    assert run_part("part", part, 1.0, context_of(folder), Results(folder, {})) == "failed"
    kept = written(folder)["part"]
    assert kept["rows"] == [{"row": 1}]
    assert str(error) in kept["error"]


def test_nothing_begins_once_the_budget_is_over(folder):
    def part(context):
        raise AssertionError("it began")

    context = context_of(folder, 0.5)
    assert run_part("part", part, 1.0, context, Results(folder, {})) == "skipped"
    assert "was over before it began" in written(folder)["part"]["skipped"][0]


PYTEST = """
tests/gpu/test_a.py::test_one[float32] PASSED                    [ 25%]
tests/gpu/test_a.py::test_one[two taps, a bias] FAILED           [ 50%]
tests/gpu/test_a.py::test_two SKIPPED (no NVIDIA GPU)            [ 75%]
____________________ test_one[two taps, a bias] __________________
tests/gpu/test_a.py:3: in test_one
E   AssertionError: 3 values differ
SKIPPED [1] tests/gpu/test_a.py:9: no NVIDIA GPU
"""


def test_outcomes_are_counted_and_failures_name_the_fault():
    rows = rows_of(PYTEST, 1, ended=False)
    assert rows[0] == {"test": "all", "outcome": "1 passed, 1 failed, 1 skipped", "note": "exit code 1"}
    assert rows[1]["test"] == "tests/gpu/test_a.py::test_one[two taps, a bias]"
    assert rows[1]["note"] == "E   AssertionError: 3 values differ"
    assert rows[2]["note"].endswith("no NVIDIA GPU")
    assert rows_of(PYTEST.splitlines()[1], None, ended=True)[0]["note"] == "ended before all were run"


def test_every_file_of_tests_is_run():
    assert sorted(FILES) == sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/gpu/test_*.py"))


def test_a_run_of_no_tests_is_a_failure():
    with pytest.raises(RuntimeError, match="named no test"):
        rows_of("ERROR: file not found: tests/gpu", 4, ended=False)


def test_the_page_shows_rows_statuses_and_what_was_skipped_as_text():
    part = {"status": "cut", "seconds": 1.5, "rows": [{"what": "<b>", "seconds": 0.125}], "skipped": ["a <rest>"]}
    text = page({"device": "cpu", "tiny": True, "parts": {"steps": part, "later": {**part, "error": "it & that"}}})
    assert "&lt;b&gt;" in text
    assert "0.125" in text
    assert "a &lt;rest&gt;" in text
    assert "it &amp; that" in text
    assert "No time here says anything about a GPU" in text
    assert "http" not in text.replace("https://www.w3.org", "")


def run(*arguments):
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_writes_both_files(tmp_path):
    result = run("-o", tmp_path / "out", "--device", "cpu", "--tiny", "--only", "environment")
    assert result.returncode == 0, result.stderr
    rows = written(tmp_path / "out")["environment"]["rows"]
    assert {"Python", "torch", "triton", "numpy", "dcls"} <= {row["name"] for row in rows}
    assert "Environment" in (tmp_path / "out" / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "cpu"], "--device cpu needs --tiny"),
        (["--device", "cpu", "--tiny", "--budget", "0"], "give a number of seconds above 0"),
        (["--only", "nothing"], "invalid choice: 'nothing'"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, message):
    result = run("-o", tmp_path / "out", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()
