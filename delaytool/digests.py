"""Small text files that carry the SHA-256 of what they hold, checked before it is used.

The digest stands in the file itself, so that no crash can part the two, in a form that each format admits:

    JSON         a last key "sha256"; it covers all bytes before the line that holds it
    JSON lines   a last key "sha256" in each line; it covers the line's bytes before `"sha256"`
    TOML         a last line `# sha256 of the lines above: …`; it covers all bytes before that line. A first line says
                 that there is a last one, because TOML that was cut short is often TOML, too

A file without a digest, as earlier versions wrote them, is read and called unsigned. A damaged digest is not an absent
one: a single changed byte leaves the word or the 64 digits, and either makes the file a damaged one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delaytool.errors import CheckpointError
from delaytool.files import write_text_atomically

_JSON_END = re.compile(rb'(?<=\n)  "sha256": "([0-9a-f]{64})"\n}\n')
_LINE_END = re.compile(rb'"sha256": "([0-9a-f]{64})"}')
_TOML_END = re.compile(rb"# sha256 of the lines above: ([0-9a-f]{64})\n")
_TOML_BEGIN = b"# signed, see the last line; to change this file, delete both\n"
_TRACE = re.compile(rb"sha256|[0-9a-f]{24}")
_LONGEST_END = 110


@dataclass(frozen=True)
class SignedText:
    """What a file holds, without its digest. is_signed: whether it had one."""

    text: str
    is_signed: bool


def write_signed_json(path: str | os.PathLike[str], value: dict[str, Any]) -> None:
    """Write a JSON object with its digest, whole or not at all."""
    whole = json.dumps({**value, "sha256": ""}, indent=2) + "\n"
    end = whole.rindex('  "sha256": ""')
    write_text_atomically(path, whole[:end] + f'  "sha256": "{_digest(whole[:end].encode())}"\n}}\n')


def read_signed_json(path: str | os.PathLike[str]) -> tuple[dict[str, Any], bool]:
    """(the object without its digest, whether it had one). Raises CheckpointError for a damaged file, OSError."""
    content = Path(path).read_bytes()
    match = _at_end(_JSON_END, content)
    is_signed = match is not None
    if match is None:
        _refuse_traces(content, path)
    else:
        _check(content[: match.start()], match, path)
    value = _json_object(content, path)
    value.pop("sha256", None)
    return value, is_signed


def signed_line(value: dict[str, Any]) -> bytes:
    """A JSON object as a line of its own, with its digest."""
    whole = json.dumps({**value, "sha256": ""})
    body = whole[: whole.rindex('"sha256"')].encode()
    return body + f'"sha256": "{_digest(body)}"}}\n'.encode()


@dataclass(frozen=True)
class SignedLine:
    """A line of a file, as it is there (with its end) and as an object without its digest."""

    raw: bytes
    value: dict[str, Any]
    is_signed: bool


def read_signed_lines(path: str | os.PathLike[str], *, may_be_cut: bool = True) -> Iterator[SignedLine]:
    """The lines of a file that `signed_line` made; none where there is no file.

    may_be_cut   a last line that was cut short is left out: its writer was killed, or is at it now
    Raises CheckpointError for a damaged line, and for one that was cut short where none may be; OSError.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        return
    lines = content.split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        is_last = number == len(lines)  # without a line end, because the content does not end in one
        match = _at_end(_LINE_END, line)
        if match is not None:
            _check(line[: match.start()], match, place)
        elif is_last and _LINE_END.search(line) is None:
            if not _is_json_object(line):
                if may_be_cut:
                    return
                raise CheckpointError(f"{place}: was cut short after its run had ended; the run is damaged")
        else:
            _refuse_traces(line, place)
        value = _json_object(line, place)
        value.pop("sha256", None)
        yield SignedLine(line + b"\n", value, match is not None)


def write_signed_toml(path: str | os.PathLike[str], text: str) -> None:
    """Write TOML with its digest, whole or not at all. text: ends with a line end."""
    text = _TOML_BEGIN.decode() + text
    write_text_atomically(path, text + f"# sha256 of the lines above: {_digest(text.encode())}\n")


def read_signed_toml(path: str | os.PathLike[str]) -> SignedText:
    """A TOML file's text. Raises CheckpointError for a damaged file, OSError."""
    content = Path(path).read_bytes()
    match = _at_end(_TOML_END, content)
    says_signed = content.startswith(_TOML_BEGIN) or _TOML_BEGIN.startswith(content)
    if match is None:
        _refuse_traces(content, path)
        if says_signed:
            raise CheckpointError(
                f"{path}: is not what was written (its last line, the SHA-256, is missing); put the file back as it "
                "was, or, where a change is meant, delete the first line, too"
            )
        return SignedText(_text(content, path), False)
    if match[1].decode() != _digest(content[: match.start()]):
        lines = "the first and the last line" if says_signed else "the last line"
        raise CheckpointError(
            f"{path}: is not what was written (its SHA-256 differs); undo the change, or, where it is meant, "
            f"delete {lines}"
        )
    return SignedText(_text(content[: match.start()].removeprefix(_TOML_BEGIN), path), True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _at_end(pattern: re.Pattern[bytes], content: bytes) -> re.Match[bytes] | None:
    start = max(0, len(content) - _LONGEST_END)
    for match in pattern.finditer(content, start):
        if match.end() == len(content):
            return match
    return None


def _check(covered: bytes, match: re.Match[bytes], place: object) -> None:
    if match[1].decode() != _digest(covered):
        raise CheckpointError(f"{place}: is not what was written (its SHA-256 differs); the run is damaged")


def _refuse_traces(content: bytes, place: object) -> None:
    """An unsigned file holds no part of a digest at its end."""
    if _TRACE.search(content, max(0, len(content) - _LONGEST_END)):
        raise CheckpointError(f"{place}: its SHA-256, at the end, is damaged; the run is damaged")


def _text(content: bytes, place: object) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise CheckpointError(f"{place}: cannot be read ({error}); the run is damaged") from None


def _is_json_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _json_object(content: bytes, place: object) -> dict[str, Any]:
    try:
        value = json.loads(_text(content, place))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{place}: not valid JSON ({error}); the run is damaged") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{place}: holds {type(value).__name__}, not a JSON object; the run is damaged")
    return value
