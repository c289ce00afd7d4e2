"""How the process's own processor and memory are set up while it trains."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h
_LARGEST = 2**31 - 1


# What PyTorch calls them. On a CPU 'medium' is bfloat16 where the processor multiplies it, on NVIDIA GPUs TF32.
PRECISIONS = {"float32": "highest", "tf32": "high", "bf16": "medium"}


@contextmanager
def processor_state(threads: int | None, precision: str = "float32") -> Iterator[None]:
    """PyTorch's threads and precision as the recipe says, and no denormal numbers: they only slow a CPU down."""
    before, precision_before = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(PRECISIONS[precision])
    if threads is not None:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    try:
        yield
    finally:  # all are the whole process's, and the caller's own arithmetic is none of our business
        torch.set_flush_denormal(False)
        torch.set_num_threads(before)
        torch.set_float32_matmul_precision(precision_before)


def keep_freed_memory() -> None:
    """Let glibc reuse the large blocks that every step frees: to fetch them anew from the kernel takes 10 to 20 %."""
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 2**30)
        mallopt(_TRIM_THRESHOLD, _LARGEST)
