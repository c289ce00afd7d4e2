"""`delaytool predict`: files, and what is piped into it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from inference_networks import NAMES, network_of, sound_encoding

from delaytool.cli import main
from delaytool.contract.ear import Ear, EarModel
from delaytool.contract.encoding import InputEncoding
from delaytool.errors import DataError
from delaytool.inference.byte_streams import Pcm, event_decisions, event_portions
from delaytool.inference.encoders import EventEncoder
from delaytool.inference.listen import Listener

Done = subprocess.CompletedProcess[bytes]


def predict(*arguments: object, given: bytes = b"") -> Done:
    command = ["predict", *map(str, arguments)]
    stream = io.BufferedReader(io.BytesIO(given))
    result = CliRunner().invoke(main, command, input=stream, prog_name="delaytool")
    return Done(command, result.exit_code, result.stdout_bytes, result.stderr_bytes)


def predict_in_a_pipe(*arguments: object, given: bytes) -> Done:
    """By a process of its own, as a user starts it."""
    command = [sys.executable, "-m", "delaytool", "predict", *map(str, arguments)]
    return subprocess.run(command, input=given, capture_output=True, timeout=300, check=False)


def lines(done: Done) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


@pytest.fixture
def sound_file(tmp_path: Path) -> Path:
    pytest.importorskip("scipy")
    path = tmp_path / "sound.h5"
    network_of(sound_encoding(), seed=5).save(path)
    return path


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Half a second at 16 kHz, 16 bits."""
    soundfile = pytest.importorskip("soundfile")
    rng = np.random.default_rng(1)
    time = np.arange(8000) / 16000
    sound = 0.4 * np.sin(2 * np.pi * (400 + 3000 * time) * time) + 0.02 * rng.standard_normal(8000)
    path = tmp_path / "word.wav"
    soundfile.write(str(path), sound, 16000, subtype="PCM_16")
    return path


def raw(path: Path) -> bytes:
    """What `arecord -t raw -f S16_LE` or `sox FILE -t raw` writes of a WAV file."""
    with wave.open(str(path)) as file:
        return file.readframes(file.getnframes())


def test_a_piped_recording_gets_the_decision_of_the_file(sound_file: Path, recording: Path) -> None:
    (whole,) = json.loads(predict(sound_file, recording, "--json").stdout)["predictions"]
    for arguments, given in ((["--rate", 16000], raw(recording)), ([], recording.read_bytes())):
        decisions = lines(predict_in_a_pipe(sound_file, "--stream", "--json", *arguments, given=given))
        assert [one["final"] for one in decisions] == [False] * 5 + [True]
        final = decisions[-1]
        assert final["class"] == whole["class"]
        assert final["scores"] == whole["scores"]
        assert final["margin"] == whole["margin"]
        for one in decisions:
            assert one["latency_ms"] > 16  # half a transform of 256 samples at 8 kHz, before anything is computed
            assert one["ms_per_step"] > 0
            assert one["real_time_factor"] == pytest.approx(one["ms_per_step"] / 10)


def test_a_stream_is_shown_within_80_columns(sound_file: Path, recording: Path) -> None:
    done = predict(sound_file, "--stream", "--every", "250", given=recording.read_bytes())
    assert done.returncode == 0, done.stderr.decode()
    text = done.stdout.decode().splitlines()
    assert text[0] == "a decision every 0.25 s; a step is 10 ms, known 16.8 ms after its end"
    assert [line.split()[0] for line in text[2:5]] == ["0.25", "0.50", "0.64"]
    (whole,) = json.loads(predict(sound_file, recording, "--json").stdout)["predictions"]
    assert text[5] == f"final: {whole['class']}, margin {whole['margin']:.3f}"
    assert text[6].startswith("64 steps, ")
    assert all(len(line) <= 80 for line in text)
    quiet = predict(sound_file, "--stream", "-q", given=recording.read_bytes())
    assert quiet.stdout.decode() == f"{whole['class']}  {whole['margin']:.3f}\n"
    assert quiet.stderr == b""


