"""Recipes: presets, overrides, and one clear line for what is wrong."""

import re
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel

from delaytool import toml
from delaytool.datasets.mel import MELS
from delaytool.errors import RecipeError
from delaytool.experiments.sweep.combinations import combinations
from delaytool.trainer.recipe import DataConfig, Recipe, load_recipe, override_of, preset_names, with_overrides

DOCS = Path(__file__).parents[2] / "docs"


def fields(section=Recipe, prefix=""):
    """(dotted key, field) of every key of a recipe, from the models themselves."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from fields(field.annotation, f"{prefix}{name}.")
        else:
            yield prefix + name, field


def kinds(annotation):
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


FIELDS = dict(fields())
WORDS = {key: [w for kind in kinds(field.annotation) if get_origin(kind) is Literal for w in get_args(kind)]
         for key, field in FIELDS.items()}  # fmt: skip
NONE_IS_A_VALUE = [key for key, words in WORDS.items() if "none" in words]
CAN_BE_UNSET = [key for key, field in FIELDS.items() if type(None) in kinds(field.annotation)]


def value_of(recipe, key):
    for part in key.split("."):
        recipe = getattr(recipe, part)
    return recipe


def written(recipe, key):
    """A key's value in the recipe.toml that a run gets; None where it is not there."""
    values = toml.loads(recipe.to_toml())
    for part in key.split("."):
        values = values.get(part) if values is not None else None
    return values


def toml_of(key, value):
    section, _, name = key.rpartition(".")
    return 'extends = "digits"\n' + (f"[{section}]\n" if section else "") + f"{name} = {value}\n"


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
        (
            "[model]\nhidden = [8, 8]\nsparsity = [0.9, 0]",
            "model.sparsity: value [0.9, 0] is not possible; 2 values for 2 hidden layers and the readout",
        ),
        ("[model]\nhidden = [8]\nsparsity = [0.9, 1]", "model.sparsity: value [0.9, 1] is not possible; 1 is outside"),
        ('[model]\nneuron = "plif"\ntau = 1.0', "model.neuron: value 'plif' is not possible; it learns tau from"),
        ('[data]\nvalues = "color"', "data.values: value 'color' is not possible"),
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


def test_there_are_keys_of_both_kinds():
    assert {"model.delays", "model.rewiring"} <= set(NONE_IS_A_VALUE)
    assert {"data.n_steps", "trainer.quantize"} <= set(CAN_BE_UNSET)
    assert not set(NONE_IS_A_VALUE) & set(CAN_BE_UNSET)


