"""Heaps of values of variable length whose objects lead nowhere: the HDF5 library would walk them for ever."""

from __future__ import annotations

import struct
from pathlib import Path

import h5py
import numpy as np
import pytest

from delaytool.contract.hdf5_heaps import check_heaps, check_heaps_of
from delaytool.contract.strict_hdf5 import open_strict, open_strict_image
from delaytool.datasets.hdf5 import read_file
from delaytool.errors import DataError

HEADER = 16  # of a collection, and of an object


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """A file whose variable-length arrays fill two collections, and leave one free space."""
    path = tmp_path / "events.h5"
    draw = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (30,), h5py.vlen_dtype(np.float32))
        units = file.create_dataset("spikes/units", (30,), h5py.vlen_dtype(np.uint16))
        for sample in range(30):
            count = int(draw.integers(1, 60))
            times[sample] = np.sort(draw.random(count)).astype(np.float32)
            units[sample] = draw.integers(0, 700, count)
        file["labels"] = np.arange(30) % 3
        file.attrs["note"] = "a text of variable length"
    return path


def objects(content: bytes) -> list[int]:
    """Where the objects of the first collection begin, the free space included: by the format's page alone."""
    start = content.index(b"GCOL\x01")
    end = start + struct.unpack_from("<Q", content, start + 8)[0]
    found, at = [], start + HEADER
    while at < end:
        found.append(at)
        index, _, size = struct.unpack_from("<HH4xQ", content, at)
        at += size if index == 0 else HEADER + (size + 7) // 8 * 8
    assert at == end
    assert len(found) > 10
    return found


def changed(content: bytes, at: int, index: int | None, size: int) -> bytes:
    damaged = bytearray(content)
    if index is not None:
        struct.pack_into("<H", damaged, at, index)
    struct.pack_into("<Q", damaged, at + 8, size)
    return bytes(damaged)


def test_whole_files_pass(events: Path) -> None:
    check_heaps_of(events)
    assert len(read_file(events)) == 30
    check_heaps(b"")
    check_heaps(b"no HDF5 file, GCOL\x01")
    check_heaps(events.read_bytes()[:4000])  # cut within a collection: the library refuses it


def test_a_file_whose_head_is_someone_elses(events: Path) -> None:
    content = events.read_bytes()
    at = objects(content)[3]
    for block in (512, 1024, 4096):
        check_heaps(bytes(block) + content)
        with pytest.raises(ValueError, match="0 bytes, which cannot be"):
            check_heaps(bytes(block) + changed(content, at, 0, 0))


@pytest.mark.parametrize(
    ("index", "size"),
    [(0, 0), (0, 2**64 - 16), (None, 2**64 - 16), (None, 2**64 - 1), (None, 2**32), (0, 2**63)],
)
def test_every_object_that_leads_nowhere_or_back_is_refused(events: Path, index: int | None, size: int) -> None:
    content = events.read_bytes()
    for at in objects(content):
        with pytest.raises(ValueError, match=f"at byte {at} states {size} bytes"):
            check_heaps(changed(content, at, index, size))


def test_every_reader_refuses_it(events: Path) -> None:
    content = events.read_bytes()
    damaged = changed(content, objects(content)[4], 0, 0)
    events.write_bytes(damaged)
    with pytest.raises(DataError, match=r"may be damaged \(a heap's object"):
        read_file(events)
    with pytest.raises(DataError, match="a heap's object"), open_strict(events, DataError, "give another"):
        pass
    with pytest.raises(DataError, match="a heap's object"), open_strict_image(damaged, events, DataError, "give it"):
        pass


@pytest.mark.parametrize("key", ["spikes/times", "spikes/units", "extra/keys"])
@pytest.mark.parametrize("chunks", [None, (8,)])
def test_a_length_beyond_the_file_is_refused_before_memory_is_taken(
    tmp_path: Path, key: str, chunks: tuple[int] | None
) -> None:
    path = tmp_path / "events.h5"
    values = [np.arange(1, 5 + sample) for sample in range(20)]
    with h5py.File(path, "w") as file:
        for name, kind in (("spikes/times", np.float32), ("spikes/units", np.uint16)):
            written = file.create_dataset(name, (20,), h5py.vlen_dtype(kind), chunks=chunks)
            for sample, value in enumerate(values):
                written[sample] = value / 100 if kind == np.float32 else value
        file["labels"] = np.arange(20) % 2
        file.create_dataset("extra/keys", (2,), h5py.string_dtype(), chunks=chunks and (2,), data=["one", "two"])
        dataset = file[key]
        place = dataset.id.get_chunk_info(0).byte_offset if chunks else dataset.id.get_offset()
    assert len(read_file(path)) == 20
    content = bytearray(path.read_bytes())
    assert struct.unpack_from("<I", content, place)[0] == (3 if key == "extra/keys" else 4)  # it is the first length
    struct.pack_into("<I", content, place, 2**28 + 4)
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"{key} states [\d,]+ bytes, and the file has {len(content):,}"):
        read_file(path)
