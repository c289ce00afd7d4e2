"""On how many samples the runs of one setting were tested, and what their test accuracies come to.

All runs of a setting have the same test part, whatever their seed is, except where speakers are held out as the test
part: then each speaker's samples are a part of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from delaytool.accuracy_errors import SeedMean, over_parts, over_seeds
from delaytool.trainer.recipe import Recipe

Tested: TypeAlias = tuple[Recipe, Mapping[str, Any]]  # a finished run's recipe and its summary


def sizes_of_test_parts(runs: Sequence[Tested]) -> dict[int | None, int]:
    """Samples of each test part, by the speaker who was held out for it; None: the data's own test part."""
    sizes: dict[int | None, int] = {}
    for recipe, summary in runs:
        if "test_samples" in summary:
            sizes.setdefault(tested_speaker(recipe), int(summary["test_samples"]))
    return sizes


def tested_speaker(recipe: Recipe) -> int | None:
    """The speaker whose samples a run is tested on; None: the data's own test part."""
    return recipe.data.held_out_speaker if recipe.data.held_out_as == "test" else None


def mean_on_test(runs: Sequence[Tested], values: Sequence[float | None]) -> SeedMean | None:
    """Mean of the runs' accuracies (or drops, in points) on test parts; None where no run has one.

    With several test parts every sample counts the same, so that the mean is the share of all samples.
    """
    known = [(run, value) for run, value in zip(runs, values, strict=True) if value is not None]
    if not known:
        return None
    kept, figures = [run for run, _ in known], [value for _, value in known]
    if len(sizes_of_test_parts(kept)) > 1:
        return over_parts(figures, [int(summary["test_samples"]) for _, summary in kept])
    return over_seeds(figures)
