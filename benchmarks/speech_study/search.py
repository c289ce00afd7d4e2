"""How settings are chosen: on folds of the training part's speakers, never on the test part.

First a screening design: every factor (one or several settings) has a low and a high level, and a Plackett-Burman
matrix tells each run which level each factor has, so that all runs measure every factor's main effect at once: the
half of the runs with the high level against the other half. Runs go through the folds in turn. A linear model of the
levels and the folds gives effects with their standard errors.

Then candidates: every factor at its better level; the same with each of the least certain factors at the other level;
all at low, which is where the search began. Each is trained on every fold, and the best mean wins. The reference
formulation is searched in the same way over those factors that it has, with as many runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jobs import Job
from study_data import FOLDS

# The generators of Plackett and Burman's matrices (Biometrika 33:305, 1946): the first row, which is then shifted.
GENERATORS = {8: "+++-+--", 12: "++-+++---+-", 20: "++--++++-+-+----++-", 24: "+++++-+-++--++--+-+----"}


@dataclass(frozen=True)
class Factor:
    """Settings at the low and at the high level."""

    name: str
    low: tuple[str, ...]
    high: tuple[str, ...]


# Level low of every factor is the paper's recipe in its small size.
SHARED = (
    Factor("batches of 128", ("trainer.batch_size=256",), ("trainer.batch_size=128",)),
    Factor("dropout 0.2", ("model.dropout=0.4",), ("model.dropout=0.2",)),
    Factor("weight decay 1e-4", ("trainer.weight_decay=1e-5",), ("trainer.weight_decay=1e-4",)),
    Factor("lr 1e-2", ("trainer.lr=5e-3",), ("trainer.lr=1e-2",)),
    Factor("time shift", ("trainer.time_shift=0",), ("trainer.time_shift=8",)),
    Factor("channel shift", ("trainer.channel_shift=0",), ("trainer.channel_shift=8",)),
    Factor("blending", ("trainer.blend=0",), ("trainer.blend=0.5",)),
    Factor(
        "masks and CutMix",
        ("trainer.time_mask=0", "trainer.channel_mask=0", "trainer.cut_mix=0"),
        ("trainer.time_mask=9", "trainer.channel_mask=27", "trainer.mask_probability=0.65", "trainer.cut_mix=0.5"),
    ),
    Factor("binary input", ("data.values=count",), ("data.values=binary",)),
    Factor("delays to 40 steps", ("model.max_delay=24",), ("model.max_delay=40",)),
    Factor("tau 3 steps", ("model.tau=1.005",), ("model.tau=3",)),
)
OURS_ALONE = (
    Factor("single taps at the end", ("trainer.single_tap_epochs=0",), ("trainer.single_tap_epochs=0.3",)),
    Factor("weight averaging", ("trainer.average_epochs=0",), ("trainer.average_epochs=8",)),
    Factor("cosine", ("trainer.lr_schedule=one-cycle",), ("trainer.lr_schedule=cosine",)),
    Factor("axonal delays", ("model.delays_per=synapse",), ("model.delays_per=presynaptic",)),
    Factor("target for firing rates", ("trainer.rate_target=none",), ("trainer.rate_target=[1,20]",)),
    Factor("current filter", ("model.neuron=lif",), ("model.neuron=cuba", "model.tau_current=2")),
)
# Tried after the search, over the recipe of the name's first word: what might be worth more in 40 epochs.
_SHIFTS = ("trainer.time_shift=8", "trainer.channel_shift=8")
_BATCHES_OF_64 = ("trainer.batch_size=64",)
FURTHER: dict[str, tuple[str, ...]] = {
    "own": (),
    "own, shifts": _SHIFTS,
    "own, shifts, batches of 64": (*_SHIFTS, *_BATCHES_OF_64),
    "own, shifts, batches of 64, surrogate of sharpness 2": (*_SHIFTS, *_BATCHES_OF_64, "model.surrogate_alpha=2"),
    "own, recurrent": ("model.recurrent=true", "model.recurrent_max_delay=24"),
    "augmented": (),
    "augmented, batches of 64": _BATCHES_OF_64,
}
RUNS = 24
SPACES = {"ours": (*SHARED, *OURS_ALONE), "reference": SHARED}
# Of the least certain factors so many are tried at their other level.
DOUBTS = 3


def plackett_burman(runs: int, factors: int) -> np.ndarray:
    """(2 runs, factor) of -1 and 1: each column half of each, every two columns orthogonal.

    The second half has every sign turned (foldover), which parts main effects from those of pairs. The first half alone
    is a design, too. Its last run is all -1.
    """
    generator = np.array([1 if sign == "+" else -1 for sign in GENERATORS[runs]])
    if factors > generator.size:
        raise ValueError(f"{factors} factors need more than {runs} runs")
    whole = np.array([np.roll(generator, shift) for shift in range(runs - 1)])
    half = np.vstack([whole, -np.ones((1, runs - 1), int)])[:, :factors]
    return np.vstack([half, -half])


def screening(space: str, data: str) -> list[Job]:
    """The screening runs of a space of factors, the design's first half first."""
    levels = plackett_burman(RUNS, len(SPACES[space]))
    return [
        Job("screen", f"{space}-{index:02d}", data, 0, "paper", settings_of(space, row), fold=index % FOLDS)
        for index, row in enumerate(levels)
    ]


