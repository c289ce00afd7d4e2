"""Errors of the operating system and of libraries as one line: the file or step, the reason, the way out."""

from __future__ import annotations

import os
import traceback
from types import TracebackType

from delaytool.errors import first_line
from delaytool.files import os_reason, way_out

# If this variable is set, errors are not translated and end in a traceback.
TRACEBACK = "DELAYTOOL_TRACEBACK"
_LESS = "free memory, or take fewer samples, smaller batches, a smaller network or fewer processes"
# Parts of the messages of PyTorch's RuntimeErrors where memory ran out, on the CPU or a device.
_MEMORY = ("out of memory", "can't allocate memory", "not enough memory", "failed to allocate", "alloc_cpu")


def error_line(error: BaseException) -> str | None:
    """The line for an error that its user or machine caused; None for any other, which is a fault of delaytool.

    >>> error_line(OSError(28, "No space left on device", "runs/a/last.pt"))
    'runs/a/last.pt: no space left on device; free space there, or give another place, and run again'
    """
    if os.environ.get(TRACEBACK):
        return None
    if isinstance(error, BrokenPipeError):
        return None  # the reader of the output is gone, so a line would reach nobody
    if isinstance(error, MemoryError) or _is_torch_memory(error):
        return f"memory ran out ({first_line(error)[:160]}); {_LESS}"
    if isinstance(error, RecursionError):
        return f"{_place(error)}: values are nested too deep ({first_line(error)}); give a file with fewer levels"
    if isinstance(error, OverflowError):
        return f"{_place(error)}: a number is too large ({first_line(error)}); give a smaller one"
    library = _library(error.__traceback__)
    if isinstance(error, OSError):
        if library == "h5py" and error.errno is None:
            return f"an HDF5 file cannot be read or written ({first_line(error)}); make it again"
        path = error.filename2 or error.filename
        place = "a file" if path is None else os.fsdecode(path) if isinstance(path, (str, bytes)) else str(path)
        return f"{place}: {os_reason(error)}; {way_out(error)}"
    if library == "h5py" and isinstance(error, (RuntimeError, KeyError, ValueError, TypeError)):
        return f"an HDF5 file cannot be read or written ({first_line(error)}); make it again"
    if library == "torch" and isinstance(error, RuntimeError):
        return f"PyTorch failed ({first_line(error)[:160]}); set {TRACEBACK}=1 to see where"
    return None


def _is_torch_memory(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(part in str(error).lower() for part in _MEMORY)


def _library(found: TracebackType | None) -> str:
    """The library whose code raised, of those whose errors are translated; '' for any other."""
    frames = traceback.extract_tb(found)
    name = frames[-1].filename.replace("\\", "/") if frames else ""
    return next((library for library in ("h5py", "torch") if f"/{library}/" in f"/{name}"), "")


def _place(error: BaseException) -> str:
    """The function of this package in which it happened."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "delaytool" in frame.filename]
    return frames[-1].name if frames else "delaytool"