def test_a_recording_and_its_stream_go_through_the_causal_ear(tmp_path: Path, recording: Path) -> None:
    pytest.importorskip("scipy")
    ear = Ear(EarModel(n_channels=16, causal=True), 8000)  # not the recording's rate
    network_of(InputEncoding(16, start="zero", max_count=20, n_steps=60, ear=ear), seed=5).save(tmp_path / "live.h5")
    (whole,) = json.loads(predict(tmp_path / "live.h5", recording, "--json").stdout)["predictions"]
    for arguments, given in ((["--rate", 16000], raw(recording)), ([], recording.read_bytes())):
        decisions = lines(predict(tmp_path / "live.h5", "--stream", "--json", *arguments, given=given))
        assert [one["final"] for one in decisions] == [False] * 5 + [True]
        for name in ("class", "scores", "margin"):
            assert decisions[-1][name] == whole[name]
        assert len({tuple(one["scores"].values()) for one in decisions}) == 6
        assert all(one["latency_ms"] > 0.5 for one in decisions)
    shown = predict(tmp_path / "live.h5", "--stream", given=recording.read_bytes())
    assert shown.stdout.decode().startswith("a decision every 0.1 s; a step is 10 ms, known 1.3 ms after its end\n")
    assert shown.stderr.decode() == "preparing the ear, which takes seconds\n"
    no_rate = predict(tmp_path / "live.h5", "--stream", given=raw(recording))
    assert no_rate.returncode == 2
    assert "raw samples do not state their rate" in no_rate.stderr.decode()
    # Spikes that are ready are still read.
    assert len(lines(predict(tmp_path / "live.h5", "--stream", "--json", given=b"0.01 3\n0.35 4\n"))) == 4


def test_the_ear_of_whole_recordings_cannot_stream(tmp_path: Path, recording: Path) -> None:
    pytest.importorskip("scipy")
    ear = Ear(EarModel(n_channels=16), 16000)
    network_of(InputEncoding(16, start="zero", max_count=20, n_steps=60, ear=ear), seed=5).save(tmp_path / "net.h5")
    both = [json.loads(predict(tmp_path / "net.h5", recording, "--json").stdout) for _ in range(2)]
    assert both[0] == both[1]
    assert any(both[0]["predictions"][0]["scores"].values())
    for arguments, given in ((["--rate", 16000], raw(recording)), ([], recording.read_bytes())):
        refused = predict(tmp_path / "net.h5", "--stream", *arguments, given=given)
        assert refused.returncode == 2
        assert refused.stdout == b""
        assert "train one on those of the causal ear: --set data.ear=causal" in refused.stderr.decode()
        assert len(refused.stderr.decode().splitlines()) == 1
    assert len(lines(predict(tmp_path / "net.h5", "--stream", "--json", given=b"0.01 3\n0.35 4\n"))) == 4


def test_what_cannot_keep_up_is_warned_of(tmp_path: Path) -> None:
    """A step of a microsecond is shorter than any machine's."""
    path = tmp_path / "network.h5"
    network_of(InputEncoding(40, channel_bins=2, max_count=3, n_steps=30, time_step_ms=0.001)).save(path)
    done = predict(path, "--stream", "--every", "0.01", given=b"0 1\n0.00005 2\n")
    assert done.returncode == 0
    assert done.stderr.decode().count("longer than it lasts") == 1
    assert "cannot keep up" in done.stdout.decode()


