"""Threads of compiled loops."""

from __future__ import annotations

import numba
import torch


def use_as_many_threads_as_torch() -> None:
    """numba's threads are apart from PyTorch's; the same number of them is what a recipe means.

    Where both stand on one OpenMP library, numba's first call sets the number for both: PyTorch's is put back, since
    a result's last bits depend on it.
    """
    threads = torch.get_num_threads()
    numba.set_num_threads(min(threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
