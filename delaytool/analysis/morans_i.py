"""Moran's I of fields of cells in rows and columns: whether neighboring cells hold similar values.

    I = (N / W) sum_ij w_ij z_i z_j / sum_i z_i^2,    z = x - mean(x)

over the N cells of a field, with w_ij = 1 where cells i and j are neighbors and W = sum_ij w_ij (P. A. P. Moran,
Biometrika 37:17, 1950; A. D. Cliff and J. K. Ord, Spatial Processes, 1981, chapter 1). It is near 1 where neighbors
hold similar values, -1 / (N - 1) on average where values lie at random, negative where neighbors differ.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Contiguity = Literal["queen", "rook"]
Null = Literal["cells", "weights"]
# Each pair of neighbors once, as (rows, columns) from the first to the second.
OFFSETS: dict[str, tuple[tuple[int, int], ...]] = {
    "rook": ((0, 1), (1, 0)),
    "queen": ((0, 1), (1, 0), (1, 1), (1, -1)),
}
# A shuffle that gives the very same field must count as such, whatever the order of its sums.
TIE = 1e-10


@dataclass(frozen=True)
class PermutationTest:
    """Arrays of one number per field, NaN for a field that is the same everywhere.

    i          Moran's I as observed
    mean       its mean over the shuffled fields
    deviation  its standard deviation over them
    p          (1 + shuffles with an I at least as large) / (1 + shuffles): one-sided, for similar neighbors
    """

    i: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray
    p: np.ndarray

    @property
    def z(self) -> np.ndarray:
        """Standard deviations that the observed I lies above the shuffled mean; NaN where shuffles do not vary."""
        return np.divide(
            self.i - self.mean, self.deviation, out=np.full_like(self.i, np.nan), where=self.deviation > TIE
        )


def morans_i(fields: np.ndarray, contiguity: Contiguity = "queen") -> np.ndarray:
    """fields (field, row, column) to (field,); NaN for a field that is the same everywhere, which has none."""
    z = _checked(fields, contiguity)
    z = z - z.mean(axis=(1, 2), keepdims=True)
    total = np.zeros(len(z))
    for down, right in OFFSETS[contiguity]:
        rows, columns = z.shape[1] - down, z.shape[2] - abs(right)
        left, shifted = max(0, -right), max(0, right)
        first = z[:, :rows, left : left + columns]
        second = z[:, down:, shifted : shifted + columns]
        total += 2 * np.einsum("nij,nij->n", first, second)
    return _scaled(total, fields, contiguity)


def permutation_test(
    fields: np.ndarray,
    *,
    null: Null = "cells",
    occupied: np.ndarray | None = None,
    permutations: int = 999,
    seed: int = 0,
    contiguity: Contiguity = "queen",
    progress: Callable[[int, int], None] | None = None,
) -> PermutationTest:
    """Moran's I of each field against that of shuffled ones.

    fields    (field, row, column)
    null      'cells': all cells are shuffled, the randomization of Cliff and Ord: only the values are kept.
              'weights': values are shuffled among the `occupied` cells, which stay where they are, so that what is
              tested is which value lies where, given the places
    occupied  (field, row, column) bool; default: the cells that are not 0
    progress  called with (done, of how many)
    The same seed gives the same figures. All fields share each shuffle of places: every single p-value is that of
    independent shuffles, but p-values of different fields are not wholly independent of each other.
    Raises ValueError for an unknown null or contiguity, fields of other dimensions, or no permutations.
    """
    values = _checked(fields, contiguity)
    if null not in get_args(Null):
        raise ValueError(f"null {null!r} is unknown; choose one of {', '.join(get_args(Null))}")
    if permutations < 1:
        raise ValueError(f"{permutations} permutations test nothing; give at least 1")
    generator = np.random.default_rng(seed)
    flat = values.reshape(len(values), -1)
    neighbors = _Neighbors(values.shape[1], values.shape[2], contiguity)
    mean = flat.mean(axis=1)
    # sum_ij w_ij (x_i - m)(x_j - m) = sum_ij w_ij x_i x_j - 2 m sum_i x_i degree_i + m^2 W, where cells of value 0
    # drop out: a shuffle costs what the cells of other values cost.
    if null == "cells":
        cross, degrees = _shuffle_cells(flat, neighbors, permutations, generator, progress)
    else:
        chosen = values != 0 if occupied is None else np.asarray(occupied, bool)
        cross, degrees = _shuffle_weights(
            flat, chosen.reshape(flat.shape), neighbors, permutations, generator, progress
        )
    total = cross - 2 * mean * degrees + mean**2 * neighbors.n_links
    observed = morans_i(values, contiguity)
    shuffled = _scaled(total, fields, contiguity)  # (permutation, field)
    at_least = (shuffled >= observed - TIE).sum(axis=0)
    defined = np.isfinite(observed)
    return PermutationTest(
        i=observed,
        mean=shuffled.mean(axis=0),
        deviation=shuffled.std(axis=0, ddof=1) if permutations > 1 else np.zeros(len(values)),
        p=np.where(defined, (1 + at_least) / (1 + permutations), np.nan),
    )


class _Neighbors:
    """Neighbors of cells numbered row by row."""

    def __init__(self, rows: int, columns: int, contiguity: Contiguity) -> None:
        self.n_cells = rows * columns
        # A border of empty cells, so that no neighbor lies outside the array.
        self.width = columns + 2
        self.n_padded = (rows + 2) * self.width
        cell = np.arange(self.n_cells)
        self.padded = (cell // columns + 1) * self.width + cell % columns + 1
        self.steps = [down * self.width + right for down, right in OFFSETS[contiguity]]
        inside = np.zeros(self.n_padded)
        inside[self.padded] = 1
        self.degree = sum(inside[self.padded + step] + inside[self.padded - step] for step in self.steps)
        self.n_links = float(np.sum(self.degree))
        self._held = np.full(self.n_padded, -1)

    def pairs(self, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places in `cells` (distinct cell numbers) of each pair of neighbors, each pair once."""
        held, at = self._held, self.padded[cells]
        held[at] = np.arange(len(cells))
        beside = np.concatenate([held[at + step] for step in self.steps])
        held[at] = -1
        first = np.flatnonzero(beside >= 0)
        return first % max(len(cells), 1), beside[first]


