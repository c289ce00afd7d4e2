"""JSON as files may hold it: exact integers, finite numbers, no name twice, no depth that could exhaust a stack."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 100
MAX_DIGITS = 20  # of an integer: 64 bits have at most 20


def parse_json(text: str, *, constants_as_null: bool = False) -> Any:
    """The value of a JSON text.

    constants_as_null   read NaN and the infinities, which JSON does not have but Python writes, as null
    Raises ValueError, with the reason, for anything else that is not JSON as above.
    """
    _check_depth(text)
    try:
        return json.loads(
            text,
            parse_int=_integer,
            parse_float=_float,
            parse_constant=(lambda _: None) if constants_as_null else _refuse_constant,
            object_pairs_hook=_object,
        )
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels") from None


def _check_depth(text: str) -> None:
    """Before the parser, which recurses. Brackets inside texts do not count."""
    depth, in_text, escaped = 0, False, False
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    for character in text:
        if in_text:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_text = False
        elif character == '"':
            in_text = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise ValueError(f"it is nested deeper than {MAX_DEPTH} levels")
        elif character in "]}":
            depth -= 1


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"an integer has {len(text.lstrip('-'))} digits, more than {MAX_DIGITS}")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is not finite")
    return value


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {twice[:40]!r} stands in one object twice")
    return values
