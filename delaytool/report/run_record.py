"""What a run folder says in plain files: read here without PyTorch, so that a page needs none for them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from delaytool.errors import CheckpointError


@dataclass(frozen=True)
class RunRecord:
    """A run's small files.

    recipe        TOML as written
    metrics       one dictionary an epoch, in order; empty before the first epoch has ended
    summary       what the finished run says of itself; empty while it has not ended
    environment   versions and machine; empty where the run has none
    """

    path: Path
    recipe: str
    metrics: tuple[dict[str, Any], ...]
    summary: dict[str, Any]
    environment: dict[str, Any]

    @staticmethod
    def is_run(folder: Path) -> bool:
        return (folder / "recipe.toml").is_file()

    @staticmethod
    def read(folder: Path) -> RunRecord:
        """Raises CheckpointError for a folder that holds no run, or a file of it that is damaged."""
        if not RunRecord.is_run(folder):
            raise CheckpointError(
                f"{folder}: no run is there (it has no recipe.toml); give a run folder that `delaytool train` made, "
                "or a network file"
            )
        lines = [line for line in _text(folder / "metrics.jsonl").splitlines() if line.strip()]
        return RunRecord(
            path=folder,
            recipe=_text(folder / "recipe.toml"),
            metrics=tuple(_json(line, folder / "metrics.jsonl") for line in lines),
            summary=_json(_text(folder / "summary.json") or "{}", folder / "summary.json"),
            environment=_json(_text(folder / "environment.json") or "{}", folder / "environment.json"),
        )

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose network was kept: the highest validation accuracy, then the lowest loss."""
        if "best_epoch" in self.summary:
            return int(self.summary["best_epoch"])
        if not self.metrics:
            return None
        return max(self.metrics, key=lambda line: (line["validation_accuracy"], -line["validation_loss"]))["epoch"]

    @property
    def chosen_on_test(self) -> bool:
        """Whether the test part served as validation, which curves must say."""
        return self._says('protocol = "paper"')

    @property
    def learns_delays(self) -> bool:
        return self._says('delays = "learned"')

    def _says(self, line: str) -> bool:
        """Whether the recipe holds this line: the trainer writes every key, always in the same form."""
        return line in self.recipe.splitlines()

    def networks(self) -> list[Path]:
        """Exported networks, Loihi 2's first."""
        found = sorted(self.path.glob("network-*.h5"))
        return sorted(found, key=lambda path: path.name != "network-loihi2.h5")


def _text(path: Path) -> str:
    try:
        return path.read_text() if path.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error}); the run is damaged") from None


def _json(text: str, path: Path) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path}: not valid JSON ({error}); the run is damaged") from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: holds {type(value).__name__}, not a JSON object; the run is damaged")
    return value
