"""One data set of tonic's own, its files made here, read by tonic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from delaytool.datasets import DataSpec, load


def write_events(path: Path, events: list[tuple[int, int, int, int]]) -> None:
    """(x, y, polarity, microseconds) as N-MNIST's five bytes per event (G. Orchard et al. 2015)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, p, t in events))


def test_nmnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("tonic.datasets")
    monkeypatch.setattr(datasets.NMNIST, "_check_exists", lambda self: True)
    for part in ("Train", "Test"):
        for digit in range(10):
            events = [(digit, 2, 0, 1000), (33, 33, 1, 250_000 + digit)]
            write_events(tmp_path / "NMNIST" / part / str(digit) / "00001.bin", events)
    splits = load(DataSpec("tonic:NMNIST", protocol="paper", pixel_bins=2), root=tmp_path)
    assert splits.test.n_units == 2 * 17 * 17
    assert sorted(splits.test.labels.tolist()) == list(range(10))
    for index, digit in enumerate(splits.test.labels):
        times, units = splits.test.sample(index)
        assert units.tolist() == [17 + digit // 2, 2 * 17 * 17 - 1]
        assert np.allclose(times, [0.001, 0.25 + digit * 1e-6])
