"""The network before training, had again from the recipe, against the one that training began with."""

from __future__ import annotations

import torch

from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.initial_network import initial_network
from delaytool.trainer.loop import Reporter, train


class _Keeps(Reporter):
    """The parameters that training begins with."""

    def begin(self, recipe, data, model, epochs_done):
        self.start = {name: tensor.clone() for name, tensor in model.state_dict().items()}


def test_the_recipe_gives_back_the_network_that_training_began_with(tiny_recipe, tmp_path):
    recipe = tiny_recipe.model_copy(update={"seed": 11})
    seen = _Keeps()
    train(recipe, tmp_path / "run", reporter=seen)
    saved = Checkpoint.load(tmp_path / "run" / "best.pt")
    torch.rand(7)  # whatever happened to the generator since
    again = initial_network(saved.recipe, saved.encoding.n_channels, saved.n_classes).state_dict()
    assert again.keys() == seen.start.keys()
    assert all(torch.equal(again[name], seen.start[name]) for name in again)
    assert any(not torch.equal(again[name], saved.model[name]) for name in again)
