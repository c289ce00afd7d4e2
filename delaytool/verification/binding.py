"""Whether a network's integers and class names are those of a trained checkpoint: what was compared, what came out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from delaytool.verification.integers import IntegerComparison, ValueDifference

MOST_NAMED = 10


@dataclass(frozen=True)
class Binding:
    """The file's integers beside those that the checkpoint compiles to, and its class names beside the run's.

    checkpoint        its path, as the user would write it
    comparison        of the file (left) with the compilation (right); None where the checkpoint does not compile to
                      such a network at all
    failure           why it does not; '' where it does
    checkpoint_sha256, recorded_sha256   of the checkpoint's bytes now, and as the file records them (None: it does not)
    names             classes that the two name differently; None where they are not compared
    nameless          where they are not, which of the two holds none: 'the file' or 'the run'
    """

    checkpoint: str
    comparison: IntegerComparison | None
    failure: str
    checkpoint_sha256: str
    recorded_sha256: str | None
    names: tuple[ValueDifference, ...] | None = ()
    nameless: str = ""

    @property
    def is_equal(self) -> bool:
        """Every integer was compared and none differs, nor does a class name."""
        return self._has_equal_integers and not self.names

    @property
    def _has_equal_integers(self) -> bool:
        return self.comparison is not None and self.comparison.compared > 0 and not self.comparison.differences

    @property
    def other_checkpoint(self) -> str:
        """That the checkpoint's bytes are not those that the file records; '' where they are, or it records none."""
        if self.recorded_sha256 in (None, self.checkpoint_sha256):
            return ""
        return (
            f"{self.checkpoint} is not the checkpoint that the file records: its SHA-256 is "
            f"{self.checkpoint_sha256[:12]}…, the file's {str(self.recorded_sha256)[:12]}…"
        )

    def describe(self) -> str:
        """The result of the comparison, in a sentence."""
        note = f"; {self.other_checkpoint}" if self.other_checkpoint else ""
        if self.comparison is None:
            return f"the integers are not those of {self.checkpoint}, which does not compile: {self.failure}{note}"
        if self.names is None:
            note = f"; class names are not compared: {self.nameless} holds none{note}"
        named = f"{len(self.names)} class names are not those of the run; " if self.names else ""
        if self._has_equal_integers:
            return (
                f"{named}the integers are those of {self.checkpoint}, compiled again: "
                f"{self.comparison.compared:,} values compared, all equal{note}"
            )
        differences = self.comparison.differences
        return (
            f"{named}the integers are not those of {self.checkpoint}, compiled again: {len(differences):,} of "
            f"{self.comparison.compared:,} values differ{note}"
        )

    def named_differences(self) -> list[str]:
        """The first few, class names before integers, each with both values."""
        integers = () if self.comparison is None else self.comparison.differences
        names = [one.describe("the file", "the run") for one in self.names or ()]
        return [*names, *(one.describe("the file", self.checkpoint) for one in integers[:MOST_NAMED])][:MOST_NAMED]

    def as_dict(self) -> dict[str, Any]:
        """For machines: JSON values only."""
        return {
            "bound": self.is_equal,
            "statement": self.describe(),
            "checkpoint": self.checkpoint,
            "checkpoint_sha256": self.checkpoint_sha256,
            "recorded_sha256": self.recorded_sha256,
            "compared": 0 if self.comparison is None else self.comparison.compared,
            "differing": None if self.comparison is None else len(self.comparison.differences),
            "differing_class_names": None if self.names is None else len(self.names),
            "differences": self.named_differences(),
        }
