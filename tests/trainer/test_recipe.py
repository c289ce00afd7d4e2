"""Recipes: presets, overrides, and one clear line for what is wrong."""

from pathlib import Path
from typing import get_args

import pytest

from delaytool.datasets.mel import MELS
from delaytool.errors import RecipeError
from delaytool.trainer.recipe import DataConfig, Recipe, load_recipe, preset_names


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_survives_its_own_toml(name, tmp_path):
    recipe = load_recipe(name)
    written = tmp_path / "recipe.toml"
    written.write_text(recipe.to_toml())
    assert load_recipe(str(written)) == recipe
    assert load_recipe(str(written)).digest() == recipe.digest()


def test_the_shd_preset_is_the_published_recipe():
    recipe = load_recipe("shd-2l-1kc")
    assert recipe.model.hidden == (256, 256)
    assert recipe.model.kernel_size == 25
    assert recipe.model.tail_per_layer == 12
    assert [recipe.model.steps_of(layer, 100) for layer in range(3)] == [112, 124, 136]
    trainer = recipe.trainer
    assert (trainer.epochs, trainer.batch_size, trainer.lr, trainer.weight_decay) == (150, 256, 5e-3, 1e-5)


def test_graded_values_have_bits_and_a_range():
    encoding = load_recipe("gsc-3l-1kc").data.encoding(140)
    assert (encoding.values, encoding.input_bits, encoding.offset, encoding.scale) == ("graded", 4, None, None)
    given = load_recipe("gsc-3l-1kc", ["data.input_bits=2", "data.input_range=[-30,0]"]).data.encoding(140)
    assert (given.input_bits, given.offset, given.scale) == (2, -30.0, 10.0)
    assert load_recipe("digits").data.encoding(64).input_bits is None


def test_every_kind_of_mel_frames_can_be_named():
    assert set(get_args(get_args(DataConfig.model_fields["mel"].annotation)[0])) == set(MELS)


def test_the_former_name_of_fixed_random_delays_is_read():
    recipe = load_recipe("digits", ["model.delays=fixed"])
    assert recipe.model.delays == "fixed-random"
    assert recipe.digest() == load_recipe("digits", ["model.delays=fixed-random"]).digest()


def test_overrides_reach_every_section():
    recipe = load_recipe("digits", ["trainer.epochs=5", "data.source=some/folder", "model.hidden=[7,8]", "seed=3"])
    assert (recipe.trainer.epochs, recipe.data.source, recipe.model.hidden) == (
        5,
        str(Path("some/folder").absolute()),
        (7, 8),
    )
    assert recipe.seed == 3
    assert load_recipe("digits", ["model.tail_steps=none"]).model.tail_steps is None


def test_a_recipe_extends_a_preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('extends = "shd-2l-1kc"\nname = "mine"\n[trainer]\nepochs = 3\n')
    recipe = load_recipe(str(path))
    assert (recipe.name, recipe.trainer.epochs, recipe.trainer.batch_size) == ("mine", 3, 256)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[trainer]\nepoch = 3", "trainer.epoch: unknown key; did you mean trainer.epochs?"),
        ("epochs = 3", "epochs: unknown key; did you mean trainer.epochs?"),
        ("[trainer]\nepochs = 0", "trainer.epochs: value 0 is not possible"),
        ("[model]\ntau = 0.5", "model.tau: value 0.5 is not possible"),
        ("[data]\ninput_bits = 4", "data: input_bits and input_range are for values 'graded', not 'count'"),
        ('[data]\nvalues = "graded"\ninput_bits = 9', "data.input_bits: value 9 is not possible"),
        ('[data]\nvalues = "graded"\ninput_range = [3, 1]', "data: input_range [3.0, 1.0] must rise"),
        ('[data]\nvalues = "graded"\nchannel_bins = 5', "data: graded values are not summed or counted"),
        (
            "[model]\nhidden = [8, 8]\nrecurrent = [true]",
            "model.recurrent: value [True] is not possible; 1 values for 2",
        ),
        ('[model]\nneuron = "plif"\ntau = 1.0', "model.neuron: value 'plif' is not possible; it learns tau from"),
        ('[data]\nvalues = "colour"', "data.values: value 'colour' is not possible"),
        ("[data]\nn_steps = 0", "data.n_steps: value 0 is not possible"),
        ("[data]\nn_steps = 2\n[model]\nmax_delay = 500", "model.max_delay"),
        ("[trainer", "not valid TOML"),
        ('extends = "nothing"', "no such file or preset; presets are digits"),
    ],
)
def test_what_is_wrong_is_one_clear_line(text, expected, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "override", ["trainer.epochs", "=3", "trainer.nonsense=1", "trainer.nonsense=none", "name.x=1"]
)
def test_bad_overrides_are_named(override):
    with pytest.raises(RecipeError):
        load_recipe("digits", [override])


def test_a_recipe_extends_the_file_beside_it(tmp_path):
    (tmp_path / "base.toml").write_text('seed = 5\n[data]\nsource = "digits"')
    (tmp_path / "mine.toml").write_text('extends = "base.toml"')
    assert load_recipe(str(tmp_path / "mine.toml")).seed == 5


def test_a_circle_of_extends_is_named(tmp_path):
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(f'extends = "{two}"')
    two.write_text(f'extends = "{one}"')
    with pytest.raises(RecipeError, match="circle"):
        load_recipe(str(one))


def test_defaults_are_the_papers_shd_training():
    assert Recipe().trainer == load_recipe("shd-2l-1kc").trainer
