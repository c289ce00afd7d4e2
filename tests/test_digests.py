"""No single changed byte makes another record of a file that carries its digest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delaytool.digests import (
    read_signed_json,
    read_signed_lines,
    read_signed_toml,
    signed_line,
    write_signed_json,
    write_signed_toml,
)
from delaytool.errors import CheckpointError

ENVIRONMENT = {"delaytool": "0.1.0", "threads": 2, "cuda": None, "loss": 0.25, "layers": {"hidden1": [1, 2, 30]}}
LINES = [{"epoch": epoch, "train_loss": 1 / epoch, "spikes": {"hidden1": 3.5}} for epoch in (1, 2, 3)]
TOML = 'name = "a"\nseed = 0\n\n[trainer]\nepochs = 30\nlr = 0.005\n'


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [line.value for line in read_signed_lines(path)]


def write_lines(path: Path) -> None:
    path.write_bytes(b"".join(map(signed_line, LINES)))


CASES: dict[str, tuple[Callable[[Path], object], Callable[[Path], object], object]] = {
    "json": (lambda path: write_signed_json(path, ENVIRONMENT), lambda path: read_signed_json(path)[0], ENVIRONMENT),
    "lines": (write_lines, read_lines, LINES),
    "toml": (lambda path: write_signed_toml(path, TOML), lambda path: read_signed_toml(path).text, TOML),
}


@pytest.mark.parametrize("kind", CASES)
def test_every_byte_changed_in_every_bit_and_to_every_usual_character(kind: str, tmp_path: Path) -> None:
    write, read, content = CASES[kind]
    path = tmp_path / "file"
    write(path)
    assert read(path) == content
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        for other in {whole[place] ^ (1 << bit) for bit in range(8)} | set(b'\n\r {}[]",:0a#') - {whole[place]}:
            path.write_bytes(whole[:place] + bytes([other]) + whole[place + 1 :])
            with pytest.raises(CheckpointError) as caught:
                read(path)
            assert "\n" not in str(caught.value)
            refused += 1
    assert refused > 10 * len(whole)


@pytest.mark.parametrize("kind", CASES)
def test_cut_short(kind: str, tmp_path: Path) -> None:
    """Of lines a last one may be cut, by a kill: those before it are read. All else is refused."""
    write, read, _ = CASES[kind]
    path = tmp_path / "file"
    write(path)
    whole = path.read_bytes()
    for size in range(1, len(whole)):
        path.write_bytes(whole[:size])
        if kind == "lines":
            ends = [index for index, byte in enumerate(whole[: size + 1]) if byte == 10]
            # Of a line that lacks its end alone, nothing is lost.
            assert read(path) == LINES[: len(ends)]
        else:
            with pytest.raises(CheckpointError):
                read(path)


def test_others_compute_it_without_delaytool(tmp_path: Path) -> None:
    """As docs/file-formats.md describes."""
    write_signed_json(tmp_path / "a.json", ENVIRONMENT)
    lines = (tmp_path / "a.json").read_bytes().splitlines(keepends=True)
    digest = hashlib.sha256(b"".join(lines[:-2])).hexdigest()
    assert json.loads((tmp_path / "a.json").read_text()) == {**ENVIRONMENT, "sha256": digest}
    write_signed_toml(tmp_path / "a.toml", TOML)
    lines = (tmp_path / "a.toml").read_bytes().splitlines(keepends=True)
    assert lines[-1].decode().split()[-1] == hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    write_lines(tmp_path / "a.jsonl")
    for line in (tmp_path / "a.jsonl").read_bytes().splitlines():
        covered, _, _ = line.rpartition(b'"sha256"')
        assert json.loads(line)["sha256"] == hashlib.sha256(covered).hexdigest()


def test_files_without_a_digest_are_read_and_called_so(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ENVIRONMENT, indent=2) + "\n")
    assert read_signed_json(tmp_path / "a.json") == (ENVIRONMENT, False)
    (tmp_path / "a.toml").write_text(TOML)
    assert not read_signed_toml(tmp_path / "a.toml").is_signed
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    assert [line.is_signed for line in read_signed_lines(tmp_path / "a.jsonl")] == [False] * 3
    assert read_lines(tmp_path / "a.jsonl") == LINES
    assert read_lines(tmp_path / "none.jsonl") == []


values = st.dictionaries(
    st.text().filter(lambda name: name != "sha256"),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)


@given(values, st.lists(values, max_size=4))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, value: dict[str, Any], lines: list) -> None:
    folder = tmp_path_factory.mktemp("digests")
    write_signed_json(folder / "a.json", value)
    assert read_signed_json(folder / "a.json") == (value, True)
    (folder / "a.jsonl").write_bytes(b"".join(map(signed_line, lines)))
    assert read_lines(folder / "a.jsonl") == lines
