"""Threads of compiled loops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import torch


def use_as_many_threads_as_torch() -> None:
    """numba's threads are apart from PyTorch's; the same number of them is what a recipe means.

    Where both stand on one OpenMP library, numba's first call sets the number for both: PyTorch's is put back, since
    a result's last bits depend on it.
    """
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    _put_back(threads)


@contextmanager
def compiled_threads_restored() -> Iterator[None]:
    """Give numba's loops afterwards as many threads as they had before; PyTorch's stay what they are."""
    torchs = torch.get_num_threads()
    before = numba.get_num_threads()  # the first call may set PyTorch's number too, as above
    _put_back(torchs)
    try:
        yield
    finally:
        torchs = torch.get_num_threads()
        numba.set_num_threads(before)
        _put_back(torchs)


def _put_back(threads: int) -> None:
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
