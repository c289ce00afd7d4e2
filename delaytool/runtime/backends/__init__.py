"""The backends by name. Each is a function (network, frames) -> Trace with the reference's bits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from delaytool.contract.network import IntegerNetwork
from delaytool.errors import BackendError
from delaytool.runtime.trace import Trace

Backend = Callable[[IntegerNetwork, np.ndarray], Trace]


@dataclass(frozen=True)
class BackendOptions:
    """Options of some backends.

    announce      called with a line of text before something that takes long
    engine_method 'auto', 'event' or 'batched' (see `runtime.engine`)
    threads       of the engine; None: one for each core that this process may use
    lava_python   an interpreter that has Lava; None: $DELAYTOOL_LAVA_PYTHON, else the present one
    lava_timeout  seconds; None: the backend's own
    loihi_host    keywords of `runtime.backends.loihi.Host`
    """

    announce: Callable[[str], None] | None = None
    engine_method: str = "auto"
    threads: int | None = None
    lava_python: str | None = None
    lava_timeout: float | None = None
    loihi_host: dict[str, Any] = field(default_factory=dict)

    def lava(self) -> dict[str, Any]:
        timeout = {} if self.lava_timeout is None else {"timeout": self.lava_timeout}
        return {"python": self.lava_python, **timeout}


# Each imports its module when it is asked for: numba takes a second, and Lava need not be there.
def _reference(options: BackendOptions) -> Backend:
    from delaytool.runtime import reference

    return reference.run


def _engine(options: BackendOptions) -> Backend:
    from delaytool.runtime import engine

    return lambda network, frames: engine.run(
        network, frames, threads=options.threads, announce=options.announce, method=options.engine_method
    )


def _lava(options: BackendOptions) -> Backend:
    from delaytool.runtime.backends import lava

    return lambda network, frames: lava.run(network, frames, variant="stock", **options.lava())


def _lava_cached(options: BackendOptions) -> Backend:
    from delaytool.runtime.backends import lava

    return lambda network, frames: lava.run(network, frames, variant="cached", **options.lava())


def _loihi2(options: BackendOptions) -> Backend:
    from delaytool.runtime.backends import loihi

    host = loihi.Host(**options.loihi_host)
    return lambda network, frames: loihi.run(network, frames, host=host, **options.lava())


BACKENDS: dict[str, Callable[[BackendOptions], Backend]] = {
    "engine": _engine,
    "reference": _reference,
    "lava": _lava,
    "lava-cached": _lava_cached,
    "loihi2": _loihi2,
}


def backend_named(name: str, options: BackendOptions | None = None) -> Backend:
    """Raises BackendError for an unknown name."""
    if name not in BACKENDS:
        raise BackendError(f"backend {name!r} is unknown; choose one of {', '.join(BACKENDS)}")
    return BACKENDS[name](options or BackendOptions())
