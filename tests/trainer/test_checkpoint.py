"""Checkpoints that cannot be used are named in one line."""

import pytest
import torch

from delaytool.errors import CheckpointError
from delaytool.trainer import Checkpoint, train


@pytest.fixture
def saved(tiny_recipe, tmp_path):
    recipe = tiny_recipe.model_copy(update={"trainer": tiny_recipe.trainer.model_copy(update={"epochs": 1})})
    train(recipe, tmp_path / "run")
    return tmp_path / "run" / "best.pt"


def test_it_is_read_without_running_code(saved):
    content = torch.load(saved, weights_only=True)
    assert content["schema"] == "delaytool-checkpoint"


def altered(path, **changes):
    content = torch.load(path, weights_only=True)
    content.update(changes)
    torch.save(content, path)


def test_another_schema_version(saved):
    altered(saved, schema_version=99)
    with pytest.raises(CheckpointError, match="schema version 99 is unknown"):
        Checkpoint.load(saved)


def test_a_foreign_file(saved):
    torch.save({"weights": torch.zeros(3)}, saved)
    with pytest.raises(CheckpointError, match="not a delaytool checkpoint"):
        Checkpoint.load(saved)


def test_nan(saved):
    model = torch.load(saved, weights_only=True)["model"]
    model["readout.weight"][0, 0, 0] = float("nan")
    altered(saved, model=model)
    with pytest.raises(CheckpointError, match=r"readout\.weight has 1 values that are NaN"):
        Checkpoint.load(saved)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_unreadable(saved, content):
    saved.write_bytes(saved.read_bytes()[:1000] if content is None else content)
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.load(saved)
    assert "\n" not in str(caught.value)


def test_missing(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        Checkpoint.load(tmp_path / "none.pt")


def test_parameters_that_do_not_fit_the_recipe(saved):
    model = torch.load(saved, weights_only=True)["model"]
    model["readout.weight"] = model["readout.weight"][:, :3]
    altered(saved, model=model)
    with pytest.raises(CheckpointError, match="do not fit its recipe"):
        Checkpoint.load(saved).network()
