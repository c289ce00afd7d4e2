"""Every kind of file that is read: how one is made, how it is damaged, and what reading it gives.

A probe runs in a forked child, in a folder of its own that holds the damaged file. It returns (exit code, answer): the
answer names what was read, so that it can be compared with what the undamaged file gives; None where the exit code says
all. Most probes are the commands that a user types.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from campaign import damage
from campaign.damage import Damage
from campaign.generator import random_case
from campaign.package import frames_of, network_of

from delaytool import datasets
from delaytool.cli import main
from delaytool.datasets.recordings import Recording, read_sound
from delaytool.errors import DelaytoolError
from delaytool.network import InputEncoding, IntegerNetwork
from delaytool.report.run_record import RunRecord
from delaytool.runtime.stream import Stream
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.recipe import load_recipe
from delaytool.trainer.run_folder import RunFolder

Answer = tuple[int, str | None]

PASS, FAIL, REFUSED, UNJUDGED = 0, 1, 2, 4
NEVER, BYTES, ALL = "never", "bytes", "all"


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    name      what tables call it
    file      the file that is damaged, within the folder that `make` fills
    damages   what may be done to it, each as likely as another
    probe     () -> (exit code, answer), run in the damaged folder
    codes     exit codes that damage may end with
    exact     damage after which another answer is a wrong load: 'bytes' (of bytes), 'all', or 'never' where the file is
              its user's own and says what it says
    share     how often it is drawn, against the others
    """

    name: str
    make: Callable[[Path, Path], None]
    file: str
    damages: tuple[Damage, ...]
    probe: Callable[[], Answer]
    share: float
    codes: tuple[int, ...] = (PASS, REFUSED)
    exact: str = NEVER


def command(*arguments: str) -> int:
    """Run a delaytool command in this process; its exit code."""
    try:
        main.main(args=list(arguments), prog_name="delaytool")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _read(read: Callable[[], str | None]) -> Answer:
    """A reader of the package, with the exit code that the command line makes of its errors."""
    try:
        return PASS, read()
    except DelaytoolError as error:
        print(f"error: {error}")
        return error.exit_code, None


