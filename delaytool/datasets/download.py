"""Download SHD and SSC once, with pooch, and check them on every use."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from pathlib import Path

import h5py

from delaytool.datasets.spec import DOWNLOADS as SPLITS
from delaytool.errors import DataError, MissingExtraError, first_line
from delaytool.files import atomic_path, sha256_of

ROOT_VARIABLE = "DELAYTOOL_DATA"
CHECKSUMS = "delaytool-sha256.json"
# Seconds without an answer of the server after which a download ends with an error.
TIMEOUT_SECONDS = 60.0

# The publishers' server (B. Cramer, Y. Stradmann, J. Schemmel, F. Zenke; CC BY 4.0), whose own list of sums is
# md5sums.txt there. The MD5 sums of the archives are those that tonic 1.7 (tonic/datasets/hsd.py) and spikingjelly
# (resource_url_md5) publish alike.
BASE_URL = "https://zenkelab.org/datasets/"
MD5_SUMS = {
    "shd_train.h5.zip": "f3252aeb598ac776c1b526422d90eecb",
    "shd_test.h5.zip": "1503a5064faa34311c398fb0a1ed0a6f",
    "ssc_train.h5.zip": "d102be95e7144fcc0553d1f45ba94170",
    "ssc_valid.h5.zip": "b4eee3516a4a90dd0c71a6ac23a8ae43",
    "ssc_test.h5.zip": "a35ff1e9cffdd02a20eb850c17c37748",
}


def default_root() -> Path:
    """Where data sets are cached: $DELAYTOOL_DATA, or delaytool in $XDG_CACHE_HOME, or in ~/.cache."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get(ROOT_VARIABLE) or cache / "delaytool")


def fetch(name: str, root: str | os.PathLike[str] | None = None) -> Path:
    """The folder that holds the HDF5 files of `name` ('shd' or 'ssc'), downloaded if they are not there yet.

    The files lie in ROOT/SHD or ROOT/SSC, as tonic lays them out, so files that tonic or the user put there are
    used. The archives are checked against the published MD5 sums (`MD5_SUMS`); the SHA-256 of each unpacked file is
    recorded beside it when it is first seen and checked on every later use.

    Raises DataError for an unknown name, a failed download or a file that has changed, and MissingExtraError
    where something must be downloaded and pooch is absent.
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
            _download(file)
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


def _download(file: Path) -> None:
    """Download and unpack the archive of `file`."""
    try:
        import pooch
    except ImportError:
        what = f"downloading {file.name} (or put {file.name} into {file.parent} by hand)"
        raise MissingExtraError(what, "pooch", "datasets") from None
    archive = f"{file.name}.zip"
    url = BASE_URL + archive
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unpacked = tempfile.TemporaryDirectory(prefix=".unpack-", dir=file.parent)
    except OSError as error:
        raise DataError(
            f"{file.parent}: cannot be written ({error.strerror or error}); set {ROOT_VARIABLE} to a folder that can"
        ) from None
    with unpacked as place:
        try:
            pooch.retrieve(
                url,
                known_hash=f"md5:{MD5_SUMS[archive]}",
                fname=archive,
                path=place,
                downloader=pooch.HTTPDownloader(timeout=TIMEOUT_SECONDS),
                processor=pooch.Unzip(members=[file.name], extract_dir="."),
            )
            # Unpacked elsewhere and renamed, so that an interruption leaves no half file under the final name.
            os.replace(Path(place) / file.name, file)
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:  # requests' errors are OSErrors
            raise DataError(
                f"{file.stem}: could not download {url} ({first_line(error)}); check the network, "
                f"or download and unpack it elsewhere and put {file.name} into {file.parent}"
            ) from None


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
