"""Moran's I of a layer's receptive fields, excitation and inhibition apart, against two ways to shuffle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from delaytool.analysis.morans_i import Contiguity, Null, PermutationTest, permutation_test
from delaytool.analysis.receptive_fields import PARTS, part_of

NULLS: tuple[Null, ...] = get_args(Null)
LEVEL = 0.05


@dataclass(frozen=True)
class MoranSettings:
    """How Moran's I is tested (`morans_i.permutation_test`).

    permutations   of each test; with fewer than 19 nothing is significant, as p is at least 1 / (permutations + 1)
    """

    contiguity: Contiguity = "queen"
    permutations: int = 999
    seed: int = 0


@dataclass(frozen=True)
class LayerStructure:
    """One layer at one stage of training.

    fields   (neuron, unit, delay)
    tests    by part of the fields ('signed', 'excitation', 'inhibition'), then by null ('cells', 'weights')
    """

    fields: np.ndarray
    tests: dict[str, dict[Null, PermutationTest]]

    def summary(self) -> dict[str, Any]:
        """By part, as JSON values: means over neurons, their deviation (None of one), the share significant at 5 %."""
        return {part: _summary(tests) for part, tests in self.tests.items()}

    def neurons(self) -> list[dict[str, Any]]:
        """A row for each neuron and part, with plain numbers; None where a neuron has nothing to measure."""
        rows = []
        for part, tests in self.tests.items():
            cells = np.count_nonzero(part_of(self.fields, part), axis=(1, 2))
            for neuron, count in enumerate(cells):
                row: dict[str, Any] = {"neuron": neuron, "part": part, "cells": int(count)}
                row["morans_i"] = _number(tests["cells"].i[neuron])
                for null, test in tests.items():
                    row[f"{null}_shuffled_mean"] = _number(test.mean[neuron])
                    row[f"{null}_shuffled_deviation"] = _number(test.deviation[neuron])
                    row[f"{null}_z"] = _number(test.z[neuron])
                    row[f"{null}_p"] = _number(test.p[neuron])
                rows.append(row)
        return rows

    def most_tuned(self, count: int) -> np.ndarray:
        """Neurons in falling order of their signed field's Moran's I; those without one come last."""
        values = self.tests["signed"]["cells"].i
        return np.argsort(-np.where(np.isfinite(values), values, -np.inf), kind="stable")[:count]


def layer_structure(
    fields: np.ndarray, settings: MoranSettings, progress: Callable[[int, int], None] | None = None
) -> LayerStructure:
    """Test every part of the fields (neuron, unit, delay) against every null.

    progress is called with (done, of how many).
    """
    occupied = fields != 0
    runs = [(part, null) for part in PARTS for null in NULLS]
    tests: dict[str, dict[Null, PermutationTest]] = {part: {} for part in PARTS}
    for index, (part, null) in enumerate(runs):

        def report(done: int, total: int, before: int = index) -> None:
            if progress is not None:
                progress(before * 1000 + 1000 * done // total, 1000 * len(runs))

        tests[part][null] = permutation_test(
            part_of(fields, part), null=null, occupied=occupied, permutations=settings.permutations,
            seed=settings.seed, contiguity=settings.contiguity, progress=report,
        )  # fmt: skip
    return LayerStructure(fields, tests)


def _summary(tests: dict[Null, PermutationTest]) -> dict[str, Any]:
    i = tests["cells"].i
    defined = np.isfinite(i)
    count = int(defined.sum())
    if count == 0:
        return {"neurons": 0}
    return {
        "neurons": count,
        "morans_i_mean": float(i[defined].mean()),
        "morans_i_deviation": float(i[defined].std(ddof=1)) if count > 1 else None,
        **{
            f"{null}_shuffled": {
                "morans_i_mean": float(test.mean[defined].mean()),
                "share_significant": float((test.p[defined] <= LEVEL).mean()),
            }
            for null, test in tests.items()
        },
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