def settings_of(space: str, levels: Iterable[int]) -> tuple[str, ...]:
    """Every factor's settings at its level, -1 or 1."""
    pairs = zip(SPACES[space], levels, strict=True)
    return tuple(setting for factor, level in pairs for setting in (factor.high if level > 0 else factor.low))


@dataclass(frozen=True)
class Effects:
    """What the high level of each factor adds to the accuracy, in points, and that number's standard error."""

    points: np.ndarray
    error: np.ndarray


def effects(space: str, lines: Iterable[dict[str, Any]]) -> Effects:
    """A least squares fit of the mean accuracy of the last epochs to levels and folds. Runs may be missing."""
    matrix = plackett_burman(RUNS, len(SPACES[space]))
    rows, accuracies = [], []
    for line in lines:
        if line.get("stage") == "screen" and line["row"].startswith(f"{space}-"):
            levels = matrix[int(line["row"].rpartition("-")[2])]
            rows.append(np.concatenate([levels / 2, np.eye(FOLDS)[line["fold"]]]))
            accuracies.append(100 * line["mean_of_last"])
    design, found = np.array(rows), np.array(accuracies)
    # A little ridge, so that a search that was cut short has an answer, too.
    inverse = np.linalg.inv(design.T @ design + 1e-3 * np.eye(design.shape[1]))
    solution = inverse @ design.T @ found
    freedom = max(1, len(found) - design.shape[1])
    variance = float(((found - design @ solution) ** 2).sum()) / freedom
    count = len(SPACES[space])
    return Effects(solution[:count], np.sqrt(variance * np.diag(inverse)[:count]))


def candidates(space: str, data: str, lines: list[dict[str, Any]]) -> list[Job]:
    """What is trained on every fold, after the screening."""
    found = effects(space, lines)
    best = np.where(found.points > 0, 1, -1)
    variants = {"best": best, "low": -np.ones_like(best)}
    for doubt in np.argsort(np.abs(found.points))[:DOUBTS]:
        other = best.copy()
        other[doubt] *= -1
        variants[f"other-{SPACES[space][doubt].name}"] = other
    return [
        Job("candidate", f"{space}-{name}", data, 1, "paper", settings_of(space, levels), fold=fold)
        for fold in range(FOLDS)
        for name, levels in variants.items()
    ]


def further(data: str, folds: Iterable[int]) -> list[Job]:
    """The runs of `FURTHER`, one fold after the other."""
    return [
        Job("further", name, data, 1, name.partition(",")[0], settings, fold=fold)
        for fold in folds
        for name, settings in FURTHER.items()
    ]


def chosen(space: str, lines: Iterable[dict[str, Any]]) -> tuple[str, tuple[str, ...], dict[str, tuple[float, float]]]:
    """(name, settings) of the candidate with the best mean over the folds, and (mean, standard error) of all, in %."""
    found: dict[str, dict[int, float]] = {}
    settings: dict[str, tuple[str, ...]] = {}
    for line in lines:
        if line.get("stage") == "candidate" and line["row"].startswith(f"{space}-"):
            found.setdefault(line["row"], {})[line["fold"]] = 100 * line["mean_of_last"]
            settings[line["row"]] = tuple(line["settings"])
    common = set(range(FOLDS)).intersection(*(set(folds) for folds in found.values()))
    if not common:
        raise SystemExit(f"{space}: no fold was trained with every candidate, so none can be chosen")
    means = {}
    for row, folds in found.items():
        values = np.array([folds[fold] for fold in sorted(common)])
        means[row] = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else 0.0
    best = max(means, key=lambda row: means[row][0])
    return best, settings[best], means
