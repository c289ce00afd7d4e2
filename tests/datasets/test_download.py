"""fetch, with a stand-in for tonic: no test touches the network."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from delaytool.datasets import default_root, fetch, load
from delaytool.errors import DataError, MissingExtraError

Writer = Callable[..., Path]


class FakeTonic:
    """A server of zipped HDF5 files and the two tonic modules that fetch uses."""

    def __init__(self, write: Writer, server: Path) -> None:
        self.server, self.calls = server, []
        self.error: Exception | None = None
        sources = {}
        for name, splits in (("SHD", ("train", "test")), ("SSC", ("train", "valid", "test"))):
            source: dict[str, Any] = {"base_url": "https://example.invalid/datasets/"}
            for split in splits:
                file = write(f"made/{name.lower()}_{split}.h5")
                archive = server / f"{file.name}.zip"
                with zipfile.ZipFile(archive, "w") as zipped:
                    zipped.write(file, file.name)
                source[f"{split}_zip"] = archive.name
                source[f"{split}_md5"] = hashlib.md5(archive.read_bytes()).hexdigest()
            sources[name] = SimpleNamespace(**source)
        self.datasets, self.utils = ModuleType("tonic.datasets"), ModuleType("tonic.download_utils")
        vars(self.datasets).update(sources)
        vars(self.utils)["download_and_extract_archive"] = self.download

    def download(self, url: str, download_root: str, extract_root: str, filename: str, md5: str) -> None:
        self.calls.append(url)
        print("Downloading", url)
        if self.error:
            raise self.error
        archive = Path(download_root) / filename
        shutil.copy(self.server / filename, archive)
        if hashlib.md5(archive.read_bytes()).hexdigest() != md5:
            raise RuntimeError("File not found or corrupted.")
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(extract_root)


@pytest.fixture
def tonic(write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTonic:
    (tmp_path / "server").mkdir()
    fake = FakeTonic(write, tmp_path / "server")
    monkeypatch.setitem(sys.modules, "tonic", ModuleType("tonic"))
    monkeypatch.setitem(sys.modules, "tonic.datasets", fake.datasets)
    monkeypatch.setitem(sys.modules, "tonic.download_utils", fake.utils)
    return fake


@pytest.fixture
def no_tonic(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("tonic", "tonic.datasets", "tonic.download_utils"):
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize(("name", "count"), [("shd", 2), ("ssc", 3)])
def test_downloads_once(tonic: FakeTonic, tmp_path: Path, capsys: pytest.CaptureFixture, name: str, count: int) -> None:
    root = tmp_path / "root"
    folder = fetch(name, root)
    assert folder == root / name.upper()
    assert len(tonic.calls) == count
    assert capsys.readouterr().out == ""  # tonic's chatter must not reach a program's output
    assert len(json.loads((folder / "delaytool-sha256.json").read_text())) == count
    assert not list(folder.glob(".*"))
    # Without the archives tonic itself would download again.
    for archive in folder.glob("*.zip"):
        archive.unlink()
    assert fetch(name, root) == folder
    assert len(tonic.calls) == count
    splits = load(name, root=root)
    assert len(splits.test) == 40


def test_cached_files_need_no_tonic(tonic: FakeTonic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch("shd", tmp_path / "root")
    for module in ("tonic", "tonic.datasets", "tonic.download_utils"):
        monkeypatch.setitem(sys.modules, module, None)
    fetch("shd", tmp_path / "root")


@pytest.mark.usefixtures("no_tonic")
def test_files_put_there_by_hand(write: Writer, tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(f"root/SHD/shd_{split}.h5")
    folder = fetch("shd", tmp_path / "root")
    assert len(json.loads((folder / "delaytool-sha256.json").read_text())) == 2


@pytest.mark.usefixtures("no_tonic")
def test_a_half_file_put_there_by_hand(write: Writer, tmp_path: Path) -> None:
    path = write("root/SHD/shd_train.h5")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"shd_train.h5: not a whole HDF5 file; delete it"):
        fetch("shd", tmp_path / "root")
    assert not (path.parent / "delaytool-sha256.json").exists()


def test_a_changed_file_is_refused(tonic: FakeTonic, tmp_path: Path) -> None:
    file = fetch("shd", tmp_path / "root") / "shd_test.h5"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(DataError, match=r"shd_test.h5: its SHA-256 .* it has changed"):
        fetch("shd", tmp_path / "root")
    file.unlink()
    fetch("shd", tmp_path / "root")  # the way out that the message names
    assert len(tonic.calls) == 3


@pytest.mark.usefixtures("no_tonic")
def test_without_tonic(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"put shd_train.h5 into .*SHD by hand.*\[datasets\]"):
        fetch("shd", tmp_path)


@pytest.mark.parametrize("error", [OSError("Name or service not known"), RuntimeError("corrupted"), TimeoutError("x")])
def test_without_network(tonic: FakeTonic, tmp_path: Path, error: Exception) -> None:
    tonic.error = error
    with pytest.raises(
        DataError, match=r"could not download https://example.invalid/datasets/shd_train.h5.zip"
    ) as caught:
        fetch("shd", tmp_path / "root")
    assert str(error) in str(caught.value)
    assert f"put shd_train.h5 into {tmp_path / 'root' / 'SHD'}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "root" / "SHD").iterdir())
    tonic.error = None
    fetch("shd", tmp_path / "root")


def test_a_corrupt_archive(tonic: FakeTonic, tmp_path: Path) -> None:
    (tonic.server / "shd_train.h5.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match="File not found or corrupted"):
        fetch("shd", tmp_path / "root")


def test_a_root_that_cannot_be_made(tonic: FakeTonic, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="set DELAYTOOL_DATA to a folder that can"):
        fetch("shd", tmp_path / "file")


@pytest.mark.parametrize("text", ["{", "[]", '{"shd_train.h5": 3}'])
def test_an_unreadable_list_of_checksums(tonic: FakeTonic, tmp_path: Path, text: str) -> None:
    sums = fetch("shd", tmp_path / "root") / "delaytool-sha256.json"
    sums.write_text(text)
    with pytest.raises(DataError, match="delete it to record them anew"):
        fetch("shd", tmp_path / "root")


def test_root_from_the_environment(tonic: FakeTonic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELAYTOOL_DATA", str(tmp_path / "elsewhere"))
    assert fetch("shd") == tmp_path / "elsewhere" / "SHD"
    monkeypatch.delenv("DELAYTOOL_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert default_root() == tmp_path / "caches" / "delaytool"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_root().parts[-2:] == (".cache", "delaytool")


def test_unknown_name(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'nmnist' cannot be downloaded; choose one of shd, ssc"):
        fetch("nmnist", tmp_path)
