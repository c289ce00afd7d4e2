"""The blocks of commands and Python code of README.md and the pages in docs/, each with what is to be done with it.

An HTML comment above a block, which no reader sees, is its marker; without one the block is run as it stands:

    <!-- run; with net.h5 runs/mine -->            with these files, which `prepared.py` makes
    <!-- run; given network frames -->             Python: with these variables
    <!-- run; set trainer.epochs=1 -->             with these `--set` after `train`, `sweep` and `compare`
    <!-- run; exits 0 1 -->                        with one of these exit codes; of networks that hardly learned
    <!-- run; output varies -->                    of $ commands: what they print is not compared
    <!-- run long: four minutes on two cores -->   by `make docs-commands` alone
    <!-- not run: it downloads SHD -->             the reason why not
    <!-- tested by tests/test_x.py -->             another test runs it
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

LANGUAGES = {"sh": "shell", "console": "shell", "python": "python"}
COMMAND = re.compile(
    r"(\$ )?(delaytool|python|pip|make|torchrun|tensorboard|eval|arecord|sox|rec|cat|[A-Z_]+=\S* \w+)(\s|$)"
)
PYTHON = re.compile(r"(from|import) \w+")
MARKER = re.compile(r"<!--\s*(run long|run|not run|tested by)\b\s*(.*?)\s*-->")


@dataclass(frozen=True)
class Block:
    """Commands or code of a page.

    line        of the page, from 1, in which it begins
    kind        'shell' or 'python'
    text        its lines, without indentation
    action      'run', 'run long', 'not run' or 'tested by'
    reason      of 'not run' and 'run long'; the file of 'tested by'
    files       names of prepared files that it needs, NAME or NAME=WHAT
    given       names of prepared variables
    overrides   --set for the verbs that train
    exits       exit codes that are right
    compared    whether what $ commands print is compared with what the page shows
    """

    page: str
    line: int
    kind: str
    text: str
    action: str = "run"
    reason: str = ""
    files: tuple[str, ...] = ()
    given: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    exits: tuple[int, ...] = (0,)
    compared: bool = True

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> list[Block]:
    return blocks_of_text(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix())


def blocks_of_text(text: str, page: str) -> list[Block]:
    """Fenced blocks in a language that is run, and indented ones that look like commands or Python."""
    lines = text.splitlines()
    found: list[Block] = []
    index, marker = 0, ""
    while index < len(lines):
        line = lines[index]
        if fence := re.fullmatch(r"( *)```(\w*)", line):
            end = next(at for at in range(index + 1, len(lines)) if lines[at].strip() == "```")
            body = [one.removeprefix(fence[1]) for one in lines[index + 1 : end]]
            kind = LANGUAGES.get(fence[2])
            index, start = end + 1, index + 1
        elif line.startswith("    ") and (index == 0 or not lines[index - 1].strip()):
            end = _end_of_indented(lines, index)
            body = [one[4:] for one in lines[index:end]]
            kind = "shell" if any(COMMAND.match(one) for one in body) else None
            kind = "python" if PYTHON.match(body[0]) else kind
            index, start = end, index + 1
            if kind == "shell":  # prose stands behind commands, three spaces and more away
                body = [re.sub(r"(?<=\S)\s{3,}(?=\S).*", "", one) for one in body]
        else:
            if MARKER.fullmatch(line.strip()):
                marker = line.strip()
            elif line.strip():
                marker = ""
            index += 1
            continue
        if kind is not None:
            found.append(_block(page, start, kind, "\n".join(body), marker))
        marker = ""
    return found


def _end_of_indented(lines: list[str], index: int) -> int:
    end = index
    while end < len(lines) and (
        lines[end].startswith("    ")
        or (not lines[end].strip() and "".join(lines[end + 1 : end + 2]).startswith("    "))
    ):
        end += 1
    return end


def _block(page: str, line: int, kind: str, text: str, marker: str) -> Block:
    if not marker:
        return Block(page, line, kind, text)
    match = MARKER.fullmatch(marker)
    assert match is not None
    action, rest = match[1], match[2].lstrip(": ")
    if action in ("not run", "tested by"):
        assert rest, f"{page}:{line}: {action} without saying why or by what"
        return Block(page, line, kind, text, action, rest)
    reason, *clauses = [one.strip() for one in rest.split(";")]
    assert bool(reason) == (action == "run long"), (
        f"{page}:{line}: what is run long says how long, and nothing else does"
    )
    listed: dict[str, tuple[str, ...]] = {"with": (), "given": (), "set": (), "exits": ("0",)}
    compared = True
    for clause in clauses:
        word, _, values = clause.partition(" ")
        if word in listed:
            listed[word] = tuple(values.split())
        elif clause == "output varies":
            compared = False
        else:
            raise AssertionError(f"{page}:{line}: unknown clause {clause!r}")
    return Block(
        page, line, kind, text, action, reason, listed["with"], listed["given"], listed["set"],
        tuple(map(int, listed["exits"])), compared,
    )  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A line of a shell block, its continuation lines joined, and what the page shows that it prints, if it does."""

    text: str
    output: tuple[str, ...] | None


def commands_of(block: Block) -> list[Command]:
    """The commands of a block in order. Where any has a prompt, lines without one are output."""
    has_prompts = any(line.startswith("$ ") for line in block.text.splitlines())
    joined = re.sub(r"\s*\\\n\s*", " ", block.text).splitlines()
    commands: list[Command] = []
    for line in joined:
        if has_prompts and line.startswith("$ "):
            commands.append(Command(line[2:], ()))
        elif has_prompts and commands:
            output = commands[-1].output
            assert output is not None
            commands[-1] = Command(commands[-1].text, (*output, line.rstrip()))
        elif line.strip() and not line.lstrip().startswith("#"):
            commands.append(Command(line, None))
    return commands
