"""Values of variable length in an HDF5 file, checked before the HDF5 library follows them.

A damaged heap makes the library walk for ever; a damaged length makes it take memory that the file cannot fill.

Values of variable length (events, texts) lie in collections of objects, one after the other (HDF5 File Format
Specification 3.0, III.E). The library goes from one object to the next by the size that each states. Where that size is
zero, or so large that the sum wraps, it stands still or goes back, and no limit of Python's ends it: HDF5 2.0 checks
neither.
"""

from __future__ import annotations

import math
import mmap
import os
import struct
from collections.abc import Iterator

import h5py
import numpy as np

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_COLLECTION = b"GCOL\x01"
_SMALLEST = 4096  # bytes of a collection; the library refuses smaller ones by itself
_SIZES = {2: "H", 4: "I", 8: "Q"}  # by how many bytes the file gives to a size


def check_heaps(content: bytes | mmap.mmap) -> None:
    """Raise ValueError where a global heap's objects are not one after the other up to its end.

    content: the whole file. What is no HDF5 file is left to the library, which refuses it.
    """
    width = _bytes_of_a_size(content)
    if width is None:
        return
    at = content.find(_COLLECTION)
    while at >= 0:
        _check_collection(content, at, width)
        at = content.find(_COLLECTION, at + 1)


def check_heaps_of(path: str | os.PathLike[str]) -> None:
    """`check_heaps` of a file of any size. Raises ValueError, OSError."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size:  # an empty one cannot be mapped
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                check_heaps(content)


def check_lengths(dataset: h5py.Dataset) -> None:
    """Raise ValueError where values of variable length state more bytes than their file has.

    The library takes the memory that a value's length states before it looks whether the heap holds so much. Data
    sets behind a filter (compressed ones, whose damage the filter finds) and files with a user block are not checked.
    """
    kind = h5py.check_vlen_dtype(dataset.dtype)
    if kind is None or dataset.size == 0 or dataset.file.userblock_size:
        return
    item = 1 if kind in (str, bytes) else np.dtype(kind).itemsize
    limit, stated = os.path.getsize(dataset.file.filename), 0
    with open(dataset.file.filename, "rb") as file:
        for start, size, count in _stored_at(dataset):
            file.seek(start)
            rows = np.frombuffer(file.read(size), np.uint8)
            if rows.size != size or size % count:
                return  # cut off: refused by the library
            # A value's length stands before the address of what it is the length of.
            lengths = rows.reshape(count, -1)[:, :4].copy().view("<u4")
            stated += int(lengths.sum(dtype=np.int64)) * item
    if stated > limit:
        raise ValueError(f"{dataset.name} states {stated:,} bytes, and the file has {limit:,}")


def _stored_at(dataset: h5py.Dataset) -> Iterator[tuple[int, int, int]]:
    """(first byte in the file, bytes, values) of each piece of a data set that lies there as it is."""
    creation = dataset.id.get_create_plist()
    if creation.get_layout() == h5py.h5d.CONTIGUOUS and dataset.id.get_offset() is not None:
        yield dataset.id.get_offset(), dataset.id.get_storage_size(), dataset.size
    elif creation.get_layout() == h5py.h5d.CHUNKED and creation.get_nfilters() == 0:
        for number in range(dataset.id.get_num_chunks()):
            chunk = dataset.id.get_chunk_info(number)
            yield chunk.byte_offset, chunk.size, math.prod(dataset.chunks)


def _bytes_of_a_size(content: bytes | mmap.mmap) -> int | None:
    """As the superblock states, which is at 0, 512, 1024 and so on, doubling; None where there is none."""
    at = 0
    while at + 16 <= len(content):
        if content[at : at + 8] == HDF5_SIGNATURE:
            return content[at + (14 if content[at + 8] < 2 else 10)]
        at = max(512, 2 * at)
    return None


def _check_collection(content: bytes | mmap.mmap, start: int, width: int) -> None:
    form = _SIZES.get(width)
    if form is None:
        raise ValueError(f"it gives {width} bytes to a size, which is 2, 4 or 8")
    header = -(-(8 + width) // 8) * 8  # of a collection, and of each of its objects
    if start + header > len(content):
        return
    (size,) = struct.unpack_from(f"<{form}", content, start + 8)
    end = start + size
    if size < _SMALLEST or end > len(content):
        return  # refused by the library, or bytes that only look like a collection
    at = start + header
    while at + header <= end:
        index, _, length = struct.unpack_from(f"<HH4x{form}", content, at)
        # Object 0 is the free space that is left; its size includes its header.
        step = header + -(-length // 8) * 8 if index else length
        if step == 0 or at + step > end:
            raise ValueError(f"a heap's object at byte {at} states {length} bytes, which cannot be")
        at += step