def test_piped_events_get_the_decision_of_the_file(tmp_path: Path) -> None:
    network_of(InputEncoding(40, channel_bins=2, max_count=3, n_steps=30)).save(tmp_path / "network.h5")
    rng = np.random.default_rng(7)
    times, units = np.sort(rng.uniform(0.4, 0.65, 200)).astype(np.float32), rng.integers(0, 40, 200)
    with h5py.File(tmp_path / "events.h5", "w") as file:
        file["labels"] = [2]
        for name, values in (("times", times), ("units", units)):
            file.create_dataset(f"spikes/{name}", (1,), dtype=h5py.vlen_dtype(values.dtype))
            file[f"spikes/{name}"][0] = values
    (whole,) = json.loads(predict(tmp_path / "network.h5", tmp_path / "events.h5", "--json").stdout)["predictions"]
    assert whole["true_class"] == NAMES[2]
    text = "# time unit\n" + "".join(f"{time} {unit}\n" for time, unit in zip(times, units, strict=True))
    decisions = lines(predict_in_a_pipe(tmp_path / "network.h5", "--stream", "--json", given=text.encode()))
    assert decisions[-1]["scores"] == whole["scores"]
    assert len(decisions) >= 3
    later = lines(predict(tmp_path / "network.h5", "--stream", "--json", given=f"{text}{times[-1] + 2}\n".encode()))
    assert len(later) == len(decisions) + 20  # time alone passes, too
    table = predict(tmp_path / "network.h5", tmp_path / "events.h5").stdout.decode()
    assert table.split("\n")[0].split() == ["input", "class", "margin", "labeled"]
    assert table.split("\n")[1].split()[1:] == [whole["class"], f"{whole['margin']:.3f}", NAMES[2]]


def test_faults_are_one_line(tmp_path: Path, sound_file: Path, recording: Path) -> None:
    network_of(InputEncoding(40, channel_bins=2, max_count=3, n_steps=30)).save(tmp_path / "network.h5")
    stereo = io.BytesIO()
    with wave.open(stereo, "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(400))
    for arguments, given, words in (
        ([sound_file, "--stream"], b"\0" * 100, "raw samples do not state their rate"),
        ([sound_file, "--stream", "--rate", 8000], recording.read_bytes(), "at 16000 Hz, but --rate 8000"),
        ([sound_file, "--stream"], stereo.getvalue(), "16 bits and 2 channel(s), format 1"),
        ([sound_file, "--stream"], b"RIFF\0\0\0\0WAVE", "ends before its sound"),
        ([sound_file, "--stream"], b"RIFF\0\0\0\0WAV_", "not a readable WAV file"),
        ([tmp_path / "network.h5", "--stream"], b"0.1 2\n0.2 x\n", "line 2: '0.2 x' is not `time unit`"),
        ([tmp_path / "network.h5", "--stream"], b"# x\n0.1 40\n", "error: events, line 2: unit 40 is outside 0..39"),
        ([tmp_path / "network.h5", "--stream"], b"0.1 " + b"9" * 30, "line 1: unit 999999999999999999999999999999 is"),
        ([tmp_path / "network.h5", "--stream"], b"0.1 4\n-0.2 3\n", "line 2: time -0.2 is not a finite, non-negative"),
        ([tmp_path / "network.h5", "--stream"], b"0.1 4\n1e400\n", "line 2: time inf is not a finite, non-negative"),
        ([tmp_path / "network.h5", "--stream"], b"0.1 4\n0\n9e3 4\n", "line 2: time 0 s comes after 0.1 s"),
        ([tmp_path / "network.h5", "--stream"], b"0.1 4\n9e3 4\n", "line 2: 8999.9 s pass before time 9000 s"),
        ([tmp_path / "network.h5", "--stream"], b"", "standard input: no event came"),
        ([tmp_path / "network.h5", "--stream"], b"# nothing\n\n", "standard input: no event came"),
        ([tmp_path / "network.h5", "--stream", "--rate", 8000], b"", "--rate is for sound"),
        ([tmp_path / "network.h5"], b"", "give an INPUT, or --stream"),
        ([tmp_path / "network.h5", "x.h5", "--rate", 1], b"", "--rate belongs to --stream"),
        ([tmp_path / "network.h5", "x.h5", "--stream"], b"", "leave out INPUT"),
        ([tmp_path / "network.h5", "x\x1b[2J.h5"], b"", "x\\x1b[2J.h5: no such file"),
        ([recording, recording], b"", "word.wav"),
    ):
        done = predict(*arguments, given=given)
        assert done.returncode == 2, arguments
        assert words in done.stderr.decode(), done.stderr.decode()
        assert "Traceback" not in done.stderr.decode()
        assert b"\x1b" not in done.stderr


class Dribbling(io.BytesIO):
    """A pipe whose writer writes three bytes at a time."""

    def read1(self, size: int | None = -1) -> bytes:
        return super().read(3)


@pytest.mark.parametrize("start", ["zero", "first-spike"])
@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b"0.5\n0.3 4\n", "events, line 2: time 0.3 s comes after 0.5 s"),
        (b"0.5\n0.3\n", "events, line 2: time 0.3 s comes after 0.5 s"),
        (b"0.1 1\n0.5\n0.3\n0.6 4\n", "events, line 3: time 0.3 s comes after 0.5 s"),
        (b"0.1 1\n3000\n6000 2\n", None),  # a gap of 6000 s would be too long, two of 3000 s are not
    ],
)
def test_the_order_of_lines_counts_however_the_pipe_is_cut(start: str, text: bytes, fault: str | None) -> None:
    network = network_of(InputEncoding(40, channel_bins=2, max_count=3, n_steps=30, start=start, time_step_ms=1000.0))
    found = []
    for file in (io.BytesIO(text), Dribbling(text)):
        listener = Listener(network, EventEncoder(network.encoding), every=500)
        try:
            decisions = [one.scores.tolist() for some in event_decisions(listener, file) for one in some]
        except DataError as error:
            found.append(str(error).partition(";")[0])
        else:
            found.append(decisions + [one.scores.tolist() for one in listener.finish()])
    assert found[0] == found[1]
    assert found[0] == fault if fault else isinstance(found[0], list)


