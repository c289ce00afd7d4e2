"""Decoding: the window, ties, large membranes."""

from __future__ import annotations

import numpy as np
import pytest

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import DataError, NetworkError
from delaytool.runtime.decode import decode, window_scores


def network(method: str, scale: float = 64.0, start: int = 1, stop: int = 4) -> IntegerNetwork:
    layer = IntegerLayer("readout", 3, (), dv=0, threshold=131071)
    return IntegerNetwork(InputEncoding(n_units=1), (layer,), Readout(method, scale, start, stop), n_steps=5)


def test_softmax_sum_is_the_formula_over_the_window() -> None:
    v = np.random.default_rng(0).integers(-500, 500, (4, 5, 3)).astype(np.int32)
    predictions, scores = decode(network("softmax-sum"), v)
    power = np.exp(v[:, 1:4] / 64.0)
    expected = (power / power.sum(axis=2, keepdims=True)).sum(axis=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-13)
    np.testing.assert_array_equal(predictions, expected.argmax(axis=1))
    assert predictions.dtype == np.int64
    assert scores.dtype == np.float64


def test_largest_membranes_do_not_overflow() -> None:
    v = np.full((1, 5, 3), -(2**23) + 1, np.int32)
    v[0, :, 2] = 2**23 - 1
    predictions, scores = decode(network("softmax-sum", scale=1.0), v)
    assert predictions.tolist() == [2]
    np.testing.assert_array_equal(scores, [[0.0, 0.0, 3.0]])


def test_a_method_that_nothing_decodes_is_refused() -> None:
    readout = network("sum").readout
    object.__setattr__(readout, "method", "mean")
    with pytest.raises(NetworkError, match="method 'mean' is not decoded; give 'softmax-sum' or 'sum'"):
        window_scores(readout, np.zeros((1, 3, 3), np.int32))


def test_sum_is_the_integer_sum() -> None:
    v = np.full((2, 5, 3), 2**23 - 1, np.int32)
    v[1, :, 0] = -1
    predictions, scores = decode(network("sum"), v)
    assert predictions.tolist() == [0, 1]
    assert scores.tolist() == [[3.0 * (2**23 - 1)] * 3, [-3.0, 3.0 * (2**23 - 1), 3.0 * (2**23 - 1)]]


@pytest.mark.parametrize("method", ["sum", "softmax-sum"])
def test_the_lowest_class_wins_a_tie(method: str) -> None:
    v = np.zeros((1, 5, 3), np.int32)
    v[0, :, 1:] = 7
    assert decode(network(method), v)[0].tolist() == [1]


@pytest.mark.parametrize("method", ["sum", "softmax-sum"])
def test_a_sample_decodes_alone_as_in_its_batch(method: str) -> None:
    v = np.random.default_rng(1).integers(-500, 500, (9, 5, 3)).astype(np.int32)
    predictions, scores = decode(network(method), v)
    for sample in range(9):
        alone = decode(network(method), v[sample : sample + 1])
        assert alone[0][0] == predictions[sample]
        np.testing.assert_array_equal(alone[1][0], scores[sample])


@pytest.mark.parametrize("shape", [(1, 3, 3), (1, 0, 3), (1, 5, 2), (5, 3)])
def test_membranes_of_another_shape(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="record v of the last layer"):
        decode(network("sum"), np.zeros(shape, np.int32))
