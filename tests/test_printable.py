"""What a file named is shown, not obeyed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from delaytool.printable import printable


@given(st.text())
def test_nothing_that_steers_is_left(text: str) -> None:
    assert printable(text).isprintable()
    assert set(printable(text, keep="\n")) <= {"\n", *printable(text)}


@given(st.text().filter(str.isprintable))
def test_what_prints_as_itself_is_left_alone(text: str) -> None:
    assert printable(text) == text


def test_escapes_are_readable() -> None:
    assert printable("a\x1b[31m\u202eb\n\x00") == "a\\x1b[31m\\u202eb\\n\\x00"
    assert printable("hidden1 [bold] $x$ ümläut 数") == "hidden1 [bold] $x$ ümläut 数"
