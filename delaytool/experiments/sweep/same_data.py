"""Whether runs that stand in one table were tested on the same samples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from delaytool.experiments.sweep.results import FOLD, RunResult
from delaytool.trainer.recipe import Recipe

_KEY_OF_FOLD = FOLD.partition(".")[2]


def changed_data(runs: Iterable[RunResult]) -> list[str]:
    """A sentence for each group of finished runs whose recipes name the same data, but whose test parts differ.

    Frames are compared where they were made in the same way: counts, for one, end at the largest of a training part
    that the seed decides. Runs of versions that kept no digests are left out.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        digests = run.summary.get("data_sha256")
        if digests:
            same = groups.setdefault(repr((_data_of(run.setting.recipe), digests["encoding"])), {})
            same.setdefault(digests["test"], []).append(run.setting.name)
    sentences = []
    for same in groups.values():
        first, *others = same.values()
        for names in others:
            sentences.append(
                f"{names[0]}{_more(names)}: tested on other samples than {first[0]}{_more(first)}, as the data have "
                "changed in between, so their accuracies cannot be compared; train all of them in a new folder"
            )
    return sentences


def _data_of(recipe: Recipe) -> dict[str, Any]:
    """The keys that decide the test part."""
    return recipe.data.model_dump(mode="json", exclude={_KEY_OF_FOLD})


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""
