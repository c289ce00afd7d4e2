"""Writing files so that a reader never sees half of one, and so that what was written survives a power cut."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from delaytool.errors import OutputError

# What a probe writes: a block of any usual file system, so that a full one refuses it.
PROBE_BYTES = 4096


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, remove it on failure.

    File and folder are flushed to the disk, so that after a power cut the file is the old one or the new one, whole.
    Whoever has the bytes at hand uses `write_bytes_atomically`. Raises OSError, which names `path`.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))  # with the user's usual rights
        try:
            yield temporary
            sync(temporary)
            os.replace(temporary, target)
        finally:
            _remove(temporary)
        sync_folder(target.parent)
    except OSError as error:
        # An error of a write does not name its file, and the temporary file's name would not help a user.
        if error.errno is not None and error.filename in (None, str(temporary), temporary):
            raise OSError(error.errno, os.strerror(error.errno), str(target)) from error
        raise


def write_bytes_atomically(path: str | os.PathLike[str], content: bytes | bytearray | memoryview) -> None:
    """Write a file whole or not at all, and flush it to the disk. Raises OSError, which names `path`.

    What a library would write by itself (HDF5, PyTorch) is made in memory first: a full disk is then an OSError here
    and not whatever that library makes of it.
    """
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(content)


def write_text_atomically(path: str | os.PathLike[str], text: str) -> None:
    """`write_bytes_atomically` of UTF-8 text, with line ends as they are."""
    write_bytes_atomically(path, text.encode())


def append_durably(path: str | os.PathLike[str], content: bytes) -> None:
    """Add bytes to the end of a file and flush them to the disk; where that fails, the file is as it was.

    A process that is killed meanwhile leaves the bytes there, the first of them, or none. Raises OSError.
    """
    target = Path(path)
    is_new = not target.exists()
    with open(target, "ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(content):
                written += file.write(content[written:])
            os.fsync(file.fileno())
        except OSError as error:
            file.truncate(before)
            raise OSError(error.errno, error.strerror, str(target)) from error
    if is_new:
        sync_folder(target.parent)


def sync(path: str | os.PathLike[str]) -> None:
    """Flush a file's bytes to the disk."""
    # Windows flushes only what is open for writing.
    handle = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Flush a folder's names to the disk, where the system can: Windows cannot, nor can some network file systems."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def require_writable_file(
    path: str | os.PathLike[str],
    *,
    reads: Iterable[str | os.PathLike[str] | None] = (),
    writes: Iterable[str | os.PathLike[str]] = (),
) -> None:
    """Raise OutputError where a file cannot be written at `path`: before anything is computed for it.

    reads, writes   files that the same command reads, and those that it writes besides, none of which `path` may be.
                    None stands for no file.
    """
    target = Path(path)
    if target.is_dir():
        raise OutputError(f"{target}: this is a folder; give the name of a file")
    if any(_is_same_file(target, Path(read)) for read in reads if read is not None):
        raise OutputError(f"{target}: this command reads this file, which would be lost; give another name with -o")
    if any(_is_same_file(target, Path(written)) for written in writes):
        raise OutputError(f"{target}: this command would write two files of this name; give another name with -o")
    require_writable_folder(target.parent)


def _is_same_file(one: Path, other: Path) -> bool:
    """By any of its names where it is there: through links too."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)


def require_writable_folder(path: str | os.PathLike[str]) -> None:
    """Raise OutputError where no file can be written in the folder `path`, or where it cannot be made.

    A few bytes are written and removed, in the folder or the nearest one above it that exists: rights, a read-only
    file system, a quota and a full disk are found alike.
    """
    folder = Path(path)
    nearest = folder.absolute()
    while not os.path.lexists(nearest):
        nearest = nearest.parent
    if not nearest.is_dir():
        if nearest == folder.absolute():
            raise OutputError(f"{folder}: this is a file; give a folder")
        raise OutputError(f"{folder}: cannot be made, because {nearest} is not a folder; give another place")
    probe = nearest / f".delaytool-probe.{secrets.token_hex(4)}"
    try:
        try:
            with open(probe, "xb") as file:
                file.write(bytes(PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        finally:
            _remove(probe)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({os_reason(error)}); {way_out(error)}") from None


def _remove(temporary: Path) -> None:
    """Remove a file if it is there; an interruption just before that does not leave it."""
    try:
        temporary.unlink(missing_ok=True)
    except KeyboardInterrupt:
        temporary.unlink(missing_ok=True)
        raise


def os_reason(error: OSError) -> str:
    """Why the operating system refused, without its number: 'no space left on device'."""
    reason = error.strerror or str(error) or type(error).__name__
    return reason[:1].lower() + reason[1:]


def way_out(error: OSError) -> str:
    """What a user can do about an error of the operating system."""
    return _WAYS_OUT.get(error.errno or 0, "correct that, or give another place, and run again")


_WAYS_OUT = {
    errno.ENOSPC: "free space there, or give another place, and run again",
    errno.EDQUOT: "free some of your quota there, or give another place, and run again",
    errno.EROFS: "the file system is read-only: give another place",
    errno.EACCES: "give a place where you may write, or change its rights",
    errno.EPERM: "give a place where you may write, or change its rights",
    errno.ENOENT: "give one that exists",
    errno.ENOTDIR: "a part of this path is a file: give another place",
    errno.EISDIR: "this is a folder: give the name of a file",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.ENOMEM: "free memory, or take fewer samples, smaller batches or fewer processes",
    errno.EMFILE: "too many files are open: raise the limit (ulimit -n), or use fewer processes",
}


def sha256_of(path: str | os.PathLike[str]) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
