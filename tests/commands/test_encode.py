"""`delaytool encode`: recordings to a file that can be trained on, interrupted and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import chirps
import h5py
import pytest

from delaytool.contract.ear import Ear, EarModel
from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.ear import spike_file
from delaytool.datasets.recordings import Recording, read_sound
from delaytool.inference.encoders import encoder_for
from delaytool.inference.listen import Listener
from delaytool.inference.predict import predict
from delaytool.trainer.checkpoint import Checkpoint

pytest.importorskip("scipy")
EAR = ["--channels", "20", "--processes", "1"]


def test_a_folder_is_encoded_beside_its_recordings(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = chirps.speech_folder(tmp_path / "speech")
    monkeypatch.chdir(folder)
    result = call("encode", ".", "-o", ".", *EAR)
    assert result.exit_code == 0, result.output
    assert {"test.h5", "train.h5", "valid.h5"} < {path.name for path in folder.iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["speech"]


def test_official_lists_make_a_file_per_part(call: Callable[..., Any], tmp_path: Path) -> None:
    folder = chirps.speech_folder(tmp_path / "speech")
    (folder / "maybe").mkdir()
    refused = call("encode", folder, "-o", tmp_path / "one.h5", *EAR)
    assert refused.exit_code == 2
    assert f"-o {tmp_path / 'one'}" in refused.output
    result = call("encode", folder, "-o", tmp_path / "spikes", *EAR)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in (tmp_path / "spikes").iterdir()) == ["test.h5", "train.h5", "valid.h5"]
    assert "train.h5: 16 recordings, 4 classes, 4 speakers" in result.output
    assert "no class is made of maybe" in " ".join(result.output.split())
    assert f"next: delaytool train shd-2l-1kc --data {tmp_path / 'spikes'}\n" in result.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["speech", "spikes"]
    again = call("encode", folder, "-o", tmp_path / "spikes", *EAR)
    assert again.exit_code == 2
    assert "already there" in again.output


def test_the_next_command_works_where_the_presets_channels_do_not_come_out_even(
    call: Callable[..., Any], tmp_path: Path
) -> None:
    for word, tone in (("low", 300), ("high", 2000)):
        for speaker in range(3):
            chirps.write_chirp(tmp_path / "words" / word / f"{speaker}_nohash_0.wav", tone, tone, 0.1)
    file = tmp_path / "words.h5"
    result = call("encode", tmp_path / "words", "-o", file, "--channels", "6", "--processes", "1")
    following = f"train shd-2l-1kc --data {file} --set data.channel_bins=1"
    assert f"next: delaytool {following}\n" in result.output
    small = ["--set", "model.hidden=[4]", "--set", "trainer.epochs=1"]
    result = call(*following.split(), *small, "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output


def test_parts_that_an_interrupted_command_made_are_not_made_again(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = chirps.speech_folder(tmp_path / "speech")
    write, parts = spike_file.write_spike_file, []

    def stop_at_validation(path: Path, listing: Any, part: str, *arguments: Any, **options: Any) -> None:
        parts.append(part)
        if parts == ["train", "validation"]:
            raise KeyboardInterrupt
        write(path, listing, part, *arguments, **options)

    monkeypatch.setattr(spike_file, "write_spike_file", stop_at_validation)
    stopped = call("encode", folder, "-o", tmp_path / "spikes", *EAR)
    assert stopped.exit_code == 130
    assert not (tmp_path / "spikes").exists() or not list((tmp_path / "spikes").iterdir())
    result = call("encode", folder, "-o", tmp_path / "spikes", *EAR)
    assert result.exit_code == 0, result.output
    assert parts == ["train", "validation", "validation", "test"]
    assert sorted(path.name for path in (tmp_path / "spikes").iterdir()) == ["test.h5", "train.h5", "valid.h5"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["speech", "spikes"]


def test_what_it_writes_can_be_trained_on(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DELAYTOOL_DATA", str(tmp_path / "cache"))
    for word, tone in (("low", 300), ("high", 2000)):
        for speaker in range(5):
            chirps.write_chirp(tmp_path / "words" / word / f"{speaker}_nohash_0.wav", tone, tone, 0.1)
    result = call("encode", tmp_path / "words", "-o", tmp_path / "words.h5", *EAR)
    assert result.exit_code == 0, result.output
    with h5py.File(tmp_path / "words.h5") as file:
        assert len(file["labels"]) == 10
    small = ["--set", "model.hidden=[8]", "--set", "trainer.epochs=1", "--set", "trainer.batch_size=4"]
    result = call(
        "train", "shd-2l-1kc", "--data", tmp_path / "words.h5", "-o", tmp_path / "run", *small,
        "--set", "data.channel_bins=1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    result = call(
        "train", "ten-commands-ear", "--data", tmp_path / "words", "-o", tmp_path / "causal", *small,
        "--set", "data.ear=causal", "--set", "data.n_units=20", "--set", "data.channel_bins=1",
        "--set", "data.classes=none",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    for arguments in (
        ["export", tmp_path / "causal", "--target", "ideal"],
        ["verify", tmp_path / "causal" / "network-ideal.h5", "--data", "recorded", "--no-drop"],
    ):
        result = call(*arguments)
        assert result.exit_code == 0, result.output
    assert "2 samples" in result.output  # the speaker that nothing was learned from
    network = IntegerNetwork.load(tmp_path / "causal" / "network-ideal.h5")
    assert network.encoding.ear == Ear(EarModel(n_channels=20, causal=True), 16000)
    recording = tmp_path / "words" / "low" / "1_nohash_0.wav"
    (whole,) = predict(network, recording)
    listener = Listener(network, encoder_for(network.encoding, 16000))
    sound, _ = read_sound(Recording(recording, 0, None), None)
    for at in range(0, sound.size, 160):
        listener.push(sound[at : at + 160])
    assert listener.finish()[-1].scores.tolist() == whole.scores.tolist()
    # The file of spikes says which ear made it, so a network trained on that knows, too.
    assert Checkpoint.load(tmp_path / "run" / "best.pt").encoding.ear == Ear(EarModel(n_channels=20), 16000)
    shown = call("show", tmp_path / "causal" / "network-ideal.h5", "--json")
    assert json.loads(shown.output)["input"]["ear"] == {
        "form": "causal", "sample_rate": 16000, "version": 1, "n_channels": 20,
    }  # fmt: skip


def test_a_folder_without_recordings_is_refused(call: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = call("encode", tmp_path / "empty", "-o", tmp_path / "a.h5")
    assert result.exit_code == 2
    assert "no .wav or .flac" in result.output


def group_members(group: int) -> list[int]:
    """Processes of a process group that have not ended."""
    members = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, process_group = status.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has just ended
            continue
        if int(process_group) == group and state != "Z":
            members.append(int(status.parent.name))
    return members


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="process groups are read from /proc")
def test_ctrl_c_ends_every_process_and_the_same_command_goes_on(tmp_path: Path) -> None:
    for word, tone in (("low", 300), ("high", 2000)):
        for speaker in range(40):
            chirps.write_chirp(tmp_path / "words" / word / f"{speaker:02d}_nohash_0.wav", tone, tone, 1.0)
    command = [
        sys.executable, "-m", "delaytool", "encode", str(tmp_path / "words"), "-o", str(tmp_path / "a.h5"),
        "--channels", "80", "--processes", "2",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 300
    while not list(tmp_path.glob("a.h5.unfinished/*/block-*.npz")):
        assert process.poll() is None, process.stderr
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "give the same command again" in errors
    assert "Traceback" not in errors
    while group_members(process.pid):
        assert time.monotonic() < deadline, group_members(process.pid)
        time.sleep(0.05)
    assert not (tmp_path / "a.h5").exists()
    done = list(tmp_path.glob("a.h5.unfinished/*/block-*.npz"))
    assert 0 < len(done) < 5
    result = subprocess.run([*command[:-1], "1"], capture_output=True, text=True, timeout=600)
    assert result.returncode == 0, result.stderr
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(file["labels"]) == 80
    assert not (tmp_path / "a.h5.unfinished").exists()
