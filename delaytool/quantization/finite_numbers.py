"""Parameters of a float network that no integer stands for: NaN and infinities, of a training that has diverged."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from torch import Tensor

from delaytool.errors import ExportError
from delaytool.quantization.program import BatchNorm, array_of


def finite_array(where: str, name: str, values: Tensor) -> np.ndarray:
    """`array_of` the values. Raises ExportError where one is not finite; `where` and `name` are for the error."""
    array = array_of(values)
    wrong = array[~np.isfinite(array)]
    if wrong.size:
        raise ExportError(
            f"{where}: {name} holds {wrong[0]:g} ({wrong.size} of {array.size} values are not finite), which have no "
            "integers; take a checkpoint from before the training diverged, or train again with a smaller learning rate"
        )
    return array


def check_norm(where: str, norm: BatchNorm) -> None:
    """Raise ExportError for a batch norm that is not finite, or would divide by 0."""
    for field in fields(norm):
        if field.name != "eps":
            finite_array(where, f"its norm's {field.name}", getattr(norm, field.name))
    spread = array_of(norm.variance) + norm.eps
    if not (spread > 0).all():
        raise ExportError(f"{where}: its norm's variance + eps is {spread.min():g}; it must be above 0")
