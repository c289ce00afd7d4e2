"""Every kind of file that is read: how one is made, how it is damaged, and what reading it gives.

A probe runs in a forked child, in a folder of its own that holds the damaged file. It returns (exit code, answer): the
answer names what was read, so that it can be compared with what the undamaged file gives; None where the exit code says
all. Most probes are the commands that a user types.
"""

from __future__ import annotations

import hashlib
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from campaign import damage
from campaign.damage import Damage
from campaign.generator import random_case
from campaign.package import frames_of, network_of
from hdf5_mutations import sealed

from delaytool import datasets
from delaytool.cli import main
from delaytool.commands.error_lines import error_line
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.network import IntegerNetwork
from delaytool.datasets.mel import MELS, mel_frames
from delaytool.datasets.recordings import Recording, read_sound
from delaytool.digests import write_signed_json
from delaytool.errors import DelaytoolError
from delaytool.printable import printable
from delaytool.runtime.stream import Stream
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.recipe import load_recipe
from delaytool.trainer.run_folder import RunFolder

BEFORE = Path(__file__).parents[1] / "fixtures" / "written-by-0.1.0"

Answer = tuple[int, str | None]

PASS, FAIL, REFUSED, NOT_EVALUATED = 0, 1, 2, 4
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
    """A reader of the package, with the line and the exit code that the command line makes of its errors."""
    try:
        return PASS, read()
    except DelaytoolError as error:
        print(f"error: {printable(error)}")
        return error.exit_code, None
    except Exception as error:
        line = error_line(error)
        if line is None:
            raise
        print(f"error: {line}")
        return REFUSED, None


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


def _of_before(*names: str) -> Callable[[Path, Path], None]:
    """Files that version 0.1.0 wrote: they carry no digest, so that damage reaches all that is behind one."""

    def make(base: Path, folder: Path) -> None:
        for name in names:
            source = BEFORE / name
            if source.is_dir():
                shutil.copytree(source, folder / name)
            else:
                shutil.copy(source, folder / name)

    return make


def _network_of_before(base: Path, folder: Path) -> None:
    shutil.copy(BEFORE / "run" / "network-loihi2.h5", folder / "network-loihi2.h5")


def _checkpoint_of_before(base: Path, folder: Path) -> None:
    shutil.copy(BEFORE / "run" / "best.pt", folder / "best.pt")


def _whole_run(base: Path, folder: Path) -> None:
    shutil.copytree(base / "run", folder / "run")


def _run_with_folds(base: Path, folder: Path) -> None:
    """The run, with a record of folds as if they had chosen its epoch."""
    _whole_run(base, folder)
    record = RunFolder(folder / "run").folds
    folds = [
        {"fold": n, "held_out": "speaker 0", "samples": 40, "best_epoch": 1, "accuracy": 0.5, "accuracy_at_chosen": 0.5}
        for n in range(2)
    ]
    curve = {"mean_accuracy": [0.5], "mean_loss": [1.5], "chosen_epoch": 1, "accuracy": 0.5, "standard_error": 0.0}
    write_signed_json(record, {"folds": folds, **curve})


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
        run = RunFolder("run")
        run.require_intact()
        return _digest(
            run.read_recipe(),
            run.read_metrics(),
            run.read_summary(),
            run.read_environment(),
            run.read_class_names(),
            run.read_folds(),
            run.best_epoch(),
        )

    return _read(read)


def _probe_sweep_table() -> Answer:
    return command("sweep", "--table", "sweep"), None


def _probe_comparison() -> Answer:
    return command("compare", "--page", "comparison"), None


def _probe_show() -> Answer:
    return command("show", "run"), None


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


def _make_flac(base: Path, folder: Path) -> None:
    import soundfile

    soundfile.write(str(folder / "sound.flac"), 0.3 * np.sin(np.arange(4000) / 5), 16000)


def _probe_sound(name: str) -> Answer:
    def read() -> str:
        sound, rate = read_sound(Recording(Path(name), 0, 0), None)
        return _digest(mel_frames(sound, rate, MELS["hd"], 10.0))

    return _read(read)


def _probe_wav() -> Answer:
    return _probe_sound("sound.wav")


def _probe_flac() -> Answer:
    return _probe_sound("sound.flac")


def _make_toml(base: Path, folder: Path) -> None:
    lines = (base / "run" / "recipe.toml").read_text().splitlines()
    # Without its digest, as a recipe that a user has written.
    (folder / "recipe.toml").write_text("\n".join(line for line in lines if not line.startswith("# s")) + "\n")
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


def _damage_sealed(draw: random.Random, path: Path) -> str:
    """Structured damage by one who knows the format: the digests hold again, so that it reaches the readers behind."""
    what = damage.damage_hdf5(draw, path)
    sealed(path)
    return f"{what}; sealed again"


def _make_stream_of_before(base: Path, folder: Path) -> None:
    shutil.copy(BEFORE / "integer-run" / "network-loihi2.h5", folder / "network.h5")
    network = IntegerNetwork.load(folder / "network.h5")
    stream = Stream(network)
    frames = np.random.default_rng(0).integers(0, 2, (12, network.encoding.n_channels)).astype(np.uint8)
    for frame in frames[:3]:
        stream.step(frame)
    stream.save(folder / "state.npz")
    np.save(folder / "frames.npy", frames)


