"""Threads of compiled loops."""

from __future__ import annotations

import numba
import torch


def use_as_many_threads_as_torch() -> None:
    """numba's threads are apart from PyTorch's; the same number of them is what a recipe means."""
    numba.set_num_threads(min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
