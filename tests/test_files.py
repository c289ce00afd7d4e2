"""Writing whole or not at all, flushed to the disk; outputs are checked before anything is computed."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from delaytool.errors import OutputError
from delaytool.files import (
    append_durably,
    atomic_path,
    require_writable_file,
    require_writable_folder,
    write_bytes_atomically,
    write_text_atomically,
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is flushed and renamed, in order."""
    made: list[str] = []
    fsync, replace = os.fsync, os.replace

    def flushed(handle: int) -> None:
        is_folder = os.path.samestat(os.fstat(handle), os.stat(tmp_path))
        made.append("flush folder" if is_folder else f"flush file of {os.fstat(handle).st_size}")
        fsync(handle)

    def renamed(source: object, target: object) -> None:
        made.append("rename")
        replace(source, target)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(os, "replace", renamed)
    return made


def test_a_file_is_flushed_before_its_name_and_the_folder_after(calls: list[str], tmp_path: Path) -> None:
    write_bytes_atomically(tmp_path / "a", b"12345")
    assert calls == ["flush file of 5", "rename", "flush folder"]
    assert (tmp_path / "a").read_bytes() == b"12345"


@pytest.mark.skipif(os.name == "nt", reason="Windows has other rights")
def test_it_has_the_users_usual_rights(tmp_path: Path) -> None:
    write_text_atomically(tmp_path / "a", "ä\n")
    (tmp_path / "b").write_text("b")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode
    assert (tmp_path / "a").read_bytes() == "ä\n".encode()


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("old")

    def writes_a_half() -> None:
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_text("ne")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writes_a_half()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        write_bytes_atomically(tmp_path / "a", b"new")
    assert caught.value.filename == str(tmp_path / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


def test_an_append_is_flushed_or_undone(calls: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append_durably(tmp_path / "a", b"one\n")
    append_durably(tmp_path / "a", b"two\n")
    assert calls == ["flush file of 4", "flush folder", "flush file of 8"]

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        append_durably(tmp_path / "a", b"three\n")
    assert (tmp_path / "a").read_bytes() == b"one\ntwo\n"


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place, words in (
        (tmp_path / "file", "this is a file; give a folder"),
        (tmp_path / "file" / "run", f"cannot be made, because {tmp_path / 'file'} is not a folder"),
        (Path("/proc/run"), "cannot be written"),
        (Path("/proc/1/a/b"), "cannot be written"),
    ):
        if "proc" in place.parts and not sys.platform.startswith("linux"):
            continue
        with pytest.raises(OutputError, match=words) as caught:
            require_writable_folder(place)
        assert str(place) in str(caught.value)
    with pytest.raises(OutputError, match="this is a folder; give the name of a file"):
        require_writable_file(tmp_path)
    require_writable_folder(tmp_path / "new" / "deeper")
    require_writable_file(tmp_path / "new.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="for root nothing is read-only")
def test_a_folder_without_the_right_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match=r"permission denied\); give a place where you may write"):
            require_writable_folder(tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """/dev/full takes no byte; a folder cannot be put there, so the probe's file is."""
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    code = """
        import builtins, sys
        from delaytool.files import require_writable_folder
        from delaytool.errors import OutputError

        real = builtins.open
        builtins.open = lambda name, mode: real("/dev/full" if "probe" in str(name) else name, mode.replace("x", "w"))
        try:
            require_writable_folder(sys.argv[1])
        except OutputError as error:
            print(error)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    reason, way_out = "no space left on device", "free space there, or give another place, and run again"
    assert found == f"{tmp_path}: cannot be written ({reason}); {way_out}\n"


@pytest.mark.parametrize(
    "write", [lambda path: require_writable_folder(path.parent), lambda path: _fail_to_write(path)]
)
def test_an_interruption_at_the_removal_leaves_nothing(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, interrupted = os.unlink, []

    def interrupt_once(path: Path, *arguments: object, **more: object) -> None:
        if not interrupted:
            interrupted.append(path)
            raise KeyboardInterrupt
        remove(path)

    monkeypatch.setattr(os, "unlink", interrupt_once)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "file")
    assert len(interrupted) == 1
    assert os.listdir(tmp_path) == []


def _fail_to_write(path: Path) -> None:
    with atomic_path(path):
        raise ValueError("what is written cannot be made")
