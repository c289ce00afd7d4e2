"""Reading HDF5 files that somebody else may have made: nothing outside the file is followed, nothing huge is made.

HDF5 lets a file name other files: by external links, by external storage of a dataset, by virtual datasets. A reader
that follows them hands out what lies elsewhere on the machine. Here only hard links are followed, only datasets whose
numbers are in the file itself are opened, and the declared size is compared with a limit before memory is taken.

    with open_strict("x.h5", DataError, "give an event file") as file:
        labels = file.array("labels")

Every error, of the HDF5 library too, is of the class that the caller gives.
"""

from __future__ import annotations

import math
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np

from delaytool.contract.hdf5_heaps import check_heaps, check_heaps_of
from delaytool.errors import DelaytoolError, first_line

Value = int | float | str | np.ndarray

MAX_FILE_BYTES = 1 << 30  # of a file that is read as a whole
MAX_NUMBERS = 1 << 27  # that all arrays read from one file hold together
MAX_TEXT_BYTES = 1 << 26  # of one text
MAX_MEMBERS = 1 << 16  # of one group
MAX_RANK = 8
# What h5py raises, depending on the damage. MemoryError: a size that only the library itself reads.
LIBRARY_ERRORS = (
    OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError, OverflowError, MemoryError, SystemError,
    AssertionError, IndexError, zlib.error,
)  # fmt: skip


@dataclass
class _Budget:
    """Numbers that may still be read from the file."""

    numbers: int


