"""A recipe that trains in a second."""

import pytest

from delaytool.trainer.recipe import load_recipe


@pytest.fixture(scope="session")
def tiny_recipe():
    return load_recipe(
        "digits", ["model.hidden=[12,10]", "trainer.epochs=4", "trainer.batch_size=256", "data.validation_fraction=0.5"]
    )
