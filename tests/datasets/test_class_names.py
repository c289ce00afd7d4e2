"""A label means the class of its name, in whatever order a file names its classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from delaytool.datasets import DataSpec, EventData, load, load_every_part, load_for_evaluation
from delaytool.datasets.class_names import numbered_as
from delaytool.errors import DataError

Writer = Callable[..., Path]
NAMES = ("no", "up", "yes")


def named(labels: list[int], names: tuple[str, ...], n_classes: int = 3) -> EventData:
    return EventData.from_samples(
        [(np.array([0.1]), np.array([0]))] * len(labels),
        labels,
        n_units=1,
        n_classes=n_classes,
        class_names=names,
        name="other.h5",
    )


@pytest.mark.parametrize("keys", [[b"eins", b"null", b"two", b"three"], [b"eins", b"null"]])
def test_parts_that_name_classes_differently_are_refused(keys: list[bytes], write: Writer, tmp_path: Path) -> None:
    write("train.h5")
    write("test.h5", n_samples=24, keys=np.array(keys), labels=np.arange(24) % len(keys))
    with pytest.raises(DataError, match=r"test.h5: its classes are named eins, null.*train.h5 null, eins, two, three"):
        load(tmp_path)


@pytest.mark.parametrize("keys", [None, np.array([b"null", b"eins"])])
def test_parts_without_names_or_with_the_first_of_them_are_read(keys: object, write: Writer, tmp_path: Path) -> None:
    write("train.h5")
    write("test.h5", n_samples=24, keys=keys, labels=np.arange(24) % 2)
    assert load(DataSpec(str(tmp_path))).test.n_classes == 4


def test_labels_become_those_of_the_network() -> None:
    data = numbered_as(named([0, 1, 2, 2], ("yes", "no", "up")), NAMES)
    assert data.labels.tolist() == [2, 0, 1, 1]
    assert (data.class_names, data.n_classes) == (NAMES, 3)


def test_a_file_of_some_classes_is_numbered_by_their_names(write: Writer) -> None:
    path = write("some.h5", keys=np.array([b"three", b"eins"]), labels=np.arange(40) % 2)
    data = load_for_evaluation(str(path), n_classes=4, class_names=("null", "eins", "two", "three"))
    assert data.labels.tolist() == [3, 1] * 20


def test_a_file_that_names_more_classes_than_the_network_is_numbered_too(write: Writer) -> None:
    path = write("more.h5", keys=np.array([b"three", b"eins", b"null"]), labels=np.arange(40) % 2 * 2)
    how = {"n_classes": 2, "class_names": ("null", "three")}
    data = load_for_evaluation(str(path), **how)
    assert (data.labels.tolist(), data.class_names, data.n_classes) == ([1, 0] * 20, ("null", "three"), 2)
    (whole,) = load_every_part(str(path), **how)
    assert whole.labels.tolist() == data.labels.tolist()
    path = write("other.h5", keys=np.array([b"three", b"eins", b"null"]), labels=np.arange(40) % 2)
    with pytest.raises(DataError, match="its class 'eins' is none of the network's, null, three"):
        load_for_evaluation(str(path), **how)


def test_a_test_part_that_names_more_classes_in_another_order_is_refused(write: Writer, tmp_path: Path) -> None:
    write("train.h5", keys=np.array([b"left", b"right"]), labels=np.arange(40) % 2)
    write("test.h5", keys=np.array([b"right", b"left", b"up"]), labels=np.arange(40) % 2)
    with pytest.raises(DataError, match=r"test.h5: its classes are named right, left, up"):
        load(tmp_path)


def test_a_network_of_the_first_classes_that_a_file_names_has_their_names(write: Writer) -> None:
    path = write(labels=np.arange(40) % 2)  # of four names
    train = load(DataSpec(str(path), classes=2)).train
    assert (train.n_classes, train.class_names) == (2, ("null", "eins"))


@pytest.mark.parametrize("names", [(), NAMES, NAMES[:2]])
def test_data_without_names_or_with_the_network_s_stay_as_they_are(names: tuple[str, ...]) -> None:
    data = named([0, 1, 1], names)
    assert numbered_as(data, NAMES) is data
    assert numbered_as(data, ()) is data


@pytest.mark.parametrize("names", [("yes", "maybe", "up"), ("yes",)])
def test_a_class_that_the_network_does_not_have_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=r"other.h5: its class '(maybe|1)' is none of the network's, no, up, yes"):
        numbered_as(named([0, 1], names), NAMES)


def test_a_class_of_another_name_without_samples_is_no_error() -> None:
    assert numbered_as(named([0, 2], ("yes", "maybe", "up")), NAMES).labels.tolist() == [2, 1]