def _shuffle_cells(
    flat: np.ndarray,
    neighbors: _Neighbors,
    permutations: int,
    generator: np.random.Generator,
    progress: Callable[[int, int], None] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """(sum_ij w_ij x_i x_j, sum_i x_i degree_i) of every shuffle, both (permutation, field)."""
    values = _packed(flat)  # (place, field), zeros where a field has fewer
    cross, degrees = np.zeros((2, permutations, len(flat)))
    for index in range(permutations):
        cells = generator.permutation(neighbors.n_cells)[: len(values)]
        first, second = neighbors.pairs(cells)
        cross[index] = 2 * np.einsum("pn,pn->n", values[first], values[second])
        degrees[index] = neighbors.degree[cells] @ values
        if progress is not None:
            progress(index + 1, permutations)
    return cross, degrees


def _packed(flat: np.ndarray) -> np.ndarray:
    """Each field's values other than 0 as a column: (field, cell) to (place, field)."""
    filled = flat != 0
    packed = np.zeros((int(filled.sum(axis=1).max(initial=0)), len(flat)))
    field, cell = np.nonzero(filled)
    packed[(np.cumsum(filled, axis=1) - 1)[field, cell], field] = flat[field, cell]
    return packed


def _shuffle_weights(
    flat: np.ndarray,
    occupied: np.ndarray,
    neighbors: _Neighbors,
    permutations: int,
    generator: np.random.Generator,
    progress: Callable[[int, int], None] | None,
) -> tuple[np.ndarray, np.ndarray]:
    """As `_shuffle_cells`, each field's values among its own occupied cells."""
    if (flat[~occupied] != 0).any():
        raise ValueError("a cell that is not occupied holds a value; the shuffle would lose it")
    cross, degrees = np.zeros((2, permutations, len(flat)))
    counts = occupied.sum(axis=1)
    done = 0
    for count in np.unique(counts):
        orders = generator.permuted(np.tile(np.arange(count), (permutations, 1)), axis=1)
        for field in np.flatnonzero(counts == count):
            cells = np.flatnonzero(occupied[field])
            shuffled = flat[field, cells][orders]  # (permutation, place)
            first, second = neighbors.pairs(cells)
            cross[:, field] = 2 * np.einsum("kp,kp->k", shuffled[:, first], shuffled[:, second])
            degrees[:, field] = shuffled @ neighbors.degree[cells]
            done += 1
            if progress is not None:
                progress(done, len(flat))
    return cross, degrees


def _scaled(total: np.ndarray, fields: np.ndarray, contiguity: Contiguity) -> np.ndarray:
    """(N / W) total / sum z^2; NaN where a field is the same everywhere."""
    values = np.asarray(fields, np.float64).reshape(len(fields), -1)
    n_links = _Neighbors(fields.shape[1], fields.shape[2], contiguity).n_links
    squares = ((values - values.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    # A single cell has no neighbors, but it is the same everywhere too.
    varies = (np.ptp(values, axis=1) > 0) & (squares > 0)
    factor = np.divide(values.shape[1], n_links * squares, out=np.full_like(squares, np.nan), where=varies)
    return factor * total


def _checked(fields: np.ndarray, contiguity: str) -> np.ndarray:
    if contiguity not in OFFSETS:
        raise ValueError(f"contiguity {contiguity!r} is unknown; choose one of {', '.join(OFFSETS)}")
    values = np.asarray(fields, np.float64)
    if values.ndim != 3 or 0 in values.shape[1:]:
        raise ValueError(f"fields of shape {values.shape} are not (field, row, column) with at least one cell")
    if not np.isfinite(values).all():
        raise ValueError("a field holds NaN or infinity")
    return values
