"""Which parameters decay."""

import pytest
import torch

from delaytool.errors import RecipeError
from delaytool.models.config import ModelConfig
from delaytool.models.delay_network import DelayNetwork
from delaytool.trainer.optimizers import Optimizers
from delaytool.trainer.recipe import TrainerConfig


def test_weights_alone_decay():
    torch.manual_seed(0)
    model = DelayNetwork(6, 4, ModelConfig(hidden=(5,), max_delay=5, neuron="plif", bias=True))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    Optimizers(model, TrainerConfig(weight_decay=0.1)).step()
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    weights = {id(layer.weight) for layer in model.delayed_layers()}
    assert moved == {name for name, parameter in model.named_parameters() if id(parameter) in weights}


def test_a_schedule_that_is_none_is_refused():
    model = DelayNetwork(6, 4, ModelConfig(hidden=(5,), max_delay=5))
    config = TrainerConfig().model_copy(update={"lr_schedule": "warm-up"})
    with pytest.raises(RecipeError, match="'warm-up' is no schedule"):
        Optimizers(model, config)
