"""Files that torch.save wrote: checkpoints of this program and of others."""

from __future__ import annotations

import io
import os
from typing import Any

import torch

from delaytool.errors import CheckpointError, first_line
from delaytool.files import os_reason, way_out


def read_torch_file(path: str | os.PathLike[str]) -> Any:
    """What a file written by torch.save holds, read without running code. Raises CheckpointError."""
    return unpickled(read_file(path), path)


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a checkpoint's file. Raises CheckpointError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint; give a run folder that `delaytool train` made") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({os_reason(error)}); {way_out(error)}") from None


def unpickled(archive: bytes, path: str | os.PathLike[str]) -> Any:
    """What the bytes of a file written by torch.save hold, read without running code. Raises CheckpointError."""
    try:
        return torch.load(io.BytesIO(archive), map_location="cpu", weights_only=True)
    except Exception as error:  # there is hardly a kind that damaged pickles and archives do not raise
        raise CheckpointError(
            f"{path}: not a readable PyTorch checkpoint ({first_line(error)[:120]}); it is damaged or cut short: "
            "copy it again, take another checkpoint, or train again"
        ) from None


def refuse_nan(parameters: dict[str, torch.Tensor], path: str | os.PathLike[str]) -> None:
    """Raise CheckpointError where a parameter is not finite."""
    for name, tensor in parameters.items():
        bad = int((~torch.isfinite(tensor)).sum()) if tensor.is_floating_point() else 0
        if bad:
            raise CheckpointError(
                f"{path}: {name} has {bad} values that are NaN or infinite; "
                "training diverged: train again with a lower trainer.lr, or take an earlier checkpoint"
            )