@pytest.mark.parametrize("key", NONE_IS_A_VALUE)
def test_none_is_the_value_where_a_key_has_it(key, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(toml_of(key, '"none"'))
    (swept, other) = combinations("digits", [f"{key}=none,{next(word for word in WORDS[key] if word != 'none')}"])
    assert value_of(other.recipe, key) != "none"
    for recipe in (
        load_recipe("digits", [f"{key}=none"]),
        load_recipe("digits", [f"{key}='none'"]),
        load_recipe(str(path)),
        swept.recipe,
    ):
        assert value_of(recipe, key) == "none"
        assert written(recipe, key) == "none"


@pytest.mark.parametrize("key", CAN_BE_UNSET)
def test_none_unsets_a_key_that_can_be_unset(key, tmp_path):
    assert FIELDS[key].default is None, "to_toml leaves None out, so that the default must be None"
    words, is_pair = WORDS[key], key in ("data.input_range", "trainer.rate_target")
    value = f"'{words[0]}'" if words else "'loihi2'" if key == "trainer.quantize" else "[0, 8]" if is_pair else "2"
    needed = ["data.values=graded"] if key in ("data.input_bits", "data.input_range") else []
    if key == "data.fold":
        needed = ["protocol=cross-validated"]
    assert value_of(load_recipe("digits", [*needed, f"{key}={value}"]), key) is not None
    path = tmp_path / "mine.toml"
    path.write_text(toml_of(key, '"none"'))
    swept = combinations("digits", [f"{key}=none,{value}" if not is_pair else f"{key}=none"], needed)[0].recipe
    for recipe in (load_recipe("digits", [*needed, f"{key}={value}", f"{key}=none"]), load_recipe(str(path)), swept):
        assert value_of(recipe, key) is None
        assert written(recipe, key) is None


@pytest.mark.parametrize("key", [key for key in FIELDS if key not in (*NONE_IS_A_VALUE, *CAN_BE_UNSET)])
def test_none_is_refused_or_a_plain_word_elsewhere(key):
    if FIELDS[key].annotation is str:
        assert value_of(load_recipe("digits", [f"{key}=none"]), key).endswith("none")
    else:
        with pytest.raises(RecipeError, match=f"{re.escape(key)}: value 'none' is not possible"):
            load_recipe("digits", [f"{key}=none"])


def commands_in_docs():
    for page in sorted(DOCS.rglob("*.md")):
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        for recipe, rest in re.findall(r"delaytool train ([a-z0-9-]+)((?: +(?!delaytool)\S+)*)", text):
            overrides = re.findall(r"--set '?([^\s`'\[\]]+(?:\[[^\]]*\])?)", rest)
            if recipe in preset_names() and overrides:
                yield pytest.param(recipe, overrides, id=f"{page.name}: {recipe} {' '.join(overrides)}")


@pytest.mark.parametrize(("recipe", "overrides"), list(commands_in_docs()))
def test_a_command_of_the_docs_writes_what_it_sets(recipe, overrides):
    loaded = load_recipe(recipe, overrides)
    for override in overrides:
        key, _, text = override.partition("=")
        try:
            value = toml.loads(f"value = {text}")["value"]
        except toml.TOMLDecodeError:
            value = text
        assert written(loaded, key) == ("fixed-random" if value == "fixed" else value)  # its former name


def test_the_docs_have_such_commands():
    assert any(param.values == ("digits", ["model.delays=none"]) for param in commands_in_docs())


def numeric(kind):
    return [key for key, field in FIELDS.items() if kind in kinds(field.annotation)]


@pytest.mark.parametrize("key", numeric(int))
@pytest.mark.parametrize("value", ["1" + "0" * 30, "-1" + "0" * 30, "0x" + "f" * 5000, "9" * 5000, "nan", "true"])
def test_impossible_whole_numbers_are_one_line(key, value):
    with pytest.raises(RecipeError) as caught:
        load_recipe("digits", [f"{key}={value}"])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("key", numeric(float))
@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1" + "0" * 400])
def test_impossible_numbers_are_one_line(key, value):
    with pytest.raises(RecipeError) as caught:
        load_recipe("digits", [f"{key}={value}"])
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.hidden=64", r"it is a list with a number per hidden layer: model.hidden=\[64\]"),
        ("model.hidden=[0]", r"model.hidden.0: value 0"),
        ("model.hidden=[-4]", r"model.hidden.0: value -4"),
        ("model.hidden=[9999999999]", r"model.hidden.0: value 9999999999"),
        ("data.source=", r"data.source: value '' .* name the data"),
        ("data.source=' '", r"data.source: value ' ' .* name the data"),
        ("name=../..", r"name: value '../..' .* runs/"),
        ("name=/tmp/x", r"name: value '/tmp/x'"),
        ("name=..", r"name: value '..'"),
        ('name="a\\nb"', r"name: value 'a\\nb'"),
        ('name="a\\\\b"', r"name: value"),
        (f"name={'x' * 101}", r"name: value"),
        ("model={}", None),
        ('"a\\nb"=3', r"unknown key"),
    ],
)
def test_an_impossible_value_is_answered_with_the_possible_ones(override, message):
    if message is None:
        load_recipe("digits", [override])
        return
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe("digits", [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["seed = " + "9" * 5000, "seed = " + "[" * 50_000 + "]" * 50_000, "a" * 2_000_000])
def test_files_that_are_bombs_are_refused(text, tmp_path):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"not valid TOML|over the limit") as caught:
        load_recipe(str(path))
    assert len(str(caught.value)) < 400


