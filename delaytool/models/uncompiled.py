"""Functions that torch.compile leaves alone: its tracing fails in what numba compiles."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def uncompiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function, which runs as it is within a module or function that is given to torch.compile.

    (`torch.compiler.disable` would import the compiler, which takes a second, whether or not anybody compiles.)
    """
    # The same, once it is called.
    left_alone: Callable[P, R] = torch._disable_dynamo(function)

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():
            return left_alone(*args, **kwargs)
        return function(*args, **kwargs)

    return run
