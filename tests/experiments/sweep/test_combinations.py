"""Values of --over, against ranges written out and recipes loaded one by one."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delaytool.errors import RecipeError, SweepError
from delaytool.experiments.sweep.combinations import axis, combinations
from delaytool.trainer.recipe import load_recipe


@given(st.integers(-50, 50), st.integers(0, 60), st.integers(1, 9))
def test_a_range_has_both_its_ends_and_every_step_between(first, length, step):
    last = first + length
    assert axis(f"key={first}..{last}") == ("key", [str(value) for value in range(first, last + 1)])
    assert axis(f"key={first}..{last}..{step}") == ("key", [str(value) for value in range(first, last + 1, step)])


@given(st.integers(0, 300), st.integers(0, 40), st.integers(1, 30))
def test_a_range_of_fractions_is_counted_in_decimals(first, count, step):
    start, width = Decimal(first) / 100, Decimal(step) / 100
    word = f"key={start}..{start + count * width}..{width}"
    expected = [float(start + index * width) for index in range(count + 1)]
    assert [float(value) for value in axis(word)[1]] == expected


@pytest.mark.parametrize(
    ("word", "values"),
    [
        ("model.delays=learned,fixed", ["learned", "fixed"]),
        ("trainer.lr=1e-3,5e-3", ["0.001", "0.005"]),
        ("model.hidden=[64,64],[128]", ["[64, 64]", "[128]"]),
        ("model.batch_norm=true,false", ["true", "false"]),
        ("data.n_steps=none,40", ["none", "40"]),
        ("data.source='a,b',c", ["'a", "b'", "c"]),
        ("data.source='a..b','c'", ['"a..b"', '"c"']),
        ("data.source=../x.h5,../y.h5", ["../x.h5", "../y.h5"]),
        ("data.source=/t/a..b.h5", ["/t/a..b.h5"]),
        ("seed=3", ["3"]),
    ],
)
def test_lists_are_split_as_toml_has_them_or_at_commas(word, values):
    assert axis(word)[1] == values


@pytest.mark.parametrize(
    "word",
    ["seed", "seed=", "=1..2", "seed=1..", "seed=4..0", "seed=0..4..0", "seed=0..4..-1", "seed=0..1..2..3", "seed=a..b",
     "trainer.lr=0.1..0.5", "seed=0..1e9", "seed=1,,2", "seed=0..nan"],
)  # fmt: skip
def test_what_is_not_a_range_is_named(word):
    with pytest.raises(SweepError, match="--over"):
        axis(word)


def test_the_grid_is_every_combination_and_each_is_what_train_would_train():
    settings = combinations("digits", ["model.max_delay=2..4", "seed=0..1"], ["trainer.epochs=5"])
    expected = [(delay, seed) for delay in (2, 3, 4) for seed in (0, 1)]
    assert [tuple(setting.values.values()) for setting in settings] == expected
    for setting, (delay, seed) in zip(settings, expected, strict=True):
        words = ["trainer.epochs=5", f"model.max_delay={delay}", f"seed={seed}"]
        assert setting.recipe == load_recipe("digits", words)
        assert setting.name == f"max_delay={delay},seed={seed}"


def test_names_are_plain_and_differ():
    settings = combinations("digits", ["model.hidden=[8],[8,8],[88]", "data.source='a/b','a b'"])
    names = [setting.name for setting in settings]
    assert len(set(names)) == len(names)
    assert not any(set(name) & set("/ []'\"") for name in names)
    deep = combinations("digits", ["trainer.sigma_start=1,2", "data.start=zero"])
    assert [setting.name for setting in deep] == ["sigma_start=1.0,start=zero", "sigma_start=2.0,start=zero"]


@pytest.mark.parametrize(
    ("over", "overrides", "error", "message"),
    [
        (["model.max_delai=1..3"], [], RecipeError, "did you mean model.max_delay"),
        (["model.max_delay=-1..3"], [], RecipeError, r"model.max_delay: value -1 .*with model.max_delay=-1"),
        (["seed=0,1", "seed=2"], [], SweepError, "swept already"),
        (["seed=0,1"], ["seed=4"], SweepError, "swept by --over"),
        (["seed=0,1,0"], [], SweepError, "are the same recipe"),
        (["trainer={},{}"], [], SweepError, "a section, not a key"),
        (["seed=0..999", "model.max_delay=0..999"], [], SweepError, "at most"),
    ],
)
def test_impossible_combinations_are_refused_together(over, overrides, error, message):
    with pytest.raises(error, match=message):
        combinations("digits", over, overrides)
