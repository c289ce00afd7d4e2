"""DataSpec: what it takes and refuses by itself, as a recipe does."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from delaytool.datasets import DataSpec
from delaytool.errors import DataError


@pytest.mark.parametrize(
    "settings", [{"fold": 0}, {"fold": 2, "protocol": "fixed"}, {"fold": 7, "protocol": "cross-validated"}]
)
def test_a_fold_is_one_of_those_of_cross_validation(settings: dict[str, object]) -> None:
    with pytest.raises(
        DataError, match=rf"data.fold {settings['fold']} is one of 0..4 with protocol 'cross-validated'"
    ):
        DataSpec("digits", **settings)
    assert DataSpec("digits", protocol="cross-validated", fold=4).fold == 4


def test_numbers_of_numpy_are_those_of_python() -> None:
    spec = DataSpec("digits", seed=np.int64(3), test_fraction=np.float32(0.5), n_units=np.uint16(64), time_step_ms=2.0)
    assert spec == DataSpec("digits", seed=3, test_fraction=0.5, n_units=64, time_step_ms=2.0)
    assert json.loads(json.dumps(asdict(spec)))["seed"] == 3
    for wrong in (np.int64(-1), np.float64(3.0), np.bool_(True)):
        with pytest.raises(DataError, match=r"seed .* is not a whole number"):
            DataSpec("digits", seed=wrong)
