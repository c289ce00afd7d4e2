"""The campaign's own parts: that it would notice what it looks for, and that its table shows it."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from campaign import damaged_files
from campaign.children import Ended, in_child
from campaign.damage import damage_bytes, damage_json, damage_toml, damaged_json
from campaign.equivalents import Equivalents
from campaign.kinds import ALL, BYTES, KINDS, NEVER
from campaign.mutants import mutants

HERE = Path(__file__).parent

# Damage that once ended in a traceback, a hang or a memory bomb, of files that do not depend on how a run trains.
KEPT_SEEDS = {
    "metrics of 0.1.0, reported": (3200002, 3200004, 3300002, 3300006),
    "measured of 0.1.0, compared": (3200006,),
    "journal of 0.1.0, table": (3200002, 3200011),
    "wav": (3200079, 3300055, 3300078),
    "events": (3300095, 5000104, 5400201),
}

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks its children")


@pytest.fixture(scope="module")
def campaign():
    spec = importlib.util.spec_from_file_location("campaign_command", HERE / "__main__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["campaign_command"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_a_child_reports_its_answer_and_what_it_printed():
    ended = in_child(lambda: [print("words"), 7][1])
    assert (ended.answer, ended.output, ended.error, ended.signal, ended.hung) == (7, "words\n", "", 0, False)


def test_a_failure_a_crash_and_a_hang_of_a_child_are_different_outcomes():
    assert "ZeroDivisionError" in in_child(lambda: 1 // 0).error
    assert in_child(lambda: os.kill(os.getpid(), signal.SIGSEGV)).signal == signal.SIGSEGV
    assert in_child(lambda: time.sleep(60), seconds=0.5).hung
    assert in_child(busy_for_ever, seconds=120, processor_seconds=1).hung


def busy_for_ever() -> None:
    while True:
        pass


def test_a_child_that_takes_all_memory_is_stopped():
    ended = in_child(lambda: len(bytearray(1 << 40)))
    assert "MemoryError" in ended.error
    assert damaged_files.outcome_of(KINDS["network"], ended, (0, "x"), True)[0] == damaged_files.BOMB


@pytest.mark.parametrize(
    ("ended", "exact", "outcome"),
    [
        (Ended(answer=[0, "right"]), True, damaged_files.RIGHT),
        (Ended(answer=[0, "other"]), True, damaged_files.WRONG_LOAD),
        (Ended(answer=[0, "other"]), False, damaged_files.OTHER),
        (Ended(answer=[2, None], output="error: x: damaged\n"), True, damaged_files.REFUSED),
        (Ended(answer=[2, None], output="oh\n"), True, damaged_files.MUTE),
        (Ended(answer=[2, None], output="error: \x1b[31m\n"), True, damaged_files.ESCAPE),
        (Ended(answer=[1, None], output="error: x\n"), True, damaged_files.WRONG_CODE),
        (Ended(error="Traceback (most recent call last):\nKeyError: 1\n"), True, damaged_files.TRACEBACK),
        (Ended(signal=11), True, damaged_files.CRASH),
        (Ended(hung=True), True, damaged_files.HANG),
        (Ended(answer=[0, "right"], peak=1 << 30), True, damaged_files.BOMB),
    ],
)
def test_every_outcome_is_recognized(ended: Ended, exact: bool, outcome: str):
    assert damaged_files.outcome_of(KINDS["network"], ended, (0, "right"), exact)[0] == outcome


def test_damage_is_the_same_for_the_same_seed_and_changes_something(tmp_path: Path):
    changed = 0
    for seed in range(60):
        contents = []
        for copy in ("a", "b"):
            path = tmp_path / f"{copy}.toml"
            path.write_text("[model]\nhidden = [40]\nname = 'x'\n")
            (damage_bytes if seed % 2 else damage_toml)(random.Random(seed), path)
            contents.append(path.read_bytes().replace(str(path).encode(), b""))
        assert contents[0] == contents[1]
        changed += contents[0] != b"[model]\nhidden = [40]\nname = 'x'\n"
    assert changed > 50


def test_damaged_json_is_mostly_still_json_with_another_content(tmp_path: Path):
    text = '{"epoch": 3, "best": {"loss": 0.5, "names": ["a", "b"]}}'
    made = {damaged_json(random.Random(seed), text) for seed in range(200)}
    assert len(made) > 80
    path = tmp_path / "x.json"
    path.write_text(text)
    assert damage_json(random.Random(0), path).startswith("JSON")


def test_files_that_we_write_are_held_to_their_answer():
    """A network must never load as another; where damage is only noticed in bytes, the table shows it."""
    assert KINDS["network"].exact == ALL
    assert {kind.exact for kind in KINDS.values()} <= {ALL, BYTES, NEVER}


def test_mutants_are_many_and_named_apart():
    source = "def f(a, b):\n    if a > b:\n        return a + 1\n    return min(a, b) << 2\n"
    found = list(mutants(source, ("f",)))
    names = [mutant.name for mutant in found]
    assert len(set(names)) == len(names)
    assert "if a > b:  Gt -> GtE" in names
    assert "return a + 1  Add -> Sub" in names
    assert "return min(a, b) << 2  min -> max" in names
    for mutant in found:
        scope: dict = {}
        exec(compile(mutant.tree, "mutant", "exec"), scope)
        assert any(scope["f"](a, b) != eval_original(a, b) for a in range(4) for b in range(4)), mutant.name


def eval_original(a: int, b: int) -> int:
    return a + 1 if a > b else min(a, b) << 2


def test_equivalent_mutants_have_reasons_and_unneeded_ones_are_named():
    listed = Equivalents.read()
    assert listed.entries
    assert all(len(reason) > 20 for *_, reason in listed.entries)
    assert listed.reason("reference", "wrapped", "current = np.where(current > LIMIT, 1, 2)  Gt -> GtE")
    assert not listed.reason("reference", "wrapped", "current = np.where(current > LIMIT, 1, 2)  Gt -> Lt")
    assert len(listed.unused()) == len(listed.entries) - 1


def test_the_table_fails_where_nothing_was_compared(campaign):
    good = campaign.Part("good", "networks", count=3)
    assert not good.failed
    assert campaign.Part("empty", "networks").failed
    assert campaign.Part("bad", "files", count=3, wrong_loads=1).failed
    assert not campaign.Part("no Lava", "networks", skipped="lava-nc is not installed").failed
    table = campaign.table([good, campaign.Part("empty", "networks")])
    assert "3 networks" in table
    assert "FAIL: nothing was compared" in table


KEPT = """
import json, sys
from pathlib import Path
from campaign import damaged_files
from campaign.kinds import KINDS
from campaign.warm import import_everything

import_everything()
for name, seeds in json.loads(sys.argv[1]).items():
    right = damaged_files.right_answer(Path.cwd(), KINDS[name])
    for seed in seeds:
        found = damaged_files.one_case(Path.cwd(), KINDS[name], right, seed)
        print(json.dumps([name, seed, found.outcome]))
"""


def test_damage_that_once_was_a_fault_is_none(tmp_path: Path):
    # In a process of its own: one in which OpenMP's threads have run cannot be forked for them.
    searched = os.pathsep.join([str(HERE.parent), str(HERE.parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", KEPT, json.dumps(KEPT_SEEDS)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": searched}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert found == [[name, seed, damaged_files.REFUSED] for name, seeds in KEPT_SEEDS.items() for seed in seeds]
