"""Pictures of the README's commands in a terminal of 80 columns: python docs/make_terminal_pictures.py [FOLDER].

Each command runs in a pseudo-terminal, so that it prints what a person sees, with colors and progress bars; pyte keeps
the screen, rich writes it as SVG. Lines that a command prints wider than the terminal, which it then breaks inside
words, are listed, and the exit code is 1. Needs a system with pseudo-terminals, and pip install -e '.[dev]'.
"""

from __future__ import annotations

import io
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pyte
from rich.cells import cell_len
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import MONOKAI
from rich.text import Text

COLUMNS, LINES = 80, 600
# A command that ends a line stays whole: broken by the terminal it can be copied, wrapped between words it cannot.
COPIED = re.compile(r"(?:^|: )delaytool [a-z]")
PICTURES = Path(__file__).parents[1] / "build" / "terminal"
# Name of the picture, and the command as the README has it, on data that need no download.
COMMANDS = {
    "train": "delaytool train digits -o runs/digits --set trainer.epochs=12",
    "export": "delaytool export runs/digits --target loihi2",
    "verify": "delaytool verify runs/digits/network-loihi2.h5 --torch --run runs/digits",
    "report": "delaytool report runs/digits -o report.html",
    "map": "delaytool map digits",
    "show": "delaytool show runs/digits/network-loihi2.h5",
    "recipes": "delaytool recipes",
    "analyze": "delaytool analyze runs/digits",
    "sweep": "delaytool sweep digits --over trainer.lr=1e-3,5e-3 --set model.hidden=[24] --set trainer.epochs=3",
    "compare": "delaytool compare digits fixed.toml --seeds 2 --set model.hidden=[24] --set trainer.epochs=3",
}
FIXED = 'extends = "digits"\nmodel.delays = "fixed"\n'


@dataclass(frozen=True)
class Screen:
    """What a command left on the terminal, as text with styles, and the lines that were too wide for it."""

    text: Text
    too_wide: tuple[str, ...]
    exit_code: int


def run(command: str, folder: Path) -> Screen:
    """Run a command in a pseudo-terminal of 80 columns."""
    arguments = shlex.split(command)
    if arguments[0] == "delaytool":
        arguments[:1] = [sys.executable, "-m", "delaytool"]
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "50", "TERM": "xterm-256color"}
    environment = {name: value for name, value in environment.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    master, slave = pty.openpty()
    process = subprocess.Popen(
        arguments, cwd=folder, env=environment, stdin=slave, stdout=slave, stderr=slave, close_fds=True
    )
    os.close(slave)
    printed = b""
    while True:
        try:
            piece = os.read(master, 65536)
        except OSError:  # Linux's answer where the other end is closed
            break
        if not piece:
            break
        printed += piece
    os.close(master)
    code = process.wait()
    screen = pyte.Screen(COLUMNS, LINES)
    pyte.ByteStream(screen).feed(printed)
    return Screen(_styled(screen), too_wide(printed.decode(errors="replace")), code)


def too_wide(printed: str) -> tuple[str, ...]:
    """Lines of more than 80 columns, which the terminal breaks at its edge. Commands to copy are not counted."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed)
    lines = (line.rpartition("\r")[2] for line in plain.replace("\r\n", "\n").split("\n"))
    return tuple(line for line in lines if cell_len(line) > COLUMNS and not COPIED.search(line))


def _styled(screen: pyte.Screen) -> Text:
    lines = []
    for number in range(LINES):
        line = Text()
        cells = [screen.buffer[number][column] for column in range(COLUMNS)]
        for (color, bold, italic), part in groupby(cells, key=lambda cell: (cell.fg, cell.bold, cell.italics)):
            line.append("".join(cell.data for cell in part), Style(color=_color(color), bold=bold, italic=italic))
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return Text("\n").join(lines)


def _color(name: str) -> str | None:
    """pyte's name of a color, or six hexadecimal digits, as rich has it."""
    if name == "default":
        return None
    if re.fullmatch(r"[0-9a-f]{6}", name):
        return f"#{name}"
    return name.replace("bright", "bright_").replace("brown", "yellow")


def save_svg(screen: Screen, command: str, path: Path) -> None:
    """The screen with its command as SVG that fetches nothing."""
    # rich breaks what just fits, so its own lines are a little longer.
    console = Console(record=True, width=COLUMNS + 1, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "bold green"), command), highlight=False)
    console.print(screen.text, highlight=False)
    svg = console.export_svg(title=f"{COLUMNS} columns", theme=MONOKAI, unique_id=path.stem)
    path.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")


def main(folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    bad = 0
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "fixed.toml").write_text(FIXED)
        for name, command in COMMANDS.items():
            screen = run(command, Path(place))
            save_svg(screen, command, folder / f"{name}.svg")
            print(f"{folder / name}.svg: exit code {screen.exit_code}, {len(screen.too_wide)} lines too wide")
            for line in screen.too_wide:
                print(f"  {line}")
            bad += len(screen.too_wide) + (screen.exit_code not in (0, 1))
    return 1 if bad else 0


if __name__ == "__main__":
    if shutil.which("stty") is None:
        sys.exit("pseudo-terminals are needed; run this on Linux or macOS")
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES))
