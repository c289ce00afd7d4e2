from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from delaytool.datasets import hdf5 as hdf5_module
from delaytool.datasets import read_file, read_folder
from delaytool.errors import DataError

Writer = Callable[..., Path]


@pytest.mark.parametrize("at_once", [1024, 7, 1])
def test_reads_what_was_written(write: Writer, data, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(hdf5_module, "SAMPLES_AT_ONCE", at_once)
    read = read_file(write())
    assert (read.n_units, read.n_classes) == (700, 4)
    assert read.class_names == ("null", "eins", "two", "three")
    assert (read.times.dtype, read.units.dtype) == (np.float32, np.int32)
    for key in ("times", "units", "offsets", "labels", "speakers"):
        np.testing.assert_array_equal(getattr(read, key), getattr(data, key))


def test_speakers_and_names_may_be_missing(write: Writer) -> None:
    read = read_file(write(speaker=None, keys=None))
    assert read.speakers is None
    assert read.class_names == ()
    assert read.n_classes == 4


@pytest.mark.parametrize(("key", "kind"), [("units", ">u2"), ("times", ">f4")])
def test_the_other_byte_order_is_refused(write: Writer, key: str, kind: str) -> None:
    """h5py does not swap the bytes of variable-length arrays: unit 1 is read as 256."""
    words = rf"spikes/{key} .* type {kind}, in the other byte order .* dtype=h5py\.vlen_dtype\('\w+(16|32)'\)"
    with pytest.raises(DataError, match=words):
        read_file(write(**{f"{key}_type": kind}))


def test_number_of_units(write: Writer) -> None:
    path = write()
    assert read_file(path, n_units=20).n_units == 20
    with h5py.File(path, "a") as file:
        file["extra/n_units"] = 32
    assert read_file(path).n_units == 32
    with h5py.File(path, "a") as file:
        file.attrs["n_units"] = 128
    assert read_file(path).n_units == 128
    with pytest.raises(DataError, match=r"it states 128 units, and 20 are to be read; leave out data.n_units"):
        read_file(path, n_units=20)
    with pytest.raises(DataError, match=r"it states 128 units, the network reads 20"):
        read_file(path, n_units=20, network_units=20)
    with h5py.File(path, "r+") as file:
        file.attrs["n_units"] = 5
    with pytest.raises(DataError, match=r"unit \d+ is outside 0..4; correct the n_units that the file states"):
        read_file(path)
    with h5py.File(path, "a") as file:
        file.attrs["n_units"] = "many"
    with pytest.raises(DataError, match="n_units 'many' is not an integer in 1"):
        read_file(path)
    with pytest.raises(DataError, match="n_units 0 is below 1"):
        read_file(path, n_units=0)


def test_unit_out_of_range_names_the_way_out(write: Writer) -> None:
    with pytest.raises(DataError, match=r"train.h5: sample \d+: unit 19 is outside 0..18; set data.n_units"):
        read_file(write(), n_units=19)


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone.h5: no such file"):
        read_file(tmp_path / "gone.h5")


def test_folder_instead_of_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="this is a folder"):
        read_file(tmp_path)


def test_not_hdf5(tmp_path: Path) -> None:
    path = tmp_path / "text.h5"
    path.write_text("time,unit\n" * 100)
    with pytest.raises(DataError, match=r"text.h5: not an HDF5 file"):
        read_file(path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"text.h5: not an HDF5 file"):
        read_file(path)


