"""The cores that this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """How many: those of the process's affinity where the system has it (Linux), else all of the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
