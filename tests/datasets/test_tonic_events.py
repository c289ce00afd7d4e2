"""tonic's data sets by name, with data sets of tonic's shape in place of downloads."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
import pytest

from delaytool.datasets import DataSpec, EventData, load
from delaytool.errors import DataError, MissingExtraError


class Gestures:
    """A sensor of 5 x 4 pixels and two polarities, 3 classes."""

    dtype = np.dtype([("x", np.int16), ("y", np.int16), ("p", bool), ("t", np.int64)])
    sensor_size = (5, 4, 2)
    targets: ClassVar[list[Any]] = [2, 0, 1, 0, 2, 1]

    def __init__(self, save_to: str, train: bool = True, transform: Any = None) -> None:
        self.seed = 1 if train else 2
        self.folder = save_to

    def __len__(self) -> int:
        return len(self.targets)

    def events(self, index: int) -> np.ndarray:
        generator = np.random.default_rng([self.seed, index])
        events = np.zeros(40, self.dtype)
        events["x"], events["y"] = generator.integers(0, 5, 40), generator.integers(0, 4, 40)
        events["p"], events["t"] = generator.integers(0, 2, 40), np.sort(generator.integers(0, 500_000, 40))
        return events

    def __getitem__(self, index: int) -> tuple[np.ndarray, Any]:
        return self.events(index), self.targets[index]


class Splitted(Gestures):
    dtype = np.dtype([("t", np.int64), ("x", np.int16), ("p", np.int8)])
    sensor_size = (7, 1, 1)
    targets: ClassVar[list[Any]] = ["yes", "no"] * 3

    def __init__(self, save_to: str, split: str = "train") -> None:
        super().__init__(save_to)
        self.seed = ("train", "valid", "test").index(split)

    def events(self, index: int) -> np.ndarray:
        events = np.zeros(5, self.dtype)
        events["x"], events["t"] = np.arange(5) + self.seed, 1000 * np.arange(5)
        return events


class Whole(Gestures):
    def __init__(self, save_to: str) -> None:
        super().__init__(save_to)


class Recordings(Gestures):
    def __init__(self, save_to: str, recording: str) -> None: ...


class NoSize(Whole):
    sensor_size = None  # type: ignore[assignment]


class NoLabels(Whole):
    targets: ClassVar[list[Any]] = [np.zeros(3)]


class Offline(Gestures):
    def __init__(self, save_to: str, train: bool = True) -> None:
        raise RuntimeError("File not found or corrupted.")


@pytest.fixture(autouse=True)
def tonic(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    module = ModuleType("tonic.datasets")
    for kind in (Gestures, Splitted, Whole, Recordings, NoSize, NoLabels, Offline):
        setattr(module, kind.__name__, kind)
    monkeypatch.setitem(sys.modules, "tonic", ModuleType("tonic"))
    monkeypatch.setitem(sys.modules, "tonic.datasets", module)
    monkeypatch.setenv("DELAYTOOL_DATA", str(tmp_path))


@pytest.mark.parametrize("pixel_bins", [1, 2, 3, 9])
@pytest.mark.parametrize("polarity", ["keep", "merge"])
def test_a_sensor_is_flattened_by_squares_of_pixels_and_polarity(pixel_bins: int, polarity: str) -> None:
    splits = load(DataSpec("tonic:Gestures", protocol="paper", pixel_bins=pixel_bins, polarity=polarity))
    columns, rows = -(-5 // pixel_bins), -(-4 // pixel_bins)
    for data, recorded in ((splits.train, Gestures("", True)), (splits.test, Gestures("", False))):
        assert isinstance(data, EventData)
        assert data.n_units == columns * rows * (2 if polarity == "keep" else 1)
        assert data.labels.tolist() == Gestures.targets
        assert data.n_classes == 3
        for index in range(len(recorded)):
            times, units = data.sample(index)
            for event, time, unit in zip(recorded.events(index), times, units, strict=True):
                expected = event["y"] // pixel_bins * columns + event["x"] // pixel_bins
                expected += columns * rows * int(event["p"]) if polarity == "keep" else 0
                assert unit == expected
                assert time == pytest.approx(event["t"] * 1e-6, rel=1e-6)


def test_parts_by_split_and_classes_by_name() -> None:
    splits = load("tonic:Splitted")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (6, 6, 6)
    assert splits.train.class_names == ("no", "yes")
    assert splits.validation.labels.tolist() == [1, 0] * 3
    assert splits.validation.sample(0)[1].tolist() == [1, 2, 3, 4, 5]


def test_a_data_set_of_one_part_is_cut() -> None:
    calls: list[tuple[str, int, int]] = []
    splits = load(
        DataSpec("tonic:Whole", test_fraction=0.5, protocol="paper"), progress=lambda *news: calls.append(news)
    )
    assert (len(splits.train), len(splits.test)) == (3, 3)
    assert calls[-1] == ("events of tonic:Whole all", 6, 6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Gesture", "tonic has no such data set of events; it has Gestures, NoLabels"),
        ("Recordings", r"it is not one data set of labeled samples \(tonic asks for recording\)"),
        ("NoSize", "its samples have no common sensor size"),
        ("NoLabels", "sample 0: its target is a ndarray, not a label"),
        ("Offline", r"tonic cannot load it \(File not found or corrupted.\)"),
    ],
)
def test_unreadable_data_are_refused(name: str, expected: str) -> None:
    with pytest.raises(DataError, match=expected):
        load(f"tonic:{name}")


def test_impossible_settings_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"data.pixel_bins 0 is not a whole number in 1"):
        load(DataSpec("tonic:Gestures", pixel_bins=0))
    with pytest.raises(DataError, match=r"data.polarity 'drop' is unknown; choose one of 'keep', 'merge'"):
        load(DataSpec("tonic:Gestures", polarity="drop"))
    monkeypatch.setitem(sys.modules, "tonic.datasets", None)
    with pytest.raises(MissingExtraError, match="tonic:Gestures needs tonic"):
        load("tonic:Gestures")


def test_tonics_shd_is_the_one_that_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from delaytool.datasets import sources

    asked: list[str] = []

    def fetch(name: str, root: Any = None) -> Path:
        asked.append(name)
        raise DataError("not now")

    monkeypatch.setattr(sources, "fetch", fetch)
    with pytest.raises(DataError, match="not now"):
        load("tonic:SHD")
    assert asked == ["shd"]