def test_truncated(write: Writer) -> None:
    path = write()
    whole = path.read_bytes()
    for size in range(8, len(whole), len(whole) // 12):
        path.write_bytes(whole[:size])
        with pytest.raises(DataError, match=r"train.h5: .*(truncated|not an HDF5 file|damaged)") as caught:
            read_file(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(whole[:-1])
    with pytest.raises(DataError, match="is truncated; copy or download it again"):
        read_file(path)


@pytest.mark.parametrize("error", [OSError("Can't read data\nmore"), RuntimeError("x"), MemoryError(), ValueError("x")])
def test_damage_found_while_reading(write: Writer, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object) -> None:
        raise error

    # By a stand-in: HDF5 has no checksums, and really damaged bytes can keep its library busy for ever.
    monkeypatch.setattr(h5py.Dataset, "__getitem__", fail)
    with pytest.raises(DataError, match="it may be damaged") as caught:
        read_file(write())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": None}, "no dataset spikes/times; SHD's layout has .*this file has .*labels"),
        ({"units": None}, "no dataset spikes/units"),
        ({"labels": None}, "no dataset labels"),
        ({"labels": np.zeros(39, np.uint16)}, "spikes/times has 40 samples, labels has 39"),
        ({"labels": np.zeros(40)}, "labels has shape .* type float64; it must hold one integer per sample"),
        ({"labels": np.zeros((40, 1), int)}, "labels has shape"),
        ({"labels": np.full(40, 4)}, r"sample 0: label 4 is outside 0\.\.3"),
        ({"labels": np.full(40, -1)}, "label -1"),
        ({"speaker": np.zeros(7, int)}, "spikes/times has 40 samples, extra/speaker has 7"),
        ({"times_type": np.int64}, "spikes/times has shape .* type int64; .* seconds as floats"),
        ({"units_type": np.float32}, "spikes/units has shape .* integers"),
        ({"times": [], "units": [], "labels": np.empty(0, int), "speaker": None}, "an empty split"),
    ],
)
def test_bad_datasets(write: Writer, change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        read_file(write(**change))
    assert "train.h5" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("times", [0.5, np.nan, 0.1], "sample 33: time nan"),
        ("times", [0.5, -1, 0.1], "sample 33: time -1.0"),
        ("times", [0.5, np.inf, 0.1], "sample 33: time inf"),
        ("times", [0.5], "sample 33: 1 times but 3 units"),
        ("units", [1, 2], "sample 33: 3 times but 2 units"),
        ("units", [1, 700, 2], "sample 33: unit 700 is outside 0..699"),
        ("units", [1, 1 << 32, 2], "sample 33: unit 4294967296 is outside 0..699"),
        ("units", [1, -2, 2], "sample 33: unit -2 is outside 0..699"),
    ],
)
@pytest.mark.parametrize("at_once", [1024, 8])
def test_bad_events_name_the_sample(
    write: Writer, data, monkeypatch: pytest.MonkeyPatch, key: str, value: list, message: str, at_once: int
) -> None:
    monkeypatch.setattr(hdf5_module, "SAMPLES_AT_ONCE", at_once)
    rows = {"times": [data.sample(i)[0] for i in range(40)], "units": [data.sample(i)[1] for i in range(40)]}
    rows["times"][33], rows["units"][33] = np.array([0.1, 0.2, 0.3]), np.array([1, 2, 3])
    rows[key][33] = np.array(value)
    with pytest.raises(DataError, match=message):
        read_file(write(**rows, units_type=np.int64))


def test_flat_events_are_not_the_layout(tmp_path: Path) -> None:
    path = tmp_path / "flat.h5"
    with h5py.File(path, "w") as file:
        file["spikes/times"], file["spikes/units"], file["labels"] = np.zeros(9), np.zeros(9, int), np.zeros(9, int)
    with pytest.raises(DataError, match=r"one variable-length array per sample: write it with dtype=h5py\.vlen_dtype"):
        read_file(path)


@pytest.mark.parametrize("family", ["", "shd_", "ssc_"])
@pytest.mark.parametrize("extension", ["h5", "hdf5"])
def test_folder(write: Writer, tmp_path: Path, family: str, extension: str) -> None:
    for split in ("train", "valid", "test"):
        write(f"{family}{split}.{extension}")
    assert list(read_folder(tmp_path)) == ["train", "validation", "test"]


def test_bare_file(write: Writer) -> None:
    assert list(read_folder(write("mine.h5"))) == ["all"]


def test_folder_without_train(write: Writer, tmp_path: Path) -> None:
    write("trian.h5")
    with pytest.raises(DataError, match=r"no train file; looked for train.h5, shd_train.h5.*there is trian.h5"):
        read_folder(tmp_path)


@pytest.mark.parametrize("second", ["train.hdf5", "shd_train.h5", "ssc_test.h5"])
def test_ambiguous_folder(write: Writer, tmp_path: Path, second: str) -> None:
    write("train.h5")
    write(second)
    with pytest.raises(DataError, match=f"ambiguous.*train.h5.*{second}"):
        read_folder(tmp_path)


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_folder(tmp_path / "gone")


def test_test_labels_beyond_the_training_classes(write: Writer, tmp_path: Path) -> None:
    write("train.h5", keys=None)
    write("test.h5", keys=None, labels=np.full(40, 6))
    with pytest.raises(DataError, match=r"test.h5: sample 0: label 6 is outside 0\.\.3"):
        read_folder(tmp_path)


def test_real_recordings(spoken_digits: Path) -> None:
    parts = read_folder(spoken_digits)
    assert {name: len(part) for name, part in parts.items()} == {"train": 2250, "test": 250}
    assert parts["test"].n_classes == 10
    assert parts["train"].speakers is not None
    assert np.unique(parts["train"].speakers).tolist() == [0, 1, 2, 3, 5]
    assert parts["test"].n_events == 1039744


@pytest.mark.parametrize("key", ["labels", "extra/speaker"])
def test_numbers_that_take_no_space_are_not_read(tmp_path: Path, key: str) -> None:
    path = tmp_path / "events.h5"
    with h5py.File(path, "w") as file:
        for name, kind in (("spikes/times", np.float32), ("spikes/units", np.uint16)):
            file.create_dataset(name, (2,), h5py.vlen_dtype(kind))[0] = np.zeros(1, kind)
        for name in ("labels", "extra/speaker"):
            file.create_dataset(name, (2**40,) if name == key else (2,), np.int64, chunks=(2,), compression="gzip")
    with pytest.raises(DataError, match=f"spikes/times has 2 samples, {key} has {2**40}; they must agree"):
        read_file(path)