def _digest(*parts: Any) -> str:
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            sha.update(f"{part.dtype} {part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        else:
            sha.update(repr(part).encode())
    return sha.hexdigest()[:16]


def digest_of_network(network: IntegerNetwork) -> str:
    """Of all that decides what a network computes and how frames and classes are made."""
    parts: list[Any] = [network.encoding, network.readout, network.n_steps]
    for layer in network.layers:
        parts += [layer.n_neurons, layer.du, layer.dv, layer.threshold, layer.bias_exponent, layer.bias_mantissa]
        for group in layer.synapses:
            parts += [group.source, group.shape, group.exponent, type(group).__name__]
            parts += [getattr(group, name) for name in ("target", "pre", "weight", "delay") if hasattr(group, name)]
    return _digest(*parts)


# What the files are made of: one small run, trained and exported once for the whole campaign.
def make_run(folder: Path) -> None:
    """The run that files are taken from: folder/run, with networks, checkpoints and a netx file."""
    run = folder / "run"
    sizes = ["--set", "model.hidden=[12]", "--set", "trainer.epochs=1"]
    for arguments in (
        ["train", "digits", "-o", str(run), *sizes],
        ["export", str(run), "--target", "loihi2"],
        ["export", str(run), "--target", "loihi2-netx", "-o", str(run / "netx.h5")],
    ):
        code = command(*arguments)
        assert code == 0, f"delaytool {' '.join(arguments)} ended with exit code {code}"
    shutil.rmtree(run / "tensorboard", ignore_errors=True)


def _taken(*names: str) -> Callable[[Path, Path], None]:
    def make(base: Path, folder: Path) -> None:
        for name in names:
            shutil.copy(base / "run" / name, folder / name)

    return make


def _whole_run(base: Path, folder: Path) -> None:
    shutil.copytree(base / "run", folder / "run")


def _probe_network() -> Answer:
    return _read(lambda: digest_of_network(IntegerNetwork.load("network-loihi2.h5")))


def _probe_verify() -> Answer:
    arguments = ("network-loihi2.h5", "--samples", "2", "--no-drop", "--json")
    return command("verify", *arguments), None


def _probe_netx() -> Answer:
    code = command("import", "netx.net", "-o", "out.h5")
    if code:
        assert not Path("out.h5").exists(), "the import was refused and wrote a network"
        return code, None
    return code, digest_of_network(IntegerNetwork.load("out.h5"))


def _probe_checkpoint() -> Answer:
    def read() -> str:
        checkpoint = Checkpoint.load("best.pt")
        state = checkpoint.network().state_dict()
        return _digest(checkpoint.recipe.model_dump_json(), checkpoint.encoding, checkpoint.epoch, checkpoint.sigma,
                       *(part.numpy() for part in state.values()))  # fmt: skip

    return _read(read)


def _probe_export() -> Answer:
    code = command("export", "run", "--calibration-samples", "4", "-o", "out.h5")
    assert code == 0 or not Path("out.h5").exists(), "the export was refused and wrote a network"
    return code, None


def _probe_resume() -> Answer:
    return command("train", "--resume", "run"), None


def _probe_record() -> Answer:
    def read() -> str:
        folder = RunFolder("run")
        record = RunRecord.read(Path("run"))
        return _digest(record.recipe, record.metrics, record.summary, record.environment, record.best_epoch,
                       folder.read_metrics(), folder.read_summary(), folder.read_environment())  # fmt: skip

    return _read(read)


def _probe_report() -> Answer:
    return command("report", "run", "-o", "page.html", "--samples", "2"), None


def _make_events(base: Path, folder: Path) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(folder / "events.h5", "w") as file:
        floats, integers = h5py.vlen_dtype(np.float32), h5py.vlen_dtype(np.uint16)
        times = file.create_dataset("spikes/times", (12,), floats)
        units = file.create_dataset("spikes/units", (12,), integers)
        for sample in range(12):
            count = int(rng.integers(3, 40))
            times[sample], units[sample] = np.sort(rng.random(count)).astype(np.float32), rng.integers(0, 700, count)
        file["labels"] = np.arange(12) % 3
        file["extra/speaker"] = np.arange(12) % 4
        file.create_dataset("extra/keys", data=np.array([b"one", b"two", b"three"], "S8"))
        file.attrs["n_units"] = 700


def _probe_events() -> Answer:
    def read() -> str:
        events = datasets.read_file("events.h5")
        encoding = datasets.resolve_encoding(_encoding(events.n_units), events)
        return _digest(events.times, events.units, events.labels, datasets.frames_of(events, encoding))

    return _read(read)


def _encoding(n_units: int) -> InputEncoding:
    return InputEncoding(n_units, time_step_ms=10.0)


def _make_wav(base: Path, folder: Path) -> None:
    import soundfile

    sound = 0.3 * np.sin(np.arange(4000) / 5)
    soundfile.write(str(folder / "sound.wav"), sound, 16000, subtype="PCM_16")


def _probe_wav() -> Answer:
    def read() -> str:
        sound, rate = read_sound(Recording(Path("sound.wav"), 0, 0), None)
        from delaytool.datasets.mel import MELS, mel_frames

        return _digest(mel_frames(sound, rate, MELS["hd"], 10.0))

    return _read(read)


def _make_toml(base: Path, folder: Path) -> None:
    shutil.copy(base / "run" / "recipe.toml", folder / "recipe.toml")
    (folder / "other.toml").write_text("extends = 'recipe.toml'\nseed = 1\n")


def _probe_recipe() -> Answer:
    return _read(lambda: load_recipe("recipe.toml").model_dump_json() + load_recipe("other.toml").model_dump_json())


def _probe_train() -> Answer:
    small = ["--set", "trainer.epochs=1", "--set", "trainer.threads=1"]
    code = command("train", "recipe.toml", "-o", "out", *small)
    return code, None


def _make_stream(base: Path, folder: Path) -> None:
    seed = next(seed for seed in range(1000) if _is_lively(seed))
    network = network_of(random_case(seed)[0])
    network.save(folder / "network.h5")
    stream = Stream(network)
    for frame in _stream_frames(seed)[:3]:
        stream.step(frame)
    stream.save(folder / "state.npz")
    np.save(folder / "frames.npy", _stream_frames(seed))


def _stream_frames(seed: int) -> np.ndarray:
    description, frames = random_case(seed)
    return frames_of(description, frames)[0]


def _is_lively(seed: int) -> bool:
    """Several layers, a delay of some steps, and enough frames."""
    description, frames = random_case(seed)
    if len(description.layers) < 2 or len(frames[0]) < 10:
        return False
    try:
        return 5 <= network_of(description).max_delay <= 62
    except DelaytoolError:
        return False


def _probe_stream() -> Answer:
    def read() -> str:
        stream = Stream(IntegerNetwork.load("network.h5"))
        stream.load("state.npz")
        frames = np.load("frames.npy")
        steps = [stream.step(frames[step % len(frames)]) for step in range(3, 3 + 2 * len(frames))]
        return _digest(*(step.readout for step in steps), *(np.concatenate(step.spikes) for step in steps))

    return _read(read)


HDF5 = (damage.damage_bytes, damage.damage_hdf5)
JSON = (damage.damage_bytes, damage.damage_json)
NPZ = (damage.damage_bytes, damage.damage_npz)
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("network", _taken("network-loihi2.h5"), "network-loihi2.h5", HDF5, _probe_network, 30, exact=ALL),
        Kind("network, verified", _taken("network-loihi2.h5"), "network-loihi2.h5", HDF5, _probe_verify, 5,
             codes=(PASS, REFUSED, UNJUDGED)),
        Kind("netx", _taken("netx.net"), "netx.net", HDF5, _probe_netx, 16),
        Kind("checkpoint", _taken("best.pt"), "best.pt", (damage.damage_bytes, damage.damage_checkpoint),
             _probe_checkpoint, 12, exact=BYTES),
        Kind("checkpoint, exported", _whole_run, "run/best.pt", (damage.damage_checkpoint,), _probe_export, 2),
        Kind("checkpoint, resumed", _whole_run, "run/last.pt", (damage.damage_checkpoint,), _probe_resume, 2),
        Kind("summary", _whole_run, "run/summary.json", JSON, _probe_record, 2),
        Kind("metrics", _whole_run, "run/metrics.jsonl", JSON, _probe_record, 2),
        Kind("environment", _whole_run, "run/environment.json", JSON, _probe_record, 1),
        Kind("summary, reported", _whole_run, "run/summary.json", (damage.damage_json,), _probe_report, 0.7),
        Kind("metrics, reported", _whole_run, "run/metrics.jsonl", (damage.damage_json,), _probe_report, 0.7),
        Kind("environment, reported", _whole_run, "run/environment.json", (damage.damage_json,), _probe_report, 0.4),
        Kind("events", _make_events, "events.h5", HDF5, _probe_events, 12),
        Kind("wav", _make_wav, "sound.wav", (damage.damage_bytes, damage.damage_wav), _probe_wav, 8),
        Kind("recipe", _make_toml, "recipe.toml", (damage.damage_bytes, damage.damage_toml), _probe_recipe, 10),
        Kind("recipe, trained", _make_toml, "recipe.toml", (damage.damage_toml,), _probe_train, 2),
        Kind("stream", _make_stream, "state.npz", NPZ, _probe_stream, 8, exact=BYTES),
    )
}  # fmt: skip
