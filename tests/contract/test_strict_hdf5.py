"""Nothing outside a file is followed, nothing huge is made; in network and netx files alike."""

from __future__ import annotations

import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
from hdf5_mutations import sealed

from delaytool.contract.network import IntegerNetwork
from delaytool.contract.strict_hdf5 import MAX_NUMBERS, open_strict
from delaytool.errors import DataError, DelaytoolError, NetworkError
from delaytool.formats.netx import read_netx

FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(params=["network.h5", "network-v1.h5", "network.net"])
def file_and_weight(request, tmp_path: Path):
    path = tmp_path / request.param
    if request.param == "network.net":
        path.write_bytes((FIXTURES / "netx-v1.net").read_bytes())
        return path, "layer/1/weight", read_netx
    path.write_bytes((FIXTURES / "network-v1-dense.h5").read_bytes())
    if request.param == "network.h5":
        IntegerNetwork.load(path).save(path)
    return path, "layers/0/synapses/0/weight", IntegerNetwork.load


def elsewhere(path: Path, weight: str) -> str:
    """A file beside it that holds the same weights."""
    other = path.with_name("elsewhere.h5")
    with h5py.File(path) as file, h5py.File(other, "w") as copy:
        copy["weight"] = file[weight][()]
    return other.name


def external_link(file: h5py.File, name: str, other: str) -> None:
    file[name] = h5py.ExternalLink(other, "weight")


def soft_link_out_of_the_file(file: h5py.File, name: str, other: str) -> None:
    file["hop"] = h5py.ExternalLink(other, "/")
    file[name] = h5py.SoftLink("/hop/weight")


def dangling_link(file: h5py.File, name: str, other: str) -> None:
    file[name] = h5py.SoftLink("/nowhere")


def virtual(file: h5py.File, name: str, other: str) -> None:
    layout = h5py.VirtualLayout((5, 4), "i4")
    layout[...] = h5py.VirtualSource(other, "weight", (5, 4))
    file.create_virtual_dataset(name, layout)


def external_storage(file: h5py.File, name: str, other: str) -> None:
    file.create_dataset(name, shape=(5, 4), dtype="i1", external=[("/etc/passwd", 0, 20)])


def never_stored(file: h5py.File, name: str, other: str) -> None:
    file.create_dataset(name, shape=(5, 4), dtype="i4")


def chunk_never_stored(file: h5py.File, name: str, other: str) -> None:
    file.create_dataset(name, shape=(5, 4), dtype="i4", chunks=(5, 1))[:, :3] = 2


def bomb_by_shape(file: h5py.File, name: str, other: str) -> None:
    file.create_dataset(name, shape=(1 << 20, 1 << 20), dtype="i8", chunks=(1 << 9, 1 << 9), compression="gzip")


def bomb_by_chunk(file: h5py.File, name: str, other: str) -> None:
    """A chunk of 80 bytes that inflates to 64 MiB."""
    dataset = file.create_dataset(name, shape=(5, 4), dtype="i4", chunks=(5, 4), compression="gzip")
    dataset.id.write_direct_chunk((0, 0), zlib.compress(bytes(1 << 26)))


def truth_values(file: h5py.File, name: str, other: str) -> None:
    file[name] = np.ones((5, 4), bool)


DOORS = [
    external_link, soft_link_out_of_the_file, dangling_link, virtual, external_storage, never_stored,
    chunk_never_stored, bomb_by_shape, bomb_by_chunk, truth_values,
]  # fmt: skip


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_doors_are_shut(file_and_weight, door, monkeypatch) -> None:
    path, weight, load = file_and_weight
    monkeypatch.chdir(path.parent)
    other = elsewhere(path, weight)
    with h5py.File(path, "a", libver=("v110", "v110")) as file:
        del file[weight]
        door(file, weight, other)
    if path.name == "network.h5":
        sealed(path, content=False)
    with pytest.raises(NetworkError) as caught:
        load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert weight in text or "hop" in text


def test_many_small_arrays_are_no_way_around_the_limit(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for index in range(3):
            file.create_dataset(str(index), shape=(MAX_NUMBERS // 2 - 1,), dtype="i1", chunks=(1 << 20,))
    with open_strict(tmp_path / "x.h5", DataError, "give an event file") as file:
        for index in range(2):  # within the limit, but nothing is stored
            with pytest.raises(DataError, match="chunks are missing"):
                file.array(str(index))
        with pytest.raises(DataError, match=r"2: with its \d+ values the file holds more than 134217728 numbers"):
            file.array("2")


def test_the_errors_are_of_the_callers_class(tmp_path: Path) -> None:
    with (
        pytest.raises(DataError, match=r"none.h5: no such file; give an event file"),
        open_strict(tmp_path / "none.h5", DataError, "give an event file"),
    ):
        pass
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["a"] = 3
        file["texts"] = np.array(["a", "b"], dtype=h5py.string_dtype())
    with open_strict(tmp_path / "x.h5", DataError, "give an event file") as file:
        assert file.array("a") == 3
        assert "b" not in file
        for read in (file.text, file.group_at):
            with pytest.raises(DataError, match="a: "):
                read("a")
        with pytest.raises(DataError, match=r"texts: texts of shape \(2,\)"):
            file.text("texts")
        with pytest.raises(DelaytoolError, match="b is missing"):
            file.array("b")


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="not a regular file"):
        IntegerNetwork.load("/dev/zero")
    with pytest.raises(NetworkError, match="not a regular file"):
        read_netx("/dev/zero")
