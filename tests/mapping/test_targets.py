"""A chip of the user's own: a TOML file, every value checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from delaytool.errors import ExportError, TargetError
from delaytool.hw_configs import load_target, target_from, target_names

MINE = 'name = "mine"\ntitle = "My chip"\nextends = "loihi2"\n'


def written(folder: Path, text: str) -> str:
    path = folder / "chip.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_that_extends_a_chip(tmp_path: Path) -> None:
    target = target_from(
        written(tmp_path, MINE + '[limits]\ncores = { value = 2, source = "mine" }\n'
                'delay_max = { value = 14, source = "mine" }\n[mesh]\ncolumns = 2\n'
                'rows = 1\ncores_per_tile = 1\nsource = "mine"\n')
    )  # fmt: skip
    assert (target.name, target.limits.delay_max, target.sources["delay_max"]) == ("mine", 14, "mine")
    assert target.limits.decay_max == load_target("loihi2").limits.decay_max
    assert target.mesh is not None
    assert target.mesh.columns == 2
    assert target.costs == "loihi1"


def test_the_limit_of_both_decays_where_dv_has_none_of_its_own(tmp_path: Path) -> None:
    text = MINE + '[limits]\ndecay_max = { value = 100, source = "mine" }\n'
    limits = target_from(written(tmp_path, text)).limits
    assert (limits.decay_max, limits.membrane_decay_max) == (100, 100)
    limits = target_from(written(tmp_path, text + 'membrane_decay_max = { value = 99, source = "x" }\n')).limits
    assert (limits.decay_max, limits.membrane_decay_max) == (100, 99)


def test_names_are_as_before() -> None:
    for name in target_names():
        assert target_from(name) is load_target(name)
    with pytest.raises(ExportError, match=r"target 'loihi3' is unknown; choose one of .*, or give a \.toml file"):
        target_from("loihi3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "not valid TOML"),
        ('name = "mine"\ntitle = "My chip"\n', "limits.weight_min is missing"),
        (MINE + "speed = 3\n", "'speed' is no key of a chip; known are"),
        (MINE.replace("loihi2", "loihi9"), "extends 'loihi9' is no chip"),
        (MINE.replace('"mine"', "3"), "name is missing or no text"),
        (MINE + '[limits]\nspeed = { value = 1, source = "x" }\n', "limits.speed is no limit"),
        (MINE + "[limits]\ncores = 3\n", "limits.cores is not of the form"),
        (
            MINE + '[limits]\ncores = { value = 0, source = "x" }\n',
            "cores 0 is not a whole number of 1 to 1,048,576",
        ),
        (MINE + '[limits]\ncores = { value = 1048577, source = "x" }\n', "cores 1048577 is not a whole number of 1 to"),
        (MINE + '[limits]\ncores = { value = 2.5, source = "x" }\n', "limits.cores 2.5 is not a whole number"),
        (MINE + '[limits]\ncores = { value = true, source = "x" }\n', "limits.cores True is not a whole number"),
        (MINE + f'[limits]\ncores = {{ value = 1{"0" * 5000}, source = "x" }}\n', "not valid TOML"),
        (MINE + '[limits]\nweight_min = { value = 300, source = "x" }\n', "weight_min 300 is above limits.weight_max"),
        (MINE + "[axons]\nin = 3\n", r"\[axons\] must have exactly the keys in, is_own, out, source"),
        (MINE + "limits = 3\n", "limits is no section"),
        ('extends = "loihi2"\n', "name is missing or no text"),
        ('name = "mine"\nextends = "loihi2"\n', "title is missing or no text"),
        (MINE.replace("mine", "loihi2"), "name 'loihi2' is that of one of delaytool's chips; give it another"),
        ("\x00", "not valid TOML"),
    ],
)
def test_what_describes_no_chip(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=message) as caught:
        target_from(written(tmp_path, text))
    assert "chip.toml" in str(caught.value)
    assert "\n" not in str(caught.value)[:200] or "TOML" in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match="no such file"):
        target_from(str(tmp_path / "chip.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(TargetError, match="cannot be read"):
        target_from(str(tmp_path / "folder.toml"))


def test_a_network_file_cannot_name_a_path(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is unknown"):
        load_target(written(tmp_path, MINE))