def test_a_circle_that_is_spelled_anew_each_time_is_named(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "one.toml").write_text('extends = "../d/two.toml"')
    (tmp_path / "d" / "two.toml").write_text('extends = "../d/one.toml"')
    with pytest.raises(RecipeError, match=r"extends itself, over 2 file\(s\); remove one of these extends"):
        load_recipe(str(tmp_path / "d" / "one.toml"))
    monkeypatch.chdir(tmp_path / "d")
    with pytest.raises(RecipeError, match="remove one of these extends"):
        load_recipe("one.toml")


def test_a_file_that_names_no_data_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"')
    with pytest.raises(RecipeError, match=r'data.source is missing; name the data .*extends = "digits"'):
        load_recipe(str(path))
    assert load_recipe(str(path), ["data.source=digits"]).data.source == "digits"


@pytest.mark.parametrize(
    "override", ["model.hidden=[true,4]", "trainer.rate_target=[false,true]", "model.sparsity=[false,0.5,0]"]
)
def test_a_list_of_numbers_holds_no_switch(override):
    with pytest.raises(RecipeError, match=r"is not possible; give a number, not true or false"):
        load_recipe("digits", [override])


def test_what_layers_without_recurrence_would_lack_is_not_asked_of_them():
    settings = ["model.recurrent_max_delay=2", "model.rewiring=deep-r", "model.delays=fixed-random"]
    settings.append("model.kernel_count=5")
    assert not load_recipe("digits", ["model.recurrent=[false,false]", *settings]).model.has_recurrent_layers
    with pytest.raises(RecipeError, match=r"model.kernel_count: 5 .* more than the 3 of model.recurrent_max_delay 2"):
        load_recipe("digits", ["model.recurrent=[false,true]", *settings])


@dataclass
class Number:
    """As numpy's scalars and PyTorch's tensors are."""

    value: object

    def tolist(self):
        return self.value


def test_overrides_by_name_are_the_values_themselves(tmp_path):
    for changed in (lambda values: load_recipe("digits", values), lambda values: with_overrides(Recipe(), values)):
        recipe = changed({
            "seed": Number(3), "trainer.lr": Number(0.25), "model.hidden": [Number(5), 4], "name": "run\U0001f600",
            "data.source": tmp_path / "\U0001f600.h5", "data.n_steps": None, "model.delays": None,
        })  # fmt: skip
        assert (recipe.seed, recipe.trainer.lr, recipe.model.hidden, recipe.name) == (3, 0.25, (5, 4), "run\U0001f600")
        assert recipe.data.source == str(tmp_path / "\U0001f600.h5")
        assert (recipe.data.n_steps, recipe.model.delays) == (None, "none")
        with pytest.raises(RecipeError, match=r"model: a section; .*, such as 'model\.hidden'"):
            changed({"model": {"hidden": [4]}})


def test_a_near_name_is_offered():
    with pytest.raises(RecipeError, match=r"recipe digit: no such file or preset; did you mean digits\?"):
        load_recipe("digit")


@pytest.mark.parametrize("name", ["it's here", 'a "b" c', "back\\slash", "tab\there", "ünïcode 😀", "a=b,[c]", "'" * 3])
def test_any_path_can_be_given_as_data(name, tmp_path):
    path = str(tmp_path / name)
    assert load_recipe("digits", [override_of("data.source", path)]).data.source == path


def test_a_source_is_meant_from_the_file_that_names_it(tmp_path, monkeypatch):
    (tmp_path / "recipes").mkdir()
    (tmp_path / "data.h5").touch()
    path = tmp_path / "recipes" / "mine.toml"
    path.write_text('extends = "digits"\n[data]\nsource = "../data.h5"')
    for folder in (tmp_path, tmp_path / "recipes", Path("/")):
        monkeypatch.chdir(folder)
        assert load_recipe(str(path)).data.source == str(tmp_path / "data.h5")
    monkeypatch.chdir(tmp_path)
    assert load_recipe("recipes/mine.toml", ["data.source=data.h5"]).data.source == str(tmp_path / "data.h5")
    path.write_text('extends = "digits"\n[data]\nsource = "data.h5"')  # beside it there is none
    assert load_recipe("recipes/mine.toml").data.source == str(tmp_path / "data.h5")
    for name in ("digits", "shd", "tonic:NMNIST", "gsc"):
        assert load_recipe("digits", [f"data.source={name}"]).data.source == name