def test_samples_and_lines_that_are_cut_anywhere() -> None:
    text = b"0.5 1\n\n# nothing\n0.75 2\n1.5\n2 3"
    for file in (io.BytesIO(text), Dribbling(text)):
        parts = list(event_portions(file, 4))
        assert np.concatenate([times for times, units, _ in parts if units.size]).tolist() == [0.5, 0.75, 2]
        assert np.concatenate([units for _, units, _ in parts]).tolist() == [1, 2, 3]
        assert [times.tolist() for times, units, _ in parts if not units.size] == [[1.5]]
        assert [number for _, _, numbers in parts for number in numbers] == [1, 4, 5, 6]
    with pytest.raises(DataError, match="line 1: over 4096 bytes"):
        list(event_portions(io.BytesIO(b"1" * 70_000), 4))
    sound = Pcm(io.BytesIO(np.array([0, 16384, -32768], "<i2").tobytes() + b"\1"), 8000)
    assert [portion.tolist() for portion in sound.portions(2)] == [[0.0, 0.5], [-1.0]]
    for size in (0, 0x7FFFFFFF, 0xFFFFFFFF):  # what programs write that do not know how long it will be
        written = io.BytesIO()
        with wave.open(written, "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(b"\0\1" * 5)
        content = bytearray(written.getvalue())
        content[4:8] = content[40:44] = size.to_bytes(4, "little")
        known = Pcm(io.BytesIO(written.getvalue() + b"LIST\4\0\0\0abcd"), None)  # what follows the sound is none
        assert sum(portion.size for portion in known.portions(2)) == 5
        read = [portion.size for portion in Pcm(io.BytesIO(bytes(content)), None).portions(2)]
        assert sum(read) == 5, size
    empty = Pcm(io.BytesIO(b""), 8000)
    with pytest.raises(DataError, match="no sound came"):
        list(empty.portions(2))
