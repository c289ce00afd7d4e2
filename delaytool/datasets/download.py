"""Fetch SHD and SSC once, through tonic's downloader, and check them on every use."""

from __future__ import annotations

import contextlib
import http.client
import importlib
import json
import os
import socket
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import h5py

from delaytool.datasets.spec import DOWNLOADS as SPLITS
from delaytool.errors import DataError, MissingExtraError, first_line
from delaytool.files import atomic_path, sha256_of

ROOT_VARIABLE = "DELAYTOOL_DATA"
CHECKSUMS = "delaytool-sha256.json"
# tonic sets no limit of its own and would wait for ever behind a firewall that drops packets.
TIMEOUT_SECONDS = 60.0


def default_root() -> Path:
    """Where data sets are cached: $DELAYTOOL_DATA, or delaytool in $XDG_CACHE_HOME, or in ~/.cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get(ROOT_VARIABLE) or cache / "delaytool")


def fetch(name: str, root: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds the HDF5 files of `name` ('shd' or 'ssc'), downloaded if they are not there yet.

    The files lie in ROOT/SHD or ROOT/SSC, as tonic lays them out, so files that tonic or the user put there are
    used. The archives are checked against tonic's MD5 sums; the SHA-256 of each unpacked file is recorded beside
    it when it is first seen and checked on every later use.

    Raises DataError for an unknown name, a failed download or a file that has changed, and MissingExtraError
    where something must be downloaded and tonic is absent.
    """
    if name not in SPLITS:
        raise DataError(f"{name!r} cannot be downloaded; choose one of {', '.join(SPLITS)}")
    folder = Path(default_root() if root is None else root).expanduser() / name.upper()
    known = _read_checksums(folder)
    for split in SPLITS[name]:
        file = folder / f"{name}_{split}.h5"
        if not file.exists():
            # A recorded sum is for a file that is gone, so the new one is seen for the first time.
            known.pop(file.name, None)
            _download(name, split, folder)
        actual = sha256_of(file)
        if file.name not in known:
            _check_whole(file)
            known[file.name] = actual
            _write_checksums(folder, known)
        elif known[file.name] != actual:
            raise DataError(
                f"{file}: its SHA-256 {actual[:12]}... is not the {known[file.name][:12]}... recorded when it was "
                f"first used; it has changed. Delete it to download it again, or delete {CHECKSUMS} to accept it"
            )
    return folder


def _download(name: str, split: str, folder: Path) -> None:
    file = f"{name}_{split}.h5"
    by_hand = f"or put {file} into {folder} by hand"
    try:
        datasets = importlib.import_module("tonic.datasets")
        downloader = importlib.import_module("tonic.download_utils").download_and_extract_archive
    except ImportError:
        raise MissingExtraError(f"downloading {name} ({by_hand})", "tonic", "datasets") from None
    source = getattr(datasets, name.upper())
    archive, md5 = getattr(source, f"{split}_zip"), getattr(source, f"{split}_md5")
    url = source.base_url + archive
    try:
        folder.mkdir(parents=True, exist_ok=True)
        unpacked = tempfile.TemporaryDirectory(prefix=".unpack-", dir=folder)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror or error}); set {ROOT_VARIABLE} to a folder that can"
        ) from None
    # tonic's dataset classes are not called: 1.7.0's existence check wants the archive beside the file, takes any
    # .h5 in the folder for the right one and accepts half an archive. Its downloader checks the MD5 sum.
    with unpacked, _short_timeout(), contextlib.redirect_stdout(sys.stderr):
        try:
            downloader(url, str(folder), extract_root=unpacked.name, filename=archive, md5=md5)
            # Unpacked elsewhere and renamed, so that an interruption leaves no half file under the final name.
            os.replace(Path(unpacked.name) / file, folder / file)
        except (OSError, RuntimeError, http.client.HTTPException, zipfile.BadZipFile) as error:
            reason = first_line(error)
            raise DataError(
                f"{name}: could not download {url} ({reason}); check the network, "
                f"or download and unpack it elsewhere and put {file} into {folder}"
            ) from None


@contextlib.contextmanager
def _short_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _check_whole(file: Path) -> None:
    """Refuse to record the sum of a file that is not whole; HDF5 knows its own length."""
    try:
        with h5py.File(file, "r"):
            pass
    except OSError:
        raise DataError(
            f"{file}: not a whole HDF5 file; delete it to download it again, or put a whole one there"
        ) from None


def _read_checksums(folder: Path) -> dict[str, str]:
    path = folder / CHECKSUMS
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(known, dict) or not all(isinstance(value, str) for value in known.values()):
            raise ValueError
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError):
        raise DataError(f"{path}: not a readable list of checksums; delete it to record them anew") from None
    return known


def _write_checksums(folder: Path, known: dict[str, str]) -> None:
    path = folder / CHECKSUMS
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(known, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{path}: cannot be written ({error.strerror or error}); set {ROOT_VARIABLE} to a folder that can, "
            "or give the folder of the files as the data source"
        ) from None
