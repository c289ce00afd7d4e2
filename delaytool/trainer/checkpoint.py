"""Checkpoints: all that a run needs to go on to the same bits, and all that the exporter needs.

The file is what `torch.save` writes, a ZIP archive, with the SHA-256 of all that stands before it as the archive's
comment: any program that reads PyTorch's files or ZIP archives reads it, and every changed byte is found.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from dataclasses import dataclass, field
from typing import Any

import torch

from delaytool.contract.encoding import InputEncoding
from delaytool.errors import CheckpointError, ExportError, ModelError, NetworkError, first_line
from delaytool.files import write_bytes_atomically
from delaytool.models.delay_network import DelayNetwork
from delaytool.models.float32 import float32_by_default
from delaytool.models.torch_file import read_file, refuse_nan, unpickled
from delaytool.quantization.integer_training import IntegerTraining, TrainedNetwork
from delaytool.quantization.scales import IntegerScales
from delaytool.trainer.recipe import Recipe, validated

SCHEMA = "delaytool-checkpoint"
# 2: the file carries its SHA-256. 1, of earlier versions, is read too.
SCHEMA_VERSION = 2
COMMENT = b"delaytool sha256 "
_DIGEST_BYTES = 64


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch.

    epoch       epochs done
    sigma       the width that the last epoch was trained with; None: single taps
    optimizers  state dicts of the optimizers and their schedules; empty where only the network was kept
    model       parameters of the network that counts; with `trainer.average_epochs` the mean of the last epochs'
    training    parameters that training goes on with, where `model` is such a mean; else None
    progress    the best validation accuracy so far, the state of the sigma schedule and more (plain values)
    scales      of the integers that the network is trained through; None: floats
    data        SHA-256 of the frames and labels of each part (`digests_of`); empty where an earlier version
                wrote the file, or the network was imported
    is_signed   whether the file that it was read from carries its SHA-256; earlier versions wrote none
    """

    recipe: Recipe
    encoding: InputEncoding
    n_classes: int
    epoch: int
    sigma: float | None
    model: dict[str, torch.Tensor]
    optimizers: list[dict[str, Any]]
    progress: dict[str, Any]
    split: str
    scales: IntegerScales | None = None
    is_signed: bool = True
    training: dict[str, torch.Tensor] | None = None
    data: dict[str, str] = field(default_factory=dict)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it whole or not at all, in a form that `torch.load(weights_only=True)` reads. Raises OSError."""
        write_bytes_atomically(path, self.as_bytes())

    def as_bytes(self) -> bytes:
        """The file's content."""
        content = {
            "schema": SCHEMA,
            "schema_version": SCHEMA_VERSION,
            "recipe": self.recipe.model_dump_json(),
            "encoding": json.dumps(self.encoding.as_dict()),
            # Under the key of every version: one that found none would take the network for a float network.
            "grid": None if self.scales is None else json.dumps(self.scales.as_dict()),
            **{name: getattr(self, name) for name in _PLAIN},
            **({} if self.training is None else {"training": self.training}),
            **({"data": self.data} if self.data else {}),
        }
        return signed_archive(content)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Checkpoint:
        """Raises CheckpointError for a file that is missing, foreign, damaged or holds NaN."""
        archive = read_file(path)
        is_signed = _is_signed(archive, path)
        content = unpickled(archive, path)
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            raise CheckpointError(f"{path}: not a delaytool checkpoint; give a run folder that `delaytool train` made")
        version = content.get("schema_version")
        if version not in (1, SCHEMA_VERSION):
            raise CheckpointError(
                f"{path}: checkpoint schema version {version} is unknown to this delaytool, "
                f"which reads versions 1 and {SCHEMA_VERSION}; train again, or install the version that wrote it"
            )
        if version == SCHEMA_VERSION and not is_signed:
            raise CheckpointError(f"{path}: lacks the SHA-256 at its end; {_DAMAGED}")
        if "optimisers" in content:  # the spelling of versions up to 0.1
            content["optimizers"] = content.pop("optimisers")
        scales = content.get("grid")
        try:
            checkpoint = Checkpoint(
                recipe=validated(json.loads(content["recipe"]), str(path)),
                encoding=InputEncoding(**json.loads(content["encoding"])),
                scales=None if scales is None else IntegerScales.from_dict(json.loads(scales)),
                is_signed=is_signed,
                training=content.get("training"),
                data=content.get("data", {}),
                **{name: content[name] for name in _PLAIN},
            )
        except KeyError as error:
            raise CheckpointError(f"{path}: lacks {error}; {_DAMAGED}") from None
        except ExportError as error:  # of the target that the integers are of
            raise CheckpointError(f"{path}: {error}; or install the delaytool that wrote the checkpoint") from None
        except (NetworkError, TypeError, ValueError, AttributeError, OverflowError, RecursionError) as error:
            raise CheckpointError(f"{path}: cannot be used ({first_line(error)}); {_DAMAGED}") from None
        _check_plain(checkpoint, path)
        _refuse_stretched((checkpoint.model, checkpoint.training, checkpoint.optimizers), path)
        refuse_nan(checkpoint.model, path)
        refuse_nan(checkpoint.training or {}, path)
        return checkpoint

    def network(self) -> TrainedNetwork:
        """The network as it was trained, in evaluation mode, on the CPU: in floats, or in a chip's integers.

        Raises CheckpointError where the parameters or the scales do not fit the recipe.
        """
        model = self.float_network()
        if self.scales is None:
            return model
        try:
            return IntegerTraining(model, self.scales).eval()
        except ModelError as error:
            raise CheckpointError(f"the checkpoint's scales do not fit its recipe ({error})") from None

    def float_network(self) -> DelayNetwork:
        """The float network with the checkpoint's parameters, in evaluation mode, on the CPU.

        PyTorch's generator is left as it was.
        Raises CheckpointError where the parameters do not fit the recipe.
        """
        self._refuse_other_sizes()
        with torch.random.fork_rng(devices=[]), float32_by_default():  # what is drawn is overwritten
            model = DelayNetwork(self.encoding.n_channels, self.n_classes, self.recipe.model)
        try:
            model.load_state_dict(self.model)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise CheckpointError(f"the checkpoint's parameters do not fit its recipe ({reason})") from None
        return model.eval()

    def _refuse_other_sizes(self) -> None:
        """Refuse them before a network of the recipe's size is made, which may be too large for any memory."""
        sizes = (self.encoding.n_channels, *self.recipe.model.hidden, self.n_classes)
        names = [f"hidden.{index}.synapses.weight" for index in range(len(sizes) - 2)] + ["readout.weight"]
        for name, n_in, n_out in zip(names, sizes, sizes[1:], strict=False):
            shape = tuple(self.model[name].shape) if name in self.model else None
            wanted = (n_out, n_in, self.recipe.model.taps_per_synapse)
            if shape != wanted:
                found = "missing" if shape is None else f"of shape {shape}"
                raise CheckpointError(
                    f"the checkpoint's parameters do not fit its recipe ({name} is {found}, not {wanted})"
                )


