"""Moran's I against its definition as a double loop, grids worked out by hand, all permutations, and esda."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delaytool.analysis.morans_i import Contiguity, morans_i, permutation_test

FIELDS = hnp.arrays(
    np.float64,
    hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=5),
    elements=st.sampled_from([0.0, 0.0, 0.0, 1.0, -1.0, 0.5, 2.25]),
)
KINDS: list[Contiguity] = ["queen", "rook"]


def by_definition(field: np.ndarray, contiguity: str) -> float:
    """The double sum over all pairs of cells."""
    cells = list(np.ndindex(field.shape))
    z = field - field.mean()
    weights = products = 0.0
    for a, b in itertools.product(cells, cells):
        down, right = abs(a[0] - b[0]), abs(a[1] - b[1])
        beside = down + right == 1 if contiguity == "rook" else max(down, right) == 1
        weights += beside
        products += beside * z[a] * z[b]
    return field.size / weights * products / (z**2).sum()


@pytest.mark.parametrize("contiguity", KINDS)
@given(field=FIELDS)
def test_it_is_the_double_sum_of_its_definition(field: np.ndarray, contiguity: Contiguity) -> None:
    (value,) = morans_i(field[None], contiguity)
    if np.ptp(field) == 0:
        assert np.isnan(value)
    else:
        assert value == pytest.approx(by_definition(field, contiguity), abs=1e-12)


def test_values_worked_out_by_hand() -> None:
    chessboard = np.indices((4, 4)).sum(0) % 2
    assert morans_i(chessboard[None], "rook") == pytest.approx([-1.0])  # every neighbor is the opposite
    # Queen: 24 rook pairs of product -1/4 and 18 diagonal ones of +1/4; W = 84, sum of squares 4.
    assert morans_i(chessboard[None], "queen") == pytest.approx([16 / 84 * 2 * (18 - 24) / 4 / 4])
    halves = np.repeat([[0, 0, 1, 1]], 4, axis=0)
    # Rook: 24 pairs, of which the 4 across the middle differ.
    assert morans_i(halves[None], "rook") == pytest.approx([(20 - 4) / 24])


@pytest.mark.parametrize("contiguity", KINDS)
@settings(max_examples=25)
@given(field=hnp.arrays(np.float64, (2, 3), elements=st.sampled_from([0.0, 0.0, 1.0, -2.0, 3.5])))
def test_the_shuffles_are_those_of_all_permutations(field: np.ndarray, contiguity: Contiguity) -> None:
    if np.ptp(field) == 0:
        return
    everything = np.array([by_definition(np.reshape(order, (2, 3)), contiguity) for order in _orders(field.ravel())])
    result = permutation_test(field[None], permutations=3000, contiguity=contiguity)
    exact = (everything >= by_definition(field, contiguity) - 1e-9).mean()
    # Four standard errors of 3000 draws.
    assert result.p[0] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 3000) + 1 / 3000)
    assert result.mean[0] == pytest.approx(everything.mean(), abs=4 * everything.std() / np.sqrt(3000) + 1e-9)
    assert everything.mean() == pytest.approx(-1 / 5)  # Cliff and Ord: -1 / (N - 1), for any field


@pytest.mark.parametrize("contiguity", KINDS)
@settings(max_examples=25)
@given(
    field=hnp.arrays(np.float64, (3, 3), elements=st.sampled_from([0.0, 1.0, -2.0, 3.5])),
    places=st.sets(st.integers(0, 8), min_size=1, max_size=5),
)
def test_shuffled_weights_keep_their_places(field: np.ndarray, places: set[int], contiguity: Contiguity) -> None:
    occupied = np.zeros(9, bool)
    occupied[list(places)] = True
    occupied = occupied.reshape(3, 3)
    field = np.where(occupied, field, 0.0)
    if np.ptp(field) == 0:
        return
    everything = []
    for order in _orders(field[occupied]):
        other = field.copy()
        other[occupied] = order
        everything.append(by_definition(other, contiguity))
    exact = (np.array(everything) >= by_definition(field, contiguity) - 1e-9).mean()
    result = permutation_test(
        field[None], null="weights", occupied=occupied[None], permutations=3000, contiguity=contiguity
    )
    assert result.p[0] == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 3000) + 1 / 3000)
    spread = np.std(everything)
    assert result.mean[0] == pytest.approx(np.mean(everything), abs=4 * spread / np.sqrt(3000) + 1e-9)
    assert result.deviation[0] == pytest.approx(spread, rel=0.15, abs=1e-7)


def _orders(values: np.ndarray) -> itertools.permutations:
    return itertools.permutations(values.tolist())


@pytest.mark.parametrize("null", ["cells", "weights"])
def test_random_fields_are_significant_as_often_as_by_chance(null) -> None:
    generator = np.random.default_rng(3)
    fields = generator.normal(size=(600, 9, 7)) * (generator.random((600, 9, 7)) < 0.4)
    result = permutation_test(fields, null=null, permutations=199, seed=4)
    # Binomial: 0.05 +- 0.009, and p-values spread evenly over 0..1.
    assert (result.p <= 0.05).mean() == pytest.approx(0.05, abs=0.036)
    assert result.p.mean() == pytest.approx(0.5, abs=4 * np.sqrt(1 / 12 / 600))


def test_clustered_weights_are_found_by_either_null() -> None:
    generator = np.random.default_rng(5)
    occupied = generator.random((12, 10)) < 0.5
    field = np.where(occupied, np.where(np.arange(10) < 5, 1.0, -1.0), 0.0)
    for null in ("cells", "weights"):
        result = permutation_test(field[None], null=null, permutations=199)
        assert result.p == pytest.approx([1 / 200])
        assert result.z[0] > 5


def test_equal_weights_add_nothing_to_their_places() -> None:
    field = np.zeros((1, 4, 4))
    field[0, 1, :3] = 2.0
    result = permutation_test(field, null="weights", permutations=99)
    assert result.p.tolist() == [1.0]  # every shuffle is the field itself
    assert np.isnan(result.z[0])


def test_a_field_that_is_the_same_everywhere_has_no_morans_i() -> None:
    fields = np.stack([np.zeros((3, 3)), np.full((3, 3), 0.1), np.eye(3)])
    for null in ("cells", "weights"):
        result = permutation_test(fields, null=null, permutations=19)
        assert np.isfinite(result.i).tolist() == [False, False, True]
        assert np.isnan(result.p[:2]).all()


def test_the_seed_decides() -> None:
    fields = np.random.default_rng(0).normal(size=(4, 5, 5))
    first, again, other = (permutation_test(fields, permutations=50, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.mean, again.mean)
    assert not np.array_equal(first.mean, other.mean)


def test_progress_is_reported_to_the_end() -> None:
    fields = np.random.default_rng(0).normal(size=(4, 3, 3))
    for null, last in (("cells", (19, 19)), ("weights", (4, 4))):
        calls: list[tuple[int, int]] = []
        permutation_test(fields, null=null, permutations=19, progress=lambda *now, calls=calls: calls.append(now))
        assert calls[-1] == last


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"null": "rows"}, "null 'rows' is unknown; choose one of cells, weights"),
        ({"contiguity": "bishop"}, "contiguity 'bishop' is unknown; choose one of rook, queen"),
        ({"permutations": 0}, "0 permutations test nothing"),
        ({"fields": np.zeros((3, 3))}, "are not \\(field, row, column\\)"),
        ({"fields": np.full((1, 2, 2), np.nan)}, "NaN or infinity"),
        ({"null": "weights", "occupied": np.zeros((1, 3, 3), bool)}, "not occupied holds a value"),
    ],
)
def test_what_cannot_be_tested_is_refused(change: dict, message: str) -> None:
    arguments = {"fields": np.eye(3)[None], **change}
    with pytest.raises(ValueError, match=message):
        permutation_test(arguments.pop("fields"), **arguments)


# Made by esda 2.9.0 and libpysal 4.14.1: esda.Moran(field.ravel(), lat2W(...), transformation="B"), its I and the root
# of VI_rand, the exact variance under randomization (Cliff and Ord).
ESDA = [
    (5, 4, "queen", -0.039690946476415995, 0.10981883632010807),
    (5, 4, "rook", -0.06210617081960689, 0.16432996807007974),
    (14, 9, "queen", -0.044613466270564735, 0.04652933619020423),
    (14, 9, "rook", -0.045589509537757776, 0.06531481700053178),
    (6, 1, "queen", -0.5964601769911504, 0.3593434724940168),
    (6, 1, "rook", -0.5964601769911504, 0.3593434724940168),
]


def _made_field(rows: int, columns: int) -> np.ndarray:
    row, column = np.indices((rows, columns))
    field = (7 * row * row + 3 * column) % 11 - 5.0
    return np.where(field < -2, 0.0, field)


@pytest.mark.parametrize(("rows", "columns", "contiguity", "i", "deviation"), ESDA)
def test_figures_of_esda(rows: int, columns: int, contiguity: Contiguity, i: float, deviation: float) -> None:
    ours = permutation_test(_made_field(rows, columns)[None], permutations=4000, contiguity=contiguity)
    assert ours.i[0] == pytest.approx(i, abs=1e-12)
    assert ours.mean[0] == pytest.approx(-1 / (rows * columns - 1), abs=4 * deviation / np.sqrt(4000))
    assert ours.deviation[0] == pytest.approx(deviation, rel=0.06)


@pytest.mark.parametrize("contiguity", KINDS)
def test_esda_agrees_where_it_is_installed(contiguity: Contiguity) -> None:
    esda, libpysal = pytest.importorskip("esda"), pytest.importorskip("libpysal")
    generator = np.random.default_rng(8)
    for rows, columns in ((5, 4), (14, 9), (6, 1)):
        field = generator.normal(size=(rows, columns)) * (generator.random((rows, columns)) < 0.6)
        weights = libpysal.weights.lat2W(rows, columns, rook=contiguity == "rook")
        theirs = esda.Moran(field.ravel(), weights, transformation="B", permutations=0)
        assert morans_i(field[None], contiguity)[0] == pytest.approx(theirs.I, abs=1e-12)
