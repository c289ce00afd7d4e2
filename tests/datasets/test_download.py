"""fetch, from a server of this machine: no test touches the network."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from delaytool.datasets import default_root, download, fetch, load
from delaytool.datasets.spec import DOWNLOADS
from delaytool.errors import DataError, MissingExtraError

Writer = Callable[..., Path]


class Server:
    """Zipped HDF5 files on a local HTTP server. requests: the paths asked for; status: what it answers with."""

    def __init__(self, write: Writer, folder: Path) -> None:
        self.folder, self.requests, self.status, self.body = folder, [], 200, None
        self.sums = {}
        for name, splits in DOWNLOADS.items():
            for split in splits:
                file = write(f"made/{name}_{split}.h5")
                archive = folder / f"{file.name}.zip"
                with zipfile.ZipFile(archive, "w") as zipped:
                    zipped.write(file, file.name)
                self.sums[archive.name] = hashlib.md5(archive.read_bytes()).hexdigest()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests.append(self.path)
                self.send_response(server.status)
                content = (server.folder / Path(self.path).name).read_bytes()
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: server.body])

            def log_message(self, *arguments: object) -> None: ...

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}/datasets/"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    pytest.importorskip("pooch")
    (tmp_path / "server").mkdir()
    server = Server(write, tmp_path / "server")
    monkeypatch.setattr(download, "BASE_URL", server.url)
    monkeypatch.setattr(download, "MD5_SUMS", server.sums)
    yield server
    server.close()


@pytest.fixture
def no_pooch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)


def test_every_file_has_a_published_sum() -> None:
    names = {f"{name}_{split}.h5.zip" for name, splits in DOWNLOADS.items() for split in splits}
    assert set(download.MD5_SUMS) == names
    assert all(re.fullmatch("[0-9a-f]{32}", value) for value in download.MD5_SUMS.values())


def test_the_sums_are_those_of_tonic() -> None:
    datasets = pytest.importorskip("tonic.datasets")
    for archive, md5 in download.MD5_SUMS.items():
        name, split = archive.partition(".")[0].split("_")
        assert getattr(getattr(datasets, name.upper()), f"{split}_md5") == md5


@pytest.mark.parametrize(("name", "count"), [("shd", 2), ("ssc", 3)])
def test_downloads_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture, name: str, count: int) -> None:
    root = tmp_path / "root"
    folder = fetch(name, root)
    assert folder == root / name.upper()
    assert len(server.requests) == count
    assert capsys.readouterr().out == ""  # messages about downloads must not reach a program's output
    assert len(json.loads((folder / "delaytool-sha256.json").read_text())) == count
    assert not list(folder.glob(".*"))
    assert sorted(path.suffix for path in folder.iterdir()) == [".h5"] * count + [".json"]
    assert fetch(name, root) == folder
    assert len(server.requests) == count
    splits = load(name, root=root)
    assert len(splits.test) == 40


def test_cached_files_need_no_pooch(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch("shd", tmp_path / "root")
    monkeypatch.setitem(sys.modules, "pooch", None)
    fetch("shd", tmp_path / "root")


@pytest.mark.usefixtures("no_pooch")
def test_files_put_there_by_hand(write: Writer, tmp_path: Path) -> None:
    for split in ("train", "test"):
        write(f"root/SHD/shd_{split}.h5")
    folder = fetch("shd", tmp_path / "root")
    assert len(json.loads((folder / "delaytool-sha256.json").read_text())) == 2


@pytest.mark.usefixtures("no_pooch")
def test_a_half_file_put_there_by_hand(write: Writer, tmp_path: Path) -> None:
    path = write("root/SHD/shd_train.h5")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"shd_train.h5: not a whole HDF5 file; delete it"):
        fetch("shd", tmp_path / "root")
    assert not (path.parent / "delaytool-sha256.json").exists()


def test_a_changed_file_is_refused(server: Server, tmp_path: Path) -> None:
    file = fetch("shd", tmp_path / "root") / "shd_test.h5"
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    with pytest.raises(DataError, match=r"shd_test.h5: its SHA-256 .* it has changed"):
        fetch("shd", tmp_path / "root")
    file.unlink()
    fetch("shd", tmp_path / "root")  # the way out that the message names
    assert len(server.requests) == 3


@pytest.mark.usefixtures("no_pooch")
def test_without_pooch(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"put shd_train.h5 into .*SHD by hand.*\[datasets\]"):
        fetch("shd", tmp_path)


@pytest.mark.parametrize("fault", ["no server", "404", "cut short"])
def test_a_failed_download(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    if fault == "no server":
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            monkeypatch.setattr(download, "BASE_URL", f"http://127.0.0.1:{unused.getsockname()[1]}/datasets/")
    server.status = 404 if fault == "404" else 200
    server.body = 100 if fault == "cut short" else None
    with pytest.raises(DataError, match=r"could not download http://127.0.0.1:\d+/datasets/shd_train.h5.zip") as caught:
        fetch("shd", tmp_path / "root")
    assert f"put shd_train.h5 into {tmp_path / 'root' / 'SHD'}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "root" / "SHD").iterdir())
    monkeypatch.setattr(download, "BASE_URL", server.url)
    server.status, server.body = 200, None
    fetch("shd", tmp_path / "root")


def test_a_changed_archive_is_refused(server: Server, tmp_path: Path) -> None:
    (server.folder / "shd_train.h5.zip").write_bytes(b"no zip")
    with pytest.raises(DataError, match=r"could not download .*hash"):
        fetch("shd", tmp_path / "root")
    assert not list((tmp_path / "root" / "SHD").iterdir())


def test_a_download_leaves_the_socket_timeout_alone(server: Server, tmp_path: Path) -> None:
    before = socket.getdefaulttimeout()
    fetch("shd", tmp_path / "root")
    assert socket.getdefaulttimeout() == before


def test_a_root_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="set DELAYTOOL_DATA to a folder that can"):
        fetch("shd", tmp_path / "file")


@pytest.mark.parametrize("text", ["{", "[]", '{"shd_train.h5": 3}'])
def test_an_unreadable_list_of_checksums(server: Server, tmp_path: Path, text: str) -> None:
    sums = fetch("shd", tmp_path / "root") / "delaytool-sha256.json"
    sums.write_text(text)
    with pytest.raises(DataError, match="delete it to record them anew"):
        fetch("shd", tmp_path / "root")


def test_root_from_the_environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
