"""TensorBoard's copy of the metrics."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import scalar

# TensorBoard finds files of such names.
PREFIX = "events.out.tfevents."


class Board:
    """Scalars for TensorBoard, one per number of an epoch's metrics.

    It is made anew from the metrics of earlier epochs whenever training begins or goes on, so it always agrees with the
    metrics, also after a killed run. It writes in this thread, so that the caller can handle an error; the writer that
    comes with PyTorch has a thread of its own, which prints a traceback.
    """

    def __init__(self, folder: Path, earlier: Iterable[dict[str, Any]] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{PREFIX}*"):
            old.unlink()
        name = f"{PREFIX}{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self._file = open(folder / name, "wb")  # noqa: SIM115  closed by close()
        self._writer = RecordWriter(self._file)
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        for metrics in earlier:
            self.add(metrics)

    def add(self, metrics: dict[str, Any]) -> None:
        """Write an epoch's numbers; they can be read when this returns."""
        for name, value in metrics.items():
            if isinstance(value, dict):
                for layer, number in value.items():
                    # TensorBoard's scalars hold neither a histogram's counts nor texts.
                    if not isinstance(number, (list, str)):
                        self._add_scalar(f"{name}/{layer}", number, metrics["epoch"])
            elif isinstance(value, (int, float)) and name != "epoch":
                self._add_scalar(name, value, metrics["epoch"])
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _add_scalar(self, tag: str, value: float, epoch: int) -> None:
        self._write(Event(wall_time=time.time(), step=epoch, summary=scalar(tag, value)))

    def _write(self, event: Event) -> None:
        self._writer.write(event.SerializeToString())
