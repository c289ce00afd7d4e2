"""The base of functions that bring their own gradient, typed so that their subclasses need no exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:

    class DifferentiableFunction(torch.autograd.Function):
        """As `torch.autograd.Function`, whose stubs fix the arguments of `forward` and the fields of its context."""

        @staticmethod
        def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any: ...

        @staticmethod
        def backward(ctx: Any, *args: Any, **kwargs: Any) -> Any: ...

        @classmethod
        def apply(cls, *args: Any, **kwargs: Any) -> Any: ...

else:
    DifferentiableFunction = torch.autograd.Function
