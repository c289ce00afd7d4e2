"""How the process's own processor and memory are set up while it trains."""

from __future__ import annotations

import ctypes
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from delaytool.errors import RecipeError
from delaytool.models.float32 import float32_by_default
from delaytool.models.threads import compiled_threads_restored

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGEST = 2**31 - 1


# PyTorch's names for them. On a CPU 'medium' is bfloat16 where the processor multiplies it, on NVIDIA GPUs TF32.
PRECISIONS = {"float32": "highest", "tf32": "high", "bf16": "medium"}


# One for each process, as a forked one would inherit a lock that another thread of its parent held.
_TRAINING: dict[int, threading.RLock] = {}


@contextmanager
def the_only_training() -> Iterator[None]:
    """Raise RecipeError where another thread of this process trains: PyTorch's generator and settings are shared.

    A callback of a run may train another one, which leaves generator and settings as they were.
    """
    lock = _TRAINING.setdefault(os.getpid(), threading.RLock())
    if not lock.acquire(blocking=False):
        raise RecipeError(
            "another thread of this process is training, and both would draw from one random number generator, so that "
            "neither were the run of its seed; train them one after the other, or in processes of their own (delaytool "
            "sweep does)"
        )
    try:
        yield
    finally:
        lock.release()


@contextmanager
def processor_state(threads: int | None, precision: str = "float32") -> Iterator[None]:
    """Set PyTorch's threads and precision, flush denormal numbers, and restore all three afterwards.

    The threads of compiled loops, which follow PyTorch's, are restored too. Within it the default type is float32 and
    gradients are recorded, whatever the caller has set: a recipe is the same run in every program.

    The precision is that of matrix products and of cuDNN's convolutions, which by default may use TF32. Denormal
    numbers only slow a CPU down. All settings are the whole process's. `keep_freed_memory` is called too, and that is
    not undone.
    """
    before, precision_before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    flushed_before, tf32_before = flushes_denormals(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision(PRECISIONS[precision])
    torch.backends.cudnn.allow_tf32 = precision != "float32"
    if threads is not None:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    try:
        with compiled_threads_restored(), float32_by_default(), torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        torch.set_flush_denormal(flushed_before)
        torch.set_num_threads(before)
        torch.set_float32_matmul_precision(precision_before)
        torch.backends.cudnn.allow_tf32 = tf32_before


def flushes_denormals() -> bool:
    """Whether this thread's arithmetic turns denormal numbers into 0; PyTorch can set but not report this."""
    smallest = torch.finfo(torch.float32).smallest_normal
    return float(torch.full((1,), smallest, dtype=torch.float32) * 0.5) == 0.0


def keep_freed_memory() -> None:
    """Let glibc reuse the large blocks that every step frees; fetching them from the kernel takes 10 to 20 % of a step.

    glibc has no way to read or restore these settings: they hold for the rest of the process. The memory that a process
    has freed is then not returned to the system before the process ends.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**30)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