@dataclass(frozen=True)
class StrictGroup:
    """A group of an HDF5 file, read strictly. Members and attributes are read when they are asked for.

    group   the group itself
    error   the class of every error
    path    the group's name in the file, for errors: '' at the root
    """

    group: h5py.Group
    error: type[DelaytoolError]
    path: str = ""
    _budget: _Budget = field(default_factory=lambda: _Budget(MAX_NUMBERS))

    def __contains__(self, name: str) -> bool:
        with self._library(name):
            return bool(self.group.id.links.exists(name.encode()))

    def names(self) -> list[str]:
        """The members' names, sorted."""
        with self._library(""):
            count = len(self.group)
            if count > MAX_MEMBERS:
                raise self.error(f"{self.path or 'the file'}: {count} members are more than {MAX_MEMBERS}")
            return sorted(self.group)

    def group_at(self, name: str) -> StrictGroup:
        """A member that is a group."""
        found = self._member(name)
        if not isinstance(found, h5py.Group):
            raise self.error(f"{self._at(name)}: this is not a group")
        return StrictGroup(found, self.error, self._at(name), self._budget)

    def is_group(self, name: str) -> bool:
        return isinstance(self._member(name), h5py.Group)

    def dataset(self, name: str) -> h5py.Dataset:
        """A member that is a dataset, whose data are in this file. It is not read: its size is the caller's concern."""
        found = self._member(name)
        where = self._at(name)
        if not isinstance(found, h5py.Dataset):
            raise self.error(f"{where}: this is not a dataset")
        with self._library(name):
            made = found.id.get_create_plist()
            if made.get_external_count():
                raise self.error(f"{where}: its data lie in another file, which is not followed; copy them here")
            if made.get_layout() == h5py.h5d.VIRTUAL:
                raise self.error(f"{where}: a virtual dataset shows other data and is not followed; copy them here")
            if found.shape is None:
                raise self.error(f"{where}: it holds no value")
            if found.chunks is not None:
                self._check_size(where, found.chunks, found.dtype)
        return found

    def array(self, name: str, kinds: str = "iu") -> np.ndarray:
        """A dataset of numbers, read. kinds: of numpy's dtypes: i, u integers, f floats of at most 64 bits."""
        dataset = self.dataset(name)
        where = self._at(name)
        with self._library(name):
            self._check_numbers(where, dataset.shape, dataset.dtype, kinds)
            self._check_storage(where, dataset)
            return np.asarray(dataset[()])

    def text(self, name: str) -> str:
        """A dataset of one text, read."""
        dataset = self.dataset(name)
        with self._library(name):
            self._check_text(self._at(name), dataset.shape, dataset.dtype)
            return self._decoded(self._at(name), np.asarray(dataset[()], object).reshape(-1)[0])

    def value(self, name: str) -> Value:
        """A dataset of one text, or of integers or floats."""
        dataset = self.dataset(name)
        with self._library(name):
            is_text = h5py.check_string_dtype(dataset.dtype) is not None
        return self.text(name) if is_text else self.array(name, "iuf")

    def attribute_names(self) -> list[str]:
        with self._library(""):
            count = len(self.group.attrs)
            if count > MAX_MEMBERS:
                raise self.error(f"{self.path or 'the file'}: {count} attributes are more than {MAX_MEMBERS}")
            return sorted(self.group.attrs)

    def has_attribute(self, name: str) -> bool:
        with self._library(f"@{name}"):
            return name in self.group.attrs

    def attribute(self, name: str) -> Value:
        """An attribute: one text, or integers or floats; a single number as Python's own."""
        where = self._at(f"@{name}")
        with self._library(f"@{name}"):
            if name not in self.group.attrs:
                raise self.error(f"{where} is missing")
            identifier = self.group.attrs.get_id(name)
            if identifier.get_space().get_simple_extent_type() == h5py.h5s.NULL:
                raise self.error(f"{where}: it holds no value")
            shape, dtype = identifier.shape, identifier.dtype
            if h5py.check_string_dtype(dtype) is not None:
                self._check_text(where, shape, dtype)
                return self._decoded(where, np.asarray(self.group.attrs[name], object).reshape(-1)[0])
            self._check_numbers(where, shape, dtype, "iuf")
            found = np.asarray(self.group.attrs[name])
            return found.item() if found.ndim == 0 else found

    def _member(self, name: str) -> Any:
        """What a hard link of this name leads to."""
        where = self._at(name)
        with self._library(name):
            if "/" in name or name in ("", "."):
                raise self.error(f"{where}: this is no name of one member")
            if not self.group.id.links.exists(name.encode()):
                raise self.error(f"{where} is missing")
            if self.group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
                raise self.error(f"{where}: a soft or external link is not followed; put the data in its place")
            return self.group[name]

    def _check_numbers(self, where: str, shape: tuple[int, ...], dtype: np.dtype, kinds: str) -> None:
        expected = "integers" if "f" not in kinds else "numbers"
        if dtype.kind not in kinds or dtype.itemsize > 8 or h5py.check_enum_dtype(dtype) is not None:
            raise self.error(f"{where}: values are {_type_name(dtype)}, not {expected}")
        self._check_size(where, shape, dtype)
        count = math.prod(shape)
        if count > self._budget.numbers:
            raise self.error(f"{where}: with its {count} values the file holds more than {MAX_NUMBERS} numbers")
        self._budget.numbers -= count

    def _check_size(self, where: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        if len(shape) > MAX_RANK or math.prod(shape) * dtype.itemsize > 8 * MAX_NUMBERS:
            raise self.error(f"{where}: shape {_shortened(shape)} is more than a file may hold ({MAX_NUMBERS} numbers)")

    def _check_storage(self, where: str, dataset: h5py.Dataset) -> None:
        """Every value is stored, and no chunk becomes more than its size when it is inflated.

        The library reads what was never stored as zeros, and inflates a chunk to whatever length it has.
        """
        if not dataset.size:
            return
        if dataset.chunks is None:
            if dataset.id.get_storage_size() < dataset.size * dataset.dtype.itemsize:
                raise self.error(f"{where}: its values are not in the file")
            return
        n_chunks = math.prod(-(-size // chunk) for size, chunk in zip(dataset.shape, dataset.chunks, strict=True))
        if n_chunks > MAX_MEMBERS:
            raise self.error(f"{where}: {n_chunks} chunks are more than {MAX_MEMBERS}")
        if dataset.id.get_num_chunks() != n_chunks:
            raise self.error(f"{where}: {n_chunks - dataset.id.get_num_chunks()} of its {n_chunks} chunks are missing")
        made = dataset.id.get_create_plist()
        filters = [made.get_filter(index)[0] for index in range(made.get_nfilters())]
        deflate, shuffle, checksum = h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32
        if filters not in ([], [shuffle], [checksum], [shuffle, checksum]):
            position = filters.index(deflate) if deflate in filters else -1
            before, after = filters[: max(position, 0)], filters[position + 1 :]
            if position < 0 or not {*before} <= {shuffle, checksum} or after not in ([], [checksum]):
                raise self.error(f"{where}: its compression is none that is read; use gzip, with or without shuffle")
            extra = 4 * before.count(checksum)
            self._check_inflated(where, dataset, position, extra, 4 * len(after))

    def _check_inflated(self, where: str, dataset: h5py.Dataset, position: int, extra: int, trailing: int) -> None:
        """Every gzip chunk has its declared size. extra, trailing: bytes of checksums inside and behind."""
        size = math.prod(dataset.chunks) * dataset.dtype.itemsize + extra
        for index in range(dataset.id.get_num_chunks()):
            offset = dataset.id.get_chunk_info(index).chunk_offset
            mask, stored = dataset.id.read_direct_chunk(offset)
            if mask & (1 << position):
                continue
            inflated = zlib.decompressobj().decompress(stored[: len(stored) - trailing], size + 1)
            if len(inflated) != size:
                raise self.error(f"{where}: the chunk at {offset} does not have its {size} bytes")

    def _check_text(self, where: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        if h5py.check_string_dtype(dtype) is None:
            raise self.error(f"{where}: values are {_type_name(dtype)}, not a text")
        if math.prod(shape) != 1 or len(shape) > 1:
            raise self.error(f"{where}: texts of shape {_shortened(shape)} stand where one is expected")
        if dtype.itemsize > MAX_TEXT_BYTES:
            raise self.error(f"{where}: a text of {dtype.itemsize} bytes is longer than {MAX_TEXT_BYTES}")

    def _decoded(self, where: str, value: Any) -> str:
        text = value if isinstance(value, str) else bytes(value).decode()
        if len(text) > MAX_TEXT_BYTES:
            raise self.error(f"{where}: a text of {len(text)} characters is longer than {MAX_TEXT_BYTES}")
        text.encode()  # no halves of characters, as h5py gives for what is not Unicode
        return text

    def _at(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path and name else name or self.path

    @contextmanager
    def _library(self, name: str) -> Iterator[None]:
        """Errors of the HDF5 library as the caller's."""
        try:
            yield
        except DelaytoolError:
            raise
        except LIBRARY_ERRORS as error:
            raise self.error(f"{self._at(name) or 'the file'}: it is damaged ({first_line(error)})") from None


def _type_name(dtype: np.dtype) -> str:
    return "texts" if h5py.check_string_dtype(dtype) is not None else str(dtype)[:60]


def _shortened(shape: tuple[int, ...]) -> str:
    return str(tuple(int(size) for size in shape[:MAX_RANK]))


@contextmanager
def open_strict(path: str | os.PathLike[str], error: type[DelaytoolError], give: str) -> Iterator[StrictGroup]:
    """Open an HDF5 file of any size for strict reading. `give` is the way out that errors name, as 'give a ...'."""
    check_regular_file(path, error, give)

    def checked() -> h5py.File:
        check_heaps_of(path)
        return h5py.File(path, "r")

    with _opened(checked, path, error, give) as group:
        yield group


@contextmanager
def open_strict_image(
    content: bytes, path: str | os.PathLike[str], error: type[DelaytoolError], give: str
) -> Iterator[StrictGroup]:
    """As `open_strict`, of a file's content that has been read (`read_whole`); `path` is for errors only."""

    def checked() -> h5py.File:
        check_heaps(content)
        return h5py.File(h5py.h5f.open_file_image(content))

    with _opened(checked, path, error, give) as group:
        yield group


@contextmanager
def _opened(open_file: Any, path: Any, error: type[DelaytoolError], give: str) -> Iterator[StrictGroup]:
    try:
        file = open_file()
    except LIBRARY_ERRORS as reason:
        raise error(f"{path}: not a readable HDF5 file ({first_line(reason)}); {give}") from None
    with file:
        yield StrictGroup(file, error)


def check_regular_file(path: str | os.PathLike[str], error: type[DelaytoolError], give: str) -> int:
    """Raise unless `path` is a file that can be opened and does not wait or end; its size in bytes."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise error(f"{path}: no such file; {give}") from None
    except (OSError, ValueError) as reason:
        raise error(f"{path}: it cannot be read ({first_line(reason)}); {give}") from None
    if stat.S_ISDIR(found.st_mode):
        raise error(f"{path}: this is a folder; {give}")
    if not stat.S_ISREG(found.st_mode):
        raise error(f"{path}: this is not a regular file; {give}")
    return found.st_size


def read_whole(path: str | os.PathLike[str], error: type[DelaytoolError], give: str) -> bytes:
    """A file's bytes, at most MAX_FILE_BYTES."""
    size = check_regular_file(path, error, give)
    if size > MAX_FILE_BYTES:
        raise error(f"{path}: {size} bytes are more than the {MAX_FILE_BYTES} that such a file may have; {give}")
    try:
        with open(path, "rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except (OSError, MemoryError) as reason:
        raise error(f"{path}: it cannot be read ({first_line(reason)}); {give}") from None
