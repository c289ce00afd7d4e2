"""The base of functions that bring their own gradient, which is differentiated no further."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from delaytool.errors import ModelError

if TYPE_CHECKING:

    class _Function(torch.autograd.Function):
        """As `torch.autograd.Function`, whose stubs fix the arguments of `forward` and the fields of its context."""

        @staticmethod
        def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any: ...

        @staticmethod
        def backward(ctx: Any, *args: Any, **kwargs: Any) -> Any: ...

        @classmethod
        def apply(cls, *args: Any, **kwargs: Any) -> Any: ...

else:
    _Function = torch.autograd.Function


class DifferentiableFunction(_Function):
    """A function whose `backward` is a formula of its own, which leaves no history.

    With create_graph=True it raises ModelError: a second derivative would silently lack what comes through it.
    (`torch.autograd.function.once_differentiable` notices that only where the gradient that comes in has a history.)
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.backward = staticmethod(_without_graph(cls.backward))  # type: ignore[method-assign]


def _without_graph(backward: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(backward)
    def run(ctx: Any, *grads: Tensor) -> Any:
        if torch.is_grad_enabled():  # in a backward pass it is with create_graph=True alone
            raise ModelError(
                "create_graph=True: a second derivative through delaytool's layers, as of a gradient penalty, is not "
                "computed; penalize what the layers give instead"
            )
        return backward(ctx, *grads)

    return run
