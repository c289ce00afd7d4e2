"""From the readout's membranes to classes: one function for every backend, so equal bits give equal predictions."""

from __future__ import annotations

import numpy as np

from delaytool.contract.layer import Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.errors import DataError, NetworkError


def decode(network: IntegerNetwork, v_readout: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Readout membranes (sample, step, class), integers, to (predictions (sample,) int64, scores (sample, class)).

    'softmax-sum' adds softmax(v / scale) over the steps of the readout's window, in float64; 'sum' adds v itself.
    The largest score wins, the lowest class on a tie. Raises DataError where the shape does not fit the network.
    """
    readout = network.readout
    if v_readout.ndim != 3 or v_readout.shape[1] < readout.stop or v_readout.shape[2] != network.n_classes:
        raise DataError(
            f"readout membranes have shape {v_readout.shape}, the network needs (samples, {network.n_steps} steps, "
            f"{network.n_classes} classes); record v of the last layer"
        )
    scores = window_scores(readout, v_readout[:, readout.start : readout.stop])
    return scores.argmax(axis=1), scores


def window_scores(readout: Readout, window: np.ndarray) -> np.ndarray:
    """Scores (sample, class) float64 of readout membranes (sample, step, class) of some steps, all of which count."""
    if readout.method == "sum":
        return window.sum(axis=1, dtype=np.int64).astype(np.float64)
    if readout.method != "softmax-sum":
        raise NetworkError(f"readout: method {readout.method!r} is not decoded; give 'softmax-sum' or 'sum'")
    logits = window.astype(np.float64) / readout.scale
    logits -= logits.max(axis=2, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=2, keepdims=True)
    scores = np.zeros((window.shape[0], window.shape[2]))
    for step in range(window.shape[1]):  # in this order whatever the batch, so that scores keep their last bit
        scores += logits[:, step]
    return scores
