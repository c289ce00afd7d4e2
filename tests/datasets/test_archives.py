"""Archives from a server on this machine."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner

from delaytool.cli import main
from delaytool.datasets import archives
from delaytool.datasets.archives import ARCHIVES, Archive, fetch_archive
from delaytool.datasets.listings import list_recordings
from delaytool.errors import DataError


class Server:
    """Serves one archive, can end early, and notes where each request starts."""

    def __init__(self) -> None:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            for word in ("yes", "no"):
                for speaker in range(3):
                    content = hashlib.sha256(f"{word}{speaker}".encode()).digest() * 200
                    info = tarfile.TarInfo(f"./{word}/{speaker:08x}_nohash_0.wav")
                    info.size = len(content)
                    tar.addfile(info, io.BytesIO(content))
            for name, speaker in (("validation_list.txt", 1), ("testing_list.txt", 2)):
                content = "".join(f"{word}/{speaker:08x}_nohash_0.wav\n" for word in ("yes", "no")).encode()
                info = tarfile.TarInfo(f"./{name}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
        self.content = buffer.getvalue()
        self.most = len(self.content)
        self.ranges = True
        self.page = b""  # sent once in place of the archive
        self.page_headers: dict[str, str] = {}
        self.status = 200
        self.starts: list[int] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if server.status != 200:
                    self.send_error(server.status)
                    return
                if server.page:
                    self.send_response(200)
                    for header in server.page_headers.items():
                        self.send_header(*header)
                    self.end_headers()
                    self.wfile.write(server.page)
                    server.page = b""
                    return
                wanted = self.headers.get("Range")
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and server.ranges else 0
                server.starts.append(start)
                body = server.content[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: max(0, server.most - start)])

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    @property
    def archive(self) -> Archive:
        host, port = self.http.server_address[:2]
        sha256 = hashlib.sha256(self.content).hexdigest()
        return Archive(f"http://{host}:{port}/words.tar.gz", sha256, len(self.content), "CC0")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_an_archive_becomes_a_folder_of_recordings(server: Server, tmp_path: Path) -> None:
    calls: list[tuple[str, int, int]] = []
    fetch_archive(server.archive, tmp_path / "a" / "words", lambda *call: calls.append(call))
    assert sorted(entry.name for entry in (tmp_path / "a").iterdir()) == ["words"]
    listing = list_recordings(tmp_path / "a" / "words")
    assert listing is not None
    assert {part: len(some) for part, some in listing.parts.items()} == {"train": 2, "validation": 2, "test": 2}
    assert {what for what, _, _ in calls} == {"download of words.tar.gz", "unpacking words.tar.gz"}
    assert calls[-1][1] == calls[-1][2] == len(server.content)


def test_an_interrupted_download_goes_on(server: Server, tmp_path: Path) -> None:
    server.most = len(server.content) // 3
    with pytest.raises(DataError, match="could not be downloaded"):
        fetch_archive(server.archive, tmp_path / "words")
    assert (tmp_path / "words.tar.gz.part").stat().st_size == server.most
    server.most = len(server.content)
    fetch_archive(server.archive, tmp_path / "words")
    assert server.starts == [0, len(server.content) // 3]
    assert len(list((tmp_path / "words").rglob("*.wav"))) == 6


def test_a_server_without_ranges_starts_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "words.tar.gz.part").write_bytes(b"half of something")
    server.ranges = False
    fetch_archive(server.archive, tmp_path / "words")
    assert len(list((tmp_path / "words").rglob("*.wav"))) == 6


@pytest.mark.parametrize("headers", [{"Content-Length": "26"}, {"Content-Type": "text/html; charset=utf-8"}])
@pytest.mark.parametrize("begun", [0, 100])
def test_a_page_to_log_in_is_not_kept_as_the_archive(
    server: Server, tmp_path: Path, headers: dict[str, str], begun: int
) -> None:
    part = tmp_path / "words.tar.gz.part"
    if begun:
        part.write_bytes(server.content[:begun])
    server.page, server.page_headers = b"<html>please log in</html>", headers
    with pytest.raises(DataError, match=r"the server answers with (26 bytes|a page).*nothing of that was kept"):
        fetch_archive(server.archive, tmp_path / "words")
    assert (part.read_bytes() if part.exists() else b"") == server.content[:begun]
    fetch_archive(server.archive, tmp_path / "words")
    assert server.starts == [begun]
    assert len(list((tmp_path / "words").rglob("*.wav"))) == 6


def test_a_whole_archive_put_there_by_hand_needs_no_server(server: Server, tmp_path: Path) -> None:
    (tmp_path / "words.tar.gz.part").write_bytes(server.content)
    fetch_archive(replace(server.archive, url="http://127.0.0.1:9/words.tar.gz"), tmp_path / "words")
    assert server.starts == []
    assert (tmp_path / "words" / "yes").is_dir()


def test_another_checksum_is_refused(server: Server, tmp_path: Path) -> None:
    archive = server.archive
    server.content = bytes(reversed(server.content))
    with pytest.raises(DataError, match="published is"):
        fetch_archive(archive, tmp_path / "words")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "mine.txt").touch()
    with pytest.raises(DataError, match="not empty"):
        fetch_archive(server.archive, tmp_path / "words")
    assert server.starts == []


def test_a_server_that_refuses_is_named(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(DataError, match=r"127\.0\.0\.1.*404.*by hand"):
        fetch_archive(server.archive, tmp_path / "words")


def test_a_full_disk_is_refused_before_anything(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda place: type("Usage", (), {"free": 1000})())
    with pytest.raises(DataError, match="GB are free"):
        fetch_archive(server.archive, tmp_path / "words")
    assert server.starts == []


def test_the_verb_fetches_and_names_what_is_next(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ARCHIVES, "speech-commands", server.archive)
    result = CliRunner().invoke(main, ["data", "speech-commands", "-o", str(tmp_path / "sc")])
    assert result.exit_code == 0, result.output
    assert "license CC0" in result.output
    assert f"delaytool encode {tmp_path / 'sc'}" in result.output
    again = CliRunner().invoke(main, ["data", "speech-commands", "-o", str(tmp_path / "sc")])
    assert again.exit_code == 2
    assert "not empty" in again.output


def test_the_verb_takes_no_other_archive_for_the_published_one(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    official = replace(ARCHIVES["speech-commands"], size=len(server.content))
    monkeypatch.setitem(ARCHIVES, "speech-commands", official)
    result = CliRunner().invoke(
        main, ["data", "speech-commands", "-o", str(tmp_path / "sc"), "--url", server.archive.url]
    )
    assert result.exit_code == 2
    assert "published is af14739ee7dc" in result.output
