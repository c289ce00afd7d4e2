"""Every command and every piece of Python of the pages is run, or says why it is not.

What takes minutes is run where DELAYTOOL_DOCS_COMMANDS is `all`: `make docs-commands`.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("torch")
pytest.importorskip("onnx")
pytest.importorskip("soundfile")
sys.path.insert(0, str(Path(__file__).parent))

from blocks import PAGES, ROOT, Block, Command, blocks_of, blocks_of_text, commands_of
from prepared import Prepared

from delaytool.cli import main

BLOCKS = {path.relative_to(ROOT).as_posix(): blocks_of(path) for path in PAGES}
LONG = os.environ.get("DELAYTOOL_DOCS_COMMANDS") == "all"
TRAINING_VERBS = ("train", "sweep", "compare")


def to_run(blocks: list[Block]) -> list[Block]:
    """Of a page; what is long brings the blocks before it along, whose files it may need."""
    return [one for one in blocks if one.action == "run" or (LONG and one.action == "run long")]


def call(*arguments: object, exits: tuple[int, ...] = (0,)) -> str:
    """What a verb prints. A run of it that ends with another exit code fails the test."""
    result = CliRunner(env={"COLUMNS": "120"}).invoke(main, [str(one) for one in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code in exits, f"delaytool {shlex.join(map(str, arguments))}\n{result.output}"
    return result.output


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Prepared:
    return Prepared(call, tmp_path_factory.mktemp("prepared"))


@pytest.fixture
def shell_environment(tmp_path_factory) -> dict[str, str]:
    """In which `delaytool` and `python` are the ones that run these tests."""
    folder = tmp_path_factory.mktemp("bin")
    for name, command in (("delaytool", '-m delaytool "$@"'), ("python", '"$@"')):
        (folder / name).write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} {command}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": path, "COLUMNS": "120"}


@pytest.mark.parametrize("page", [page for page, blocks in BLOCKS.items() if to_run(blocks)])
def test_the_commands_of_a_page_run(page, prepared, shell_environment, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks", target_is_directory=True)
    names: dict[str, object] = {"__name__": "page"}
    for block in to_run(BLOCKS[page]):
        for name in block.files:
            prepared.make(name, tmp_path)
        for name in block.given:
            names |= prepared.variables(name)
        if block.kind == "python":
            code = compile("\n" * block.line + block.text, str(ROOT / page), "exec")  # lines as in the page
            exec(code, names)
            continue
        for command in commands_of(block):
            output = run_command(with_overrides(command.text, block), shell_environment, block.exits)
            if command.output and block.compared:
                assert_shows(command, output, block)


def with_overrides(text: str, block: Block) -> str:
    """The command with the block's --set, each in place of its own of the same key, if it trains."""
    words = text.split()
    if block.overrides and len(words) > 1 and words[0] == "delaytool" and words[1] in TRAINING_VERBS:
        if "--table" in words or "--page" in words:
            return text
        head, mark, comment = text.partition("  #")
        for key in (one.partition("=")[0] for one in block.overrides):
            head = re.sub(rf" --set (['\"]?){re.escape(key)}=\S+", "", head)
        return head + "".join(f" --set {shlex.quote(one)}" for one in block.overrides) + mark + comment
    return text


def run_command(text: str, environment: dict[str, str], exits: tuple[int, ...]) -> str:
    words = shlex.split(text, comments=True)
    if words[0] == "delaytool" and not re.search(r"[|<>&;$*]", text):
        return call(*words[1:], exits=exits)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], env=environment, capture_output=True, text=True, timeout=3600
    )
    assert done.returncode in exits, f"{text}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def assert_shows(command: Command, output: str, block: Block) -> None:
    """Output is what the page shows; there, … stands for what is left out, on a line of its own for any lines."""
    assert command.output is not None
    shown = "\n".join(command.output).strip()
    pattern = re.escape(shown).replace(re.escape("\n  …\n"), r"\n(?s:.*)\n").replace(re.escape("\n…\n"), r"\n(?s:.*)\n")
    pattern = pattern.replace("…", ".*")
    printed = "\n".join(line.rstrip() for line in output.splitlines()).strip()
    assert re.match(pattern, printed), f"{block}: `{command.text}` shows\n{shown}\n\nand it prints\n{printed}"


def test_most_pages_have_commands_that_run() -> None:
    """The pages are read as they are written: if nothing were found in them, nothing would be run."""
    every = [block for blocks in BLOCKS.values() for block in blocks]
    assert len([one for one in every if one.action == "run"]) >= 30
    assert len({one.page for one in every}) >= 25
    assert sum(len(commands_of(one)) for one in every if one.kind == "shell") >= 80


@pytest.mark.parametrize(
    "block", [one for blocks in BLOCKS.values() for one in blocks if one.action == "tested by"], ids=str
)
def test_what_another_test_runs_is_named_there(block) -> None:
    path = ROOT / block.reason
    assert path.is_file(), f"{block}: there is no {block.reason}"
    assert Path(block.page).name in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "block", [one for blocks in BLOCKS.values() for one in blocks if one.action == "not run"], ids=str
)
def test_what_is_not_run_names_verbs_and_options_that_there_are(block) -> None:
    """A command that nothing runs is at least one that delaytool understands."""
    if block.kind == "python":
        compile(block.text, str(block), "exec")
        return
    for command in commands_of(block):
        for words in re.findall(r"(?:^|[|] *)delaytool ([^|<>&#]+)", command.text):
            verb, *rest = shlex.split(words.replace("[--", "--").replace("]  ", "  "))
            found = main.get_command(None, verb)  # type: ignore[arg-type]
            assert found is not None, f"{block}: {verb}"
            known = {option for parameter in found.params for option in parameter.opts} | {"--help"}
            assert {word.partition("=")[0] for word in rest if word.startswith("--")} <= known, (
                f"{block}: {command.text}"
            )


MARKED = """# Page

<!-- run; with net.h5 runs/mine; set trainer.epochs=1 model.hidden=[8]; output varies -->

```console
$ delaytool show net.h5 \\
      --json
printed
$ delaytool show runs/mine
```

Text.

    delaytool train digits     prose
    delaytool export runs/digits

<!-- not run: it takes an hour -->

    make everything

```toml
extends = "digits"
```

```python
import delaytool
```
"""


def test_blocks_are_found_with_their_markers() -> None:
    marked, plain, not_run, code = blocks_of_text(MARKED, "page.md")
    assert (marked.action, marked.files, marked.compared) == ("run", ("net.h5", "runs/mine"), False)
    assert marked.overrides == ("trainer.epochs=1", "model.hidden=[8]")
    assert commands_of(marked) == [
        Command("delaytool show net.h5 --json", ("printed",)),
        Command("delaytool show runs/mine", ()),
    ]
    assert [one.text for one in commands_of(plain)] == ["delaytool train digits", "delaytool export runs/digits"]
    assert (not_run.action, not_run.reason) == ("not run", "it takes an hour")
    assert (code.kind, code.text) == ("python", "import delaytool")
    assert with_overrides("delaytool train x  # y", marked).endswith("'model.hidden=[8]'  # y")


def test_shown_output_is_compared() -> None:
    command = Command("x", ("first", "  …", "last 1…"))
    block = Block("page.md", 1, "shell", "")
    assert_shows(command, "first\nsecond\nthird\nlast 123\nmore\n", block)
    with pytest.raises(AssertionError, match="shows"):
        assert_shows(command, "first\nsecond\nlast 2", block)