HDF5 = (damage.damage_bytes, damage.damage_hdf5)
JSON = (damage.damage_bytes, damage.damage_json)
NPZ = (damage.damage_bytes, damage.damage_npz)
CHECKPOINT = (damage.damage_bytes, damage.damage_checkpoint)
FIELDS = (damage.damage_checkpoint,)
TOML = (damage.damage_bytes, damage.damage_toml)
VERIFIED = (PASS, REFUSED, NOT_EVALUATED)
NETWORK = "network-loihi2.h5"


def _kinds() -> Iterator[Kind]:
    network, verify, sealed = _probe_network, _probe_verify, (_damage_sealed,)
    yield Kind("network", _taken(NETWORK), NETWORK, HDF5, network, 20, exact=ALL)
    yield Kind("network, verified", _taken(NETWORK), NETWORK, HDF5, verify, 3, codes=VERIFIED)
    yield Kind("network, sealed again", _taken(NETWORK), NETWORK, sealed, network, 10)
    yield Kind("network, sealed again, verified", _taken(NETWORK), NETWORK, sealed, verify, 5, codes=VERIFIED)
    yield Kind("network of 0.1.0", _network_of_before, NETWORK, HDF5, network, 8)
    yield Kind("network of 0.1.0, verified", _network_of_before, NETWORK, HDF5, verify, 5, codes=VERIFIED)
    yield Kind("netx", _taken("netx.net"), "netx.net", HDF5, _probe_netx, 12, exact=ALL)
    yield Kind("netx of 0.1.0", _of_before("netx.net"), "netx.net", HDF5, _probe_netx, 8)
    yield Kind("checkpoint", _taken("best.pt"), "best.pt", CHECKPOINT, _probe_checkpoint, 6, exact=BYTES)
    yield Kind("checkpoint of 0.1.0", _checkpoint_of_before, "best.pt", CHECKPOINT, _probe_checkpoint, 10)
    yield Kind("checkpoint of 0.1.0, exported", _of_before("run"), "run/best.pt", FIELDS, _probe_export, 2)
    yield Kind("checkpoint of 0.1.0, resumed", _of_before("run"), "run/last.pt", FIELDS, _probe_resume, 2)
    for name, file in (("summary", "summary.json"), ("metrics", "metrics.jsonl"), ("environment", "environment.json")):
        yield Kind(name, _whole_run, f"run/{file}", JSON, _probe_record, 1, exact=BYTES)
        yield Kind(f"{name} of 0.1.0", _of_before("run"), f"run/{file}", JSON, _probe_record, 2)
        yield Kind(
            f"{name} of 0.1.0, reported", _of_before("run"), f"run/{file}", (damage.damage_json,), _probe_report, 0.5
        )
    # One file that several commands rely on, and a record that few runs have.
    yield Kind("recipe of a run", _whole_run, "run/recipe.toml", TOML, _probe_record, 1, exact=BYTES)
    yield Kind("class names", _whole_run, "run/class_names.json", JSON, _probe_record, 1, exact=BYTES)
    yield Kind("folds", _run_with_folds, "run/folds.json", JSON, _probe_record, 1, exact=BYTES)
    yield Kind("metrics of 0.1.0, resumed", _of_before("run"), "run/metrics.jsonl", JSON, _probe_resume, 0.5)
    for name, file in (("summary", "summary.json"), ("metrics", "metrics.jsonl"), ("environment", "environment.json")):
        path = f"run/{file}"
        yield Kind(f"{name} of 0.1.0, shown", _of_before("run"), path, (damage.damage_json,), _probe_show, 0.5)
    # A folder of runs of which some failed ends with 1.
    many = (PASS, FAIL, REFUSED)
    compared, swept, lines = _of_before("comparison"), _of_before("sweep"), (*JSON, damage.damage_text)
    measured = "comparison/runs/method=digits,seed=0/measured.json"
    yield Kind("measured of 0.1.0, compared", compared, measured, JSON, _probe_comparison, 1, codes=many)
    yield Kind(
        "journal of 0.1.0, compared", compared, "comparison/journal.log", lines, _probe_comparison, 1, codes=many
    )
    yield Kind("journal of 0.1.0, table", swept, "sweep/journal.log", lines, _probe_sweep_table, 1, codes=many)
    for name in ("summary.json", "metrics.jsonl"):
        file = f"comparison/runs/method=digits,seed=0/{name}"
        kind = f"{name.partition('.')[0]} of 0.1.0, compared"
        yield Kind(kind, compared, file, JSON, _probe_comparison, 0.5, codes=many)
        kind = f"{name.partition('.')[0]} of 0.1.0, table"
        yield Kind(kind, swept, f"sweep/runs/seed=0/{name}", JSON, _probe_sweep_table, 0.5, codes=many)
    yield Kind("events", _make_events, "events.h5", HDF5, _probe_events, 10)
    yield Kind("wav", _make_wav, "sound.wav", (damage.damage_bytes, damage.damage_wav), _probe_wav, 6)
    yield Kind("flac", _make_flac, "sound.flac", (damage.damage_bytes,), _probe_flac, 2)
    yield Kind("recipe", _make_toml, "recipe.toml", TOML, _probe_recipe, 6)
    yield Kind("recipe, trained", _make_toml, "recipe.toml", (damage.damage_toml,), _probe_train, 3)
    yield Kind("stream", _make_stream, "state.npz", NPZ, _probe_stream, 8, exact=BYTES)
    yield Kind("stream of a trained network", _make_stream_of_before, "state.npz", NPZ, _probe_stream, 3, exact=BYTES)


KINDS: dict[str, Kind] = {kind.name: kind for kind in _kinds()}
