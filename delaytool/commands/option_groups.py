"""Options that belong together reach a command as one argument."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce, wraps
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def option_group(name: str, made_by: Callable[..., Any], *options: Callable[[F], F]) -> Callable[[F], F]:
    """Add click's `options`, in this order, whose values the command gets as its argument `name`.

    made_by   called with every option's value under the option's name, as a dataclass is; it may raise UsageError for
              values that do not go together
    """

    def decorated(command: F) -> F:
        return reduce(lambda inner, option: option(inner), reversed(options), command)

    declared: list[click.Parameter] = decorated(lambda: None).__click_params__  # type: ignore[arg-type,attr-defined]
    names = [str(parameter.name) for parameter in declared]

    def decorate(command: F) -> F:
        @wraps(command)
        def with_group(**values: Any) -> Any:
            group = made_by(**{option: values.pop(option) for option in names})
            return command(**values, **{name: group})

        return decorated(with_group)  # type: ignore[arg-type]

    return decorate
