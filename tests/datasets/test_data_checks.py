"""Facts that data do not state, or state wrongly: an error with the way out, or a warning that reaches the user."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from chirps import write_chirp

from delaytool.contract.encoding import InputEncoding
from delaytool.datasets import DataSpec, EventData, bin_events, load, load_for_evaluation, read_file
from delaytool.datasets.binner import resolve_counts
from delaytool.datasets.spec import absolute_source
from delaytool.errors import DataError

Writer = Callable[..., Path]
SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELAYTOOL_DATA", str(tmp_path / "cache"))


def milliseconds(write: Writer, unit: str, kind: type, name: str = "train.h5") -> Path:
    """40 samples of 8 spikes in whole milliseconds, of unit k in millisecond 50 k + sample, written in a unit."""
    rows = [[(50 * k + sample) * 1e-3 / SECONDS[unit] for k in range(8)] for sample in range(40)]
    units = [list(range(8))] * 40
    rows = [np.rint(row) if np.issubdtype(kind, np.integer) else row for row in rows]
    return write(name, times=rows, units=units, times_type=kind)


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int32, np.uint64])
@pytest.mark.parametrize("unit", ["ms", "us"])
def test_a_named_time_unit_gives_seconds(write: Writer, unit: str, kind: type) -> None:
    data = read_file(milliseconds(write, unit, kind), n_units=20, time_unit=unit)
    expected = [(50 * k + sample) * 1e-3 for sample in range(40) for k in range(8)]
    np.testing.assert_allclose(data.times, expected, rtol=1e-6)
    # Frames of 1 ms, half a step later so that no time lies on an edge, are those of the same data in seconds.
    encoding = resolve_counts(InputEncoding(n_units=20, time_step_ms=10.0), data)
    other = read_file(milliseconds(write, "s", np.float64, "seconds.h5"), n_units=20)
    shifted = [EventData(**{**vars(one), "times": one.times + np.float32(0.0005)}) for one in (data, other)]
    assert np.array_equal(bin_events(shifted[0], encoding), bin_events(shifted[1], encoding))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize(("unit", "likely"), [("ms", "ms"), ("us", "us")])
def test_floats_that_are_no_seconds_are_refused_with_the_likely_unit(
    write: Writer, unit: str, likely: str, kind: type
) -> None:
    path = milliseconds(write, unit, kind)
    with pytest.raises(DataError, match=rf'sample \d+: its times span .* set data.time_unit = "{likely}", or "s" if'):
        read_file(path, n_units=20)
    assert read_file(path, n_units=20, time_unit=unit).times.max() < 1
    assert read_file(path, n_units=20, time_unit="s").times.max() > 100  # on the user's word


def test_whole_numbers_ask_for_their_unit(write: Writer) -> None:
    path = milliseconds(write, "us", np.int64)
    with pytest.raises(DataError, match=r'type int64; whole numbers are seldom seconds; .* data.time_unit = "ms"'):
        read_file(path, n_units=20)


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_seconds_that_are_called_something_else_are_refused(write: Writer, unit: str) -> None:
    path = milliseconds(write, "s", np.float32)
    with pytest.raises(DataError, match=rf'data.time_unit = "{unit}" its longest sample lasts .* for an error'):
        read_file(path, n_units=20, time_unit=unit)


def test_the_time_unit_travels_from_recipe_to_verification(write: Writer, tmp_path: Path) -> None:
    milliseconds(write, "ms", np.float32, "train.h5")
    milliseconds(write, "ms", np.float32, "test.h5")
    recipe = {"data": {"source": str(tmp_path), "time_unit": "ms", "n_units": 20}, "seed": 3}
    spec = DataSpec.from_recipe(recipe)
    assert (spec.time_unit, spec.seed) == ("ms", 3)
    assert np.array_equal(load(spec).test.times, load_for_evaluation(spec).times)
    for name in ("digits", "tonic:NMNIST"):
        with pytest.raises(DataError, match=r"data\.time_unit .ms. is for HDF5 files"):
            load(DataSpec(name, time_unit="ms"))


def test_every_shared_key_has_one_default() -> None:
    from delaytool.trainer.recipe import DataConfig, Recipe

    for field in fields(DataSpec):
        section = Recipe if field.name in ("seed", "protocol") else DataConfig
        assert field.name in section.model_fields, f"{field.name} is no key of a recipe"
        if field.default is not MISSING:
            assert section.model_fields[field.name].default == field.default
    recipe = Recipe()
    spec = DataSpec.from_recipe(recipe.model_dump(mode="json"))
    assert spec == DataSpec("digits")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": ""}, "data.source '' names no data"),
        ({"source": 5}, "data.source 5 names no data"),
        ({"seed": -1}, "seed -1 is not a whole number"),
        ({"seed": True}, "seed True is not a whole number"),
        ({"protocol": "none"}, "protocol 'none' is unknown; choose one of 'honest', 'paper'"),
        ({"n_units": 1 << 31}, r"data.n_units 2147483648 is not a whole number in 1\.\.4194304"),
        ({"n_units": "20"}, "data.n_units '20' is not a whole number"),
        ({"time_unit": "min"}, "data.time_unit 'min' is unknown; choose one of 's', 'ms', 'us'"),
        ({"validation_fraction": float("nan")}, "data.validation_fraction nan is not a finite number"),
        ({"test_fraction": 1.0}, r"data.test_fraction 1.0 is outside 0\.\.1"),
        ({"time_step_ms": "10"}, "data.time_step_ms '10' is not a finite number"),
        ({"mel": 3}, "data.mel 3 is not the name"),
        ({"classes": [2]}, r"data.classes \[2\] is not a whole number"),
        ({"split_by": ["auto"]}, r"data.split_by \['auto'\] is unknown"),
    ],
)
def test_a_spec_checks_every_value(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        DataSpec(**{"source": "digits", **changes})


@pytest.mark.parametrize("recipe", [{}, {"data": None}, {"data": {}}, {"data": {"classes": 3}}, {"data": [1]}, [1]])
def test_a_recipe_without_data_asks_for_them(recipe: Any) -> None:
    with pytest.raises(DataError, match="give samples with --data"):
        DataSpec.from_recipe(recipe)
    assert DataSpec.from_recipe(recipe, source="digits").source == "digits"


def test_labels_with_gaps(write: Writer) -> None:
    labels = np.array([0, 100, 200])[np.arange(40) % 3]
    path = write(labels=labels, keys=None)
    with pytest.raises(DataError, match=r"labels run to 200, which makes 201 classes, .* number the 3 classes 0\.\.2"):
        load(path)
    splits = load(DataSpec(path, classes=201))
    assert splits.train.n_classes == 201
    assert any("no training sample is of class 1, 2, 3," in sentence for sentence in splits.warnings)
    named = write("named.h5", labels=np.arange(40) % 3)  # extra/keys has four names
    assert [s for s in load(named).warnings if "no training sample is of class 3" in s]
    with pytest.raises(DataError, match=r"it has 10 classes, data.classes is 7"):
        load(DataSpec("digits", classes=7))


def test_one_class_cannot_be_learned(write: Writer) -> None:
    with pytest.raises(DataError, match="all 40 samples are of class 2, so there is nothing to learn"):
        load(write(labels=np.full(40, 2)))


def stating(path: Path, n_units: int) -> Path:
    with h5py.File(path, "a") as file:
        file.attrs["n_units"] = n_units
    return path


def test_a_network_of_64_units_refuses_data_of_20(write: Writer, tmp_path: Path) -> None:
    path = write("mine.h5")
    with pytest.raises(DataError, match="its highest unit is 19, the network reads 64 units"):
        load_for_evaluation(path, n_units=64)
    assert load_for_evaluation(path, n_units=24).n_units == 24  # nothing speaks against it
    stating(path, 64)
    assert load_for_evaluation(path, n_units=64).n_units == 64  # the way out that the error names
    with pytest.raises(DataError, match="it states 64 units, the network reads 700"):
        load_for_evaluation(path, n_units=700)
    with pytest.raises(DataError, match="digits: its 64 units are more than the network's 16"):
        load_for_evaluation("digits", n_units=16)
    folder = write("folder/train.h5").parent
    for split in ("train", "validation", "test"):
        with pytest.raises(DataError, match="the network reads 64 units"):
            load_for_evaluation(folder, split, n_units=64)


def test_an_unstated_number_of_units_is_a_warning(write: Writer) -> None:
    path = write()
    (warning,) = load(path).warnings
    assert "does not state its number of units, so 700 are assumed, but its highest unit is 19" in warning
    assert load(DataSpec(path, n_units=20)).warnings == ()
    assert load(stating(path, 20)).warnings == ()


@pytest.mark.parametrize("n_units", [0, -1, 1 << 31, (1 << 63) - 1])
def test_an_absurd_number_of_units_is_refused(write: Writer, n_units: int) -> None:
    with pytest.raises(DataError, match=r"is not an integer in 1\.\.4,194,304"):
        load(stating(write(), n_units))


def test_frames_beyond_any_memory_are_refused_before_they_are_made(write: Writer) -> None:
    data = load(stating(write(), 1 << 22)).train
    for call in (resolve_counts, lambda encoding, data: bin_events(data, encoding)):
        with pytest.raises(DataError, match=r"a sample of 1,000 steps and 4,194,304 channels is over the limit"):
            call(InputEncoding(n_units=1 << 22, n_steps=1000), data)


def test_a_class_of_other_recordings_does_not_vanish(tmp_path: Path) -> None:
    for number in range(2):
        write_chirp(tmp_path / "yes" / f"{number}_nohash_0.wav", 300, 900, 0.2)
        write_chirp(tmp_path / "no" / f"{number}_nohash_0.wav", 900, 300, 0.2)
    (tmp_path / "maybe").mkdir()
    (tmp_path / "maybe" / "1_nohash_0.mp3").touch()
    with pytest.raises(DataError, match=r"maybe: it holds 1 recording .* not .wav or .flac \(1_nohash_0.mp3\)"):
        load(tmp_path)
    (tmp_path / "maybe" / "1_nohash_0.mp3").rename(tmp_path / "maybe" / "notes.txt")
    spec = DataSpec(tmp_path, split_by="stratified", protocol="paper", test_fraction=0.5)
    assert [s for s in load(spec).warnings if "no class is made of maybe" in s]


def test_recordings_without_a_folder_of_their_class(tmp_path: Path) -> None:
    write_chirp(tmp_path / "a.wav", 300, 900, 0.2)
    with pytest.raises(DataError, match=r"recordings lie directly in it \(1\), .* make a folder per class"):
        load(tmp_path)
    write_chirp(tmp_path / "yes" / "b.wav", 300, 900, 0.2)
    with pytest.raises(DataError, match=r"a.wav and 1 folders of recordings both lie in it"):
        load(tmp_path)


def test_a_recording_that_is_cut_is_a_warning_from_the_cache_too(tmp_path: Path) -> None:
    for word, start in (("yes", 300), ("no", 900)):
        for number in range(4):
            write_chirp(tmp_path / "r" / word / f"{number}_nohash_0.wav", start, 600, 5.0 if number == 0 else 1.0)
    spec = DataSpec(tmp_path / "r", split_by="stratified")
    for _ in range(2):
        (warning,) = load(spec).warnings
        assert "2 of 8 recordings are longer than the 1 s that are kept" in warning
        assert "the longest 5.00 s" in warning
    assert load(DataSpec(tmp_path / "r", split_by="stratified", mel="hd")).warnings == ()


def test_sources_are_names_or_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_source("digits") == "digits"
    assert absolute_source("./digits") == str(tmp_path / "digits")
    assert absolute_source("a/../b") == str(tmp_path / "b")
    assert absolute_source("x", tmp_path / "there") == str(tmp_path / "there" / "x")
    assert absolute_source("~/x") == str(Path.home() / "x")
