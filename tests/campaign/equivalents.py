"""Mutants that nothing can kill, because they compute the same: listed by hand, with the reason.

A mutant is listed by its name as the campaign prints it, `line of source  change`; ` ... ` stands for anything.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from delaytool import toml

LIST = Path(__file__).with_name("equivalent_mutants.toml")


@dataclass
class Equivalents:
    """entries: (target, function, pattern that the mutant's whole name must match, reason)."""

    entries: list[tuple[str, str, str, str]]
    used: set[int] = field(default_factory=set)

    @staticmethod
    def read(path: Path = LIST) -> Equivalents:
        values = toml.loads(path.read_text(encoding="utf-8"))
        return Equivalents(
            [
                (target, function, pattern, entry["reason"])
                for target, functions in values.items()
                for function, entries in functions.items()
                for entry in entries
                for pattern in entry["mutants"]
            ]
        )

    def reason(self, target: str, function: str, mutant: str) -> str:
        """Why a mutant cannot be killed; '' where none is listed."""
        for number, (of_target, of_function, pattern, reason) in enumerate(self.entries):
            parts = map(re.escape, pattern.split(" ... "))
            if (target, function) == (of_target, of_function) and re.fullmatch(".*".join(parts), mutant):
                self.used.add(number)
                return reason
        return ""

    def unused(self) -> list[str]:
        """Patterns that no mutant has matched, so that the list cannot outlive the code."""
        return [f"{target}, {function}: {pattern}" for number, (target, function, pattern, _) in enumerate(self.entries)
                if number not in self.used]  # fmt: skip
