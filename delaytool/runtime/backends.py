"""The backends by name. Each is a function (network, frames) -> Trace with the reference's bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from delaytool.errors import BackendError
from delaytool.network import IntegerNetwork
from delaytool.runtime.trace import Trace

Backend = Callable[[IntegerNetwork, np.ndarray], Trace]


def _reference(network: IntegerNetwork, frames: np.ndarray) -> Trace:
    from delaytool.runtime import reference

    return reference.run(network, frames)


def _engine(network: IntegerNetwork, frames: np.ndarray) -> Trace:
    from delaytool.runtime import engine  # numba takes a second to import

    return engine.run(network, frames)


BACKENDS: dict[str, Backend] = {"engine": _engine, "reference": _reference}


def backend_named(name: str) -> Backend:
    """Raises BackendError for an unknown name."""
    if name not in BACKENDS:
        raise BackendError(f"backend {name!r} is unknown; choose one of {', '.join(BACKENDS)}")
    return BACKENDS[name]
