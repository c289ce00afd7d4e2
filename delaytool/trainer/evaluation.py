"""Accuracy, loss and spikes of a trained network on frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from delaytool.models.delay_network import class_scores
from delaytool.quantization.integer_training import TrainedNetwork


@dataclass(frozen=True)
class Evaluation:
    """loss: mean cross-entropy; spikes: mean spikes per sample, one number per hidden layer."""

    loss: float
    predictions: np.ndarray
    labels: np.ndarray
    spikes: tuple[float, ...]

    @staticmethod
    def joined(parts: list[Evaluation]) -> Evaluation:
        """One evaluation of all parts' samples, in their order."""
        parts = [part for part in parts if len(part.labels)] or parts[:1]
        counts = np.array([len(part.labels) for part in parts])
        share = counts / counts.sum()
        return Evaluation(
            loss=float(share @ [part.loss for part in parts]),
            predictions=np.concatenate([part.predictions for part in parts]),
            labels=np.concatenate([part.labels for part in parts]),
            spikes=tuple((share @ np.array([part.spikes for part in parts])).tolist()),
        )

    @property
    def correct(self) -> int:
        return int((self.predictions == self.labels).sum())

    @property
    def accuracy(self) -> float:
        """In 0..1."""
        return self.correct / len(self.labels)


@torch.no_grad()
def evaluate(
    model: TrainedNetwork, frames: Tensor, labels: Tensor, batch_size: int, sigma: float | None = None
) -> Evaluation:
    """Frames (sample, time, channel) through the network; sigma None: rounded delays and single taps.

    The network's mode (training or evaluation) is left as it was. Without samples, which a process of several may get,
    loss and spikes are 0, and `joined` leaves them out.
    """
    was_training = model.training
    model.eval()
    predictions, losses = [], []
    spikes = torch.zeros(len(model.config.hidden), dtype=torch.float64, device=labels.device)
    for start in range(0, max(1, len(frames)), batch_size):
        batch, truth = frames[start : start + batch_size], labels[start : start + batch_size]
        layers, membrane = model.traced(batch, sigma)
        scores = class_scores(membrane)
        losses.append(functional.cross_entropy(scores, truth, reduction="sum").double())
        predictions.append(scores.argmax(1))
        for index, layer in enumerate(layers):
            spikes[index] += layer.sum(dtype=torch.float64)
    model.train(was_training)
    return Evaluation(
        loss=float(torch.stack(losses).sum()) / max(1, len(frames)),
        predictions=torch.cat(predictions).cpu().numpy(),
        labels=labels.cpu().numpy(),
        spikes=tuple((spikes / max(1, len(frames))).tolist()),
    )


def evaluate_both(
    model: TrainedNetwork, frames: Tensor, labels: Tensor, batch_size: int, sigma: float | None
) -> tuple[Evaluation, Evaluation]:
    """(as trained, with rounded delays); the same evaluation twice where training ended on single taps."""
    rounded = evaluate(model, frames, labels, batch_size)
    return rounded if sigma is None else evaluate(model, frames, labels, batch_size, sigma), rounded
