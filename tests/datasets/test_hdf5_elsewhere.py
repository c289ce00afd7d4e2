"""An event file does not choose what else on the machine is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from delaytool.datasets.hdf5 import read_file
from delaytool.errors import DataError


def write_events(path: Path) -> Path:
    """Two samples of three events, in SHD's layout."""
    with h5py.File(path, "w") as file:
        file.attrs["n_units"] = 4
        for name, values, dtype in (("times", [0.0, 0.1, 0.2], np.float32), ("units", [0, 1, 2], np.uint16)):
            data = file.create_dataset(f"spikes/{name}", (2,), dtype=h5py.vlen_dtype(dtype))
            for sample in range(2):
                data[sample] = np.array(values, dtype)
        file["labels"] = np.array([0, 1])
        file["extra/speaker"] = np.array([3, 4])
    return path


def external_link(file: h5py.File, secret: Path) -> None:
    file["labels"] = h5py.ExternalLink(str(secret), "labels")


def external_link_to_a_group(file: h5py.File, secret: Path) -> None:
    del file["spikes"]
    file["spikes"] = h5py.ExternalLink(str(secret), "spikes")
    file["labels"] = np.array([0, 1])


def soft_link(file: h5py.File, secret: Path) -> None:
    file["others"] = np.array([0, 1])
    file["labels"] = h5py.SoftLink("/others")


def external_storage(file: h5py.File, secret: Path) -> None:
    raw = secret.with_suffix(".raw")
    raw.write_bytes(np.array([0, 1], np.int64).tobytes())
    file.create_dataset("labels", (2,), np.int64, external=[(str(raw), 0, 16)])


def virtual_dataset(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((2,), np.int64)
    layout[:] = h5py.VirtualSource(str(secret), "labels", (2,), np.int64)
    file.create_virtual_dataset("labels", layout)


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (external_link, "link is not followed"),
        (external_link_to_a_group, "link is not followed"),
        (soft_link, "link is not followed"),
        (external_storage, "lie in another file"),
        (virtual_dataset, "a virtual dataset"),
    ],
)
def test_what_lies_elsewhere_is_refused(tmp_path: Path, put: Callable[[h5py.File, Path], None], reason: str) -> None:
    secret = write_events(tmp_path / "secret.h5")
    path = write_events(tmp_path / "events.h5")
    assert len(read_file(path).labels) == 2
    with h5py.File(path, "r+") as file:
        del file["labels"]
        put(file, secret)
    with pytest.raises(DataError, match=reason) as raised:
        read_file(path)
    assert str(path) in str(raised.value)
