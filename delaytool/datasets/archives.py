"""Archives of recordings: fetched once from their official place, checked, unpacked."""

from __future__ import annotations

import http.client
import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from delaytool.errors import DataError, first_line
from delaytool.files import sha256_of

Progress = Callable[[str, int, int], None]
TIMEOUT_SECONDS = 60.0
CHUNK = 1 << 20
# Bytes of recordings per byte of a compressed archive, rounded up.
UNPACKED = 2


@dataclass(frozen=True)
class Archive:
    """A .tar.gz of recordings: where it is, its published SHA-256 and size in bytes, its license."""

    url: str
    sha256: str
    size: int
    license: str

    @property
    def name(self) -> str:
        return self.url.rsplit("/", 1)[-1]


ARCHIVES = {
    # The place that P. Warden, arXiv 1804.03209, names; SHA-256 and size as TensorFlow Datasets' and torchaudio's
    # lists of checksums publish them.
    "speech-commands": Archive(
        url="https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
        sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        size=2_428_923_189,
        license="CC BY 4.0",
    )
}


def fetch_archive(archive: Archive, folder: Path, progress: Progress | None = None) -> None:
    """Download an archive and unpack it into `folder`, which must not be there yet or be empty.

    What is downloaded lies beside the folder as NAME.part until it is whole, and an interrupted download goes on from
    there. The folder appears when all of it is unpacked; then the archive is removed. progress is called with (what,
    bytes done, bytes). Raises DataError.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: it is there and not empty; give a new folder, or remove it to fetch it again")
    part = folder.with_name(f"{archive.name}.part")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _refuse_small_disk(folder.parent, archive, part)
        _download(archive, part, progress)
        _check(archive, part)
        _unpack(archive, part, folder, progress)
        part.unlink()
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be written ({error.strerror or first_line(error)}); give another folder with -o"
        ) from None


def _refuse_small_disk(place: Path, archive: Archive, part: Path) -> None:
    there = part.stat().st_size if part.exists() else 0
    needed = archive.size * (1 + UNPACKED) - there
    free = shutil.disk_usage(place).free
    if free < needed:
        raise DataError(
            f"{place}: {free / 1e9:.1f} GB are free, the archive and its recordings need {needed / 1e9:.1f} GB; give a "
            "folder on another disk with -o"
        )


def _download(archive: Archive, part: Path, progress: Progress | None) -> None:
    done = part.stat().st_size if part.exists() else 0
    if done == archive.size:
        return
    if done > archive.size:
        part.unlink()
        done = 0
    request = urllib.request.Request(archive.url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
            if done and answer.status != http.client.PARTIAL_CONTENT:
                done = 0  # a server that starts again
            _refuse_something_else(answer, archive, done)
            _receive(answer, archive, part, done, progress)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise DataError(
            f"{archive.url}: could not be downloaded ({first_line(error)}); check the network and give the same "
            f"command again, which goes on, or put the archive there by hand as {part}"
        ) from None


def _refuse_something_else(answer: http.client.HTTPResponse, archive: Archive, done: int) -> None:
    """Raise DataError where an answer is not what is left of the archive, such as a page to log in."""
    size = None if answer.length is None else done + answer.length
    kind = answer.headers.get("Content-Type", "")
    if size not in (None, archive.size) or kind.startswith("text/html"):
        what = f"a page ({kind})" if size is None else f"{size:,} bytes"
        raise DataError(
            f"{archive.url}: the server answers with {what}, the archive has {archive.size:,} bytes; nothing of that "
            "was kept. Check whether the network asks you to log in, and give the same command again"
        )


def _receive(
    answer: http.client.HTTPResponse, archive: Archive, part: Path, done: int, progress: Progress | None
) -> None:
    with open(part, "ab" if done else "wb") as file:
        while chunk := answer.read(CHUNK):
            done += len(chunk)
            if done > archive.size:
                break
            file.write(chunk)
            if progress is not None:
                progress(f"download of {archive.name}", done, archive.size)
    if done < archive.size:
        raise ConnectionError(f"it ended after {done:,} of {archive.size:,} bytes")


def _check(archive: Archive, part: Path) -> None:
    actual = sha256_of(part)
    if actual != archive.sha256:
        part.unlink()
        raise DataError(
            f"{archive.url}: what was downloaded has the SHA-256 {actual[:12]}..., published is "
            f"{archive.sha256[:12]}...; it was removed, so give the same command again"
        )


def _unpack(archive: Archive, part: Path, folder: Path, progress: Progress | None) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as name:
        unpacked = Path(name) / folder.name
        unpacked.mkdir()
        try:
            with open(part, "rb") as raw, tarfile.open(fileobj=raw, mode="r:gz") as tar:
                for member in tar:
                    # Nothing may leave the folder; Pythons before 3.10.12 lack the filter, and the sum was right.
                    if hasattr(tarfile, "data_filter"):
                        tar.extract(member, unpacked, filter="data")
                    else:
                        tar.extract(member, unpacked)
                    if progress is not None:
                        progress(f"unpacking {archive.name}", raw.tell(), archive.size)
        except (tarfile.TarError, EOFError) as error:
            raise DataError(
                f"{archive.url}: the archive cannot be unpacked ({first_line(error)}); remove {part} and give the same "
                "command again"
            ) from None
        if folder.exists():
            folder.rmdir()
        os.replace(unpacked, folder)