_PLAIN = ("n_classes", "epoch", "sigma", "model", "optimizers", "progress", "split")


_DAMAGED = "the checkpoint is damaged: copy it again, take the run's other checkpoint, or train again"


def _check_plain(checkpoint: Checkpoint, path: str | os.PathLike[str]) -> None:
    """Raise CheckpointError for a plain value of a wrong type or out of range."""
    sigma, model, progress = checkpoint.sigma, checkpoint.model, checkpoint.progress
    training = checkpoint.training
    wanted = {
        "n_classes": ("an integer of at least 1", _is_integer(checkpoint.n_classes, 1)),
        "epoch": ("an integer of at least 0", _is_integer(checkpoint.epoch, 0)),
        "sigma": ("None or a number of at least 0", sigma is None or (_is_number(sigma) and sigma >= 0)),
        "split": ("text", isinstance(checkpoint.split, str)),
        "data": ("texts by name", _is_dictionary(checkpoint.data, str)),
        "model": ("tensors by name", _is_dictionary(model, torch.Tensor)),
        "training": ("None or tensors by name", training is None or _is_dictionary(training, torch.Tensor)),
        "optimizers": (
            "a list of dictionaries",
            isinstance(checkpoint.optimizers, list) and all(_is_dictionary(state) for state in checkpoint.optimizers),
        ),
        "progress": ("values by name", _is_dictionary(progress)),
    }
    for name, (description, fits) in wanted.items():
        if not fits:
            value = repr(getattr(checkpoint, name))
            value = value if len(value) <= 40 else f"{value[:40]}…"
            raise CheckpointError(f"{path}: {name} is {value}, not {description}; {_DAMAGED}")
    for name, fits in (
        ("accuracy", _is_number(progress.get("accuracy", 0.0))),
        ("loss", isinstance(progress.get("loss", 0.0), float)),  # infinite before the first epoch
        ("epoch", _is_integer(progress.get("epoch", 0), 0)),
        ("averaged", _is_integer(progress.get("averaged", 0), 0)),
        ("sigma", _is_dictionary(progress.get("sigma", {}), (int, float))),
    ):
        if not fits:
            raise CheckpointError(f"{path}: progress.{name} is {progress[name]!r}, which is impossible; {_DAMAGED}")


def _refuse_stretched(value: Any, path: str | os.PathLike[str]) -> None:
    """Raise CheckpointError for a tensor that claims more values than the file holds for it (a stride of 0, say).

    A file of kilobytes would take gigabytes as soon as such a tensor is computed with.
    """
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, (list, tuple)):
            waiting += item
        elif isinstance(item, torch.Tensor) and (
            item.layout is not torch.strided or item.untyped_storage().nbytes() < item.numel() * item.element_size()
        ):
            shape = tuple(item.shape)
            raise CheckpointError(f"{path}: a tensor of shape {shape} is not stored value by value; {_DAMAGED}")


def _is_integer(value: object, least: int) -> bool:
    return type(value) is int and least <= value < 2**31


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


def _is_dictionary(value: object, of: type | tuple[type, ...] = object) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) and isinstance(item, of) for key, item in value.items())


def signed_archive(content: Any) -> bytes:
    """The bytes that `torch.save` writes for a value, with its SHA-256 as the comment of the ZIP archive."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    archive = bytearray(buffer.getvalue())
    # A ZIP archive ends in the length of its comment, in two bytes, and the comment.
    archive[-2:] = (len(COMMENT) + _DIGEST_BYTES).to_bytes(2, "little")
    digest = hashlib.sha256(archive).hexdigest()
    return bytes(archive) + COMMENT + digest.encode()


def _is_signed(archive: bytes, path: str | os.PathLike[str]) -> bool:
    """Whether the archive carries a digest. Raises CheckpointError where it is not that of its bytes."""
    end = len(archive) - len(COMMENT) - _DIGEST_BYTES
    if end < 0 or archive[end : end + len(COMMENT)] != COMMENT:
        return False
    digest = hashlib.sha256(memoryview(archive)[:end]).hexdigest()
    if archive[end + len(COMMENT) :] != digest.encode():
        raise CheckpointError(f"{path}: is not what was written (its SHA-256 differs); {_DAMAGED}")
    return True
