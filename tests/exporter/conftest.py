"""Small trained-looking networks and what goes into them."""

import numpy as np
import pytest
import torch

from delaytool.contract.encoding import InputEncoding
from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork


@pytest.fixture
def make_model():
    """(keywords of ModelConfig) -> a network with batch norm statistics that make it fire, and its encoding."""

    def make(n_in=12, n_classes=4, n_steps=20, seed=0, **options):
        torch.manual_seed(seed)
        config = ModelConfig(**{"hidden": (16, 14), "max_delay": 6, "tau": 2.0, "timing": "chip", **options})
        model = DelayNetwork(n_in, n_classes, config)
        frames = torch.from_numpy(make_frames(64, n_steps, n_in, seed + 1))
        with torch.no_grad():
            for _ in range(60):  # let the running statistics settle
                model.train()
                model(frames, sigma=None)
            for layer in model.hidden:
                if layer.norm is not None:
                    layer.norm.weight.uniform_(0.5, 1.5)
                    layer.norm.bias.uniform_(-0.2, 0.5)
        encoding = InputEncoding(n_units=n_in, n_steps=n_steps, max_count=2, start="zero")
        return model.eval(), encoding

    return make


def make_frames(samples, steps, channels, seed):
    return np.minimum(np.random.default_rng(seed).poisson(0.25, (samples, steps, channels)), 2).astype(np.uint8)


@pytest.fixture
def frames():
    return make_frames(48, 20, 12, seed=7)
