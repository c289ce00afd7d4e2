"""What is in a file: its kind, by its content, and its main facts, read by the readers that use it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from delaytool.contract.ear import EarModel
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.hdf5_heaps import HDF5_SIGNATURE
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.strict_hdf5 import open_strict
from delaytool.contract.values import SCHEMA as NETWORK_SCHEMA
from delaytool.datasets.events import EventData
from delaytool.datasets.hdf5 import find_files, read_file
from delaytool.datasets.recordings import FORMATS, Recording, known_speakers, read_sound
from delaytool.errors import DataError, NetworkError, first_line
from delaytool.formats.netx import read_netx
from delaytool.models.config import ModelConfig
from delaytool.trainer.recipe import Recipe, load_recipe
from delaytool.trainer.run_folder import RunFolder

KINDS = "a network, a run folder, a checkpoint, events, a recording, a .npy file, a stream's state or a recipe"
# Text of an array in a file whose header has not been checked yet.
LONGEST_LABEL = 256


@dataclass(frozen=True)
class FileSummary:
    """kind: what the file is. facts: what is in it, as JSON values; a list of objects is a table."""

    path: str
    kind: str
    facts: dict[str, Any]

    def as_dict(self) -> dict[str, Any]:
        return {"file": self.path, "kind": self.kind, **self.facts}


def summarize_file(path: str | os.PathLike[str], *, time_unit: str | None = None) -> FileSummary:
    """Read a file, or a run folder: its kind and what it holds.

    time_unit   of event files' times, as in `datasets.read_file`
    Raises DelaytoolError where it is missing, damaged, or nothing that delaytool reads.
    """
    place = Path(path)
    if not place.exists():
        raise DataError(f"{place}: no such file; give {KINDS}")
    if place.is_dir():
        kind, facts = _folder(place, time_unit)
    elif not place.is_file():
        raise DataError(f"{place}: this is not a regular file; give {KINDS}")
    else:
        kind, facts = _file(place, time_unit)
    return FileSummary(str(path), kind, facts)


def _folder(path: Path, time_unit: str | None) -> tuple[str, dict[str, Any]]:
    if RunFolder(path).is_run:
        return "run folder", _run(path)
    if RunFolder(path).has_folds:
        return "run folder", _run_in_folds(path)
    files = find_files(path, needed=None)
    if not files:
        raise DataError(f"{path}: neither a run (no recipe.toml) nor a folder of events (no train.h5); give {KINDS}")
    parts = [
        {"part": part, "file": file.name, **_event_counts(read_file(file, time_unit=time_unit))}
        for part, file in files.items()
    ]
    return "folder of events", {"parts": parts}


def _file(path: Path, time_unit: str | None) -> tuple[str, dict[str, Any]]:
    with open(path, "rb") as file:
        beginning = file.read(512)
    if beginning.startswith(NETWORK_SCHEMA.encode()):
        return _network_file(path)
    if beginning.startswith(HDF5_SIGNATURE):
        with open_strict(path, DataError, f"give {KINDS}") as group:
            names = group.names()
            is_network = group.has_attribute("schema")
        if "spikes" in names:
            return "events", _events(path, time_unit)
        if "layer" in names and not is_network:
            return "netx network", _netx(path)
        return _network_file(path)
    if beginning.startswith(b"PK"):
        return _archive(path)
    if beginning.startswith(b"\x93NUMPY"):
        return "array", _array(path)
    if path.suffix.lower() in FORMATS or beginning[:4] in (b"RIFF", b"fLaC"):
        sound, rate = read_sound(Recording(path, 0, 0), None)
        facts = {"rate_hz": rate, "seconds": sound.size / rate, "samples": sound.size}
        return "recording", {**facts, "loudest": float(np.abs(sound).max())}
    if path.suffix.lower() == ".toml":
        return "recipe", _recipe(path)
    raise DataError(f"{path}: its first bytes are of nothing that is read here; give {KINDS}")


def _network_file(path: Path) -> tuple[str, dict[str, Any]]:
    network = IntegerNetwork.load(path)
    facts = _network(network)
    golden = network.extensions.get("golden")
    if golden is None:
        return "network", facts
    extra = {key: value for key, value in golden.items() if isinstance(value, str)}
    frames = golden.get("frames")
    if isinstance(frames, np.ndarray):
        extra["frames"] = " x ".join(map(str, frames.shape))
    recorded = sorted({key.split("/")[0] for key in golden if "/" in key})
    return "golden vector", {**facts, **extra, "recorded": recorded}


def _netx(path: Path) -> dict[str, Any]:
    """Other tools' files do not state how long a sample is."""
    try:
        return _network(read_netx(path))
    except NetworkError as error:
        try:
            network = read_netx(path, n_steps=1)
        except NetworkError:  # the number of steps was not what it lacked
            raise error from None
        return {**_network(network), "steps": "not in the file"}


def _network(network: IntegerNetwork) -> dict[str, Any]:
    encoding, readout = network.encoding, network.readout
    layers = []
    for layer in network.layers:
        delays = [group.listed()[3] for group in layer.synapses]
        every = np.concatenate(delays) if delays else np.zeros(0, np.int64)
        layers.append(
            {
                "layer": layer.name,
                "neurons": layer.n_neurons,
                "from": ", ".join(dict.fromkeys(network.name_of(group.source) for group in layer.synapses)),
                "synapses": layer.n_synapses,
                "delays": f"{every.min()}..{every.max()}" if every.size else "none",
                "mean": round(float(every.mean()), 2) if every.size else 0.0,
                "threshold": layer.threshold,
                "du": layer.du,
                "dv": layer.dv,
            }
        )
    return {
        "target": network.target,
        "sizes": [encoding.n_channels, *(layer.n_neurons for layer in network.layers)],
        "synapses": network.n_synapses,
        "max_delay": network.max_delay,
        "steps": network.n_steps,
        "layers": layers,
        "input": _input(encoding),
        "readout": {"method": readout.method, "from_step": readout.start, "to_step": readout.stop},
        "classes": list(network.class_names) or network.n_classes,
        "digests": "signed, and checked" if network.signed else "not signed: nothing vouches for its numbers",
        "integers_sha256": network.integers_sha256(),
        "content_sha256": network.content_sha256(),
        "provenance": _outline(network.provenance),
        "export": _outline(network.export),
        "extensions": list(network.extensions),
    }


def _input(encoding: InputEncoding) -> dict[str, Any]:
    """What an encoding decides, with an ear's form and those of its constants that are not SHD's."""
    found = {name: value for name, value in encoding.as_dict().items() if value is not None}
    if encoding.ear is not None:
        model, usual = asdict(encoding.ear.model), asdict(EarModel())
        found["ear"] = {
            "form": encoding.ear.model.form,
            "sample_rate": encoding.ear.sample_rate,
            "version": encoding.ear.version,
            **{name: model[name] for name in usual if model[name] != usual[name] and name != "causal"},
        }
    return found


def _outline(values: Mapping[str, Any]) -> dict[str, Any]:
    """The plain values of a mapping; of a recipe its name, of longer ones how much there is."""
    outline: dict[str, Any] = {}
    for name, value in values.items():
        if name == "recipe" and isinstance(value, Mapping):
            data = value.get("data")
            outline[name] = value.get("name")
            outline["data"] = data.get("source") if isinstance(data, Mapping) else None
        elif isinstance(value, (Mapping, list)) and (len(value) > 8 or any(map(_is_nested, [value, *value]))):
            outline[name] = f"{len(value)} values"
        elif value is not None:
            outline[name] = value
    return outline


def _is_nested(value: object) -> bool:
    return isinstance(value, Mapping)


def _run(path: Path) -> dict[str, Any]:
    run = RunFolder(path)
    unsigned = run.unsigned_files()
    recipe = run.load_recipe()
    metrics, summary = run.read_metrics(), run.read_summary()
    facts = {
        **_recipe_facts(recipe),
        "seed": recipe.seed,
        "state": "finished" if summary else "not finished",
        "epochs": f"{len(metrics)} of {recipe.trainer.epochs_to_train}",
        "best_epoch": run.best_epoch(),
    }
    names = ("validation_accuracy", "test_accuracy_rounded", "test_samples", "parameters", "synapses", "split")
    facts |= {name: summary[name] for name in (*names, "quantized_for", "warnings") if name in summary}
    made = run.read_environment()
    return {
        **facts,
        "made_with": {name: value for name, value in made.items() if value is not None},
        "checkpoints": [one.name for one in (run.best, run.last) if one.exists()],
        "networks": [one.name for one in run.networks()],
        "digests": f"not signed: {', '.join(unsigned)}" if unsigned else "signed, and checked",
    }


def _run_in_folds(path: Path) -> dict[str, Any]:
    """Of a cross-validated run whose epoch is not chosen yet."""
    run = RunFolder(path)
    recipe = run.load_folds_recipe()
    finished = sum(1 for _ in (run.folds_folder / "runs").glob("*/summary.json"))
    return {
        **_recipe_facts(recipe),
        "seed": recipe.seed,
        "state": "not finished: in the folds that choose its epoch",
        "folds": f"{finished} of {recipe.data.folds}",
    }


def _recipe(path: Path) -> dict[str, Any]:
    recipe = load_recipe(str(path))
    return {**_recipe_facts(recipe), "epochs": recipe.trainer.epochs, "seed": recipe.seed}


def _delays(model: ModelConfig) -> str:
    if model.delays == "none":
        return "none: every delay is 0"
    within = f"; within recurrent layers 0..{model.recurrent_synapses.max_delay}" if model.has_recurrent_layers else ""
    return f"{model.delays}, 0..{model.max_delay}{within}"


def _recipe_facts(recipe: Recipe) -> dict[str, Any]:
    model = recipe.model
    return {
        "recipe": recipe.name,
        "data": recipe.data.source,
        "protocol": recipe.protocol,
        "hidden": list(model.hidden),
        "delays": _delays(model),
        "neuron": model.neuron,
    }


def _archive(path: Path) -> tuple[str, dict[str, Any]]:
    """PyTorch's and NumPy's files are ZIP archives."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if any(name.endswith("/data.pkl") for name in names):
                return "checkpoint", _checkpoint(path)
            if {"cursor.npy", "n_steps.npy", "network.npy"} <= set(names):
                return "stream state", _stream_state(archive)
            arrays = [_header(archive, name)[0] for name in names if name.endswith(".npy")]
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError) as error:
        raise DataError(f"{path}: a damaged archive ({first_line(error)}); copy it again") from None
    if not arrays:
        raise DataError(f"{path}: an archive without anything that is read here; give {KINDS}")
    return "arrays", {"arrays": arrays}


def _checkpoint(path: Path) -> dict[str, Any]:
    from delaytool.trainer.checkpoint import Checkpoint

    saved = Checkpoint.load(path)
    return {
        **_recipe_facts(saved.recipe),
        "epoch": f"{saved.epoch} of {saved.recipe.trainer.epochs}",
        "sigma": "single taps on rounded delays" if saved.sigma is None else saved.sigma,
        "sizes": [saved.encoding.n_channels, *saved.recipe.model.hidden, saved.n_classes],
        "parameters": saved.float_network().n_parameters(),
        "quantized_for": None if saved.scales is None else saved.scales.target.name,
        "input": _input(saved.encoding),
        "split": saved.split,
        "can_go_on": bool(saved.optimizers),
        "digests": "signed, and checked" if saved.is_signed else "not signed: nothing vouches for its numbers",
    }


def _stream_state(archive: zipfile.ZipFile) -> dict[str, Any]:
    arrays = [_header(archive, name) for name in archive.namelist() if name.endswith(".npy")]
    found: dict[str, Any] = {}
    for row, read in arrays:
        if row["array"] in ("n_steps", "network") and row["shape"] == "()":
            found[row["array"]] = read()
    return {
        "steps_done": found.get("n_steps"),
        "network_sha256": found.get("network"),
        "arrays": [row for row, _ in arrays],
        "digests": "none; `Stream.load` checks every value against the network",
    }


def _header(archive: zipfile.ZipFile, name: str) -> tuple[dict[str, Any], Callable[[], Any]]:
    """({array, shape, type}, a function that reads a single value) of an array, of which the header alone is read."""
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            raise ValueError(f"{name} has version {version}")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)

    def value() -> Any:
        if shape != () or dtype.hasobject or dtype.itemsize > 4 * LONGEST_LABEL:
            return None
        with archive.open(name) as member:
            np.lib.format.read_magic(member)
            np.lib.format.read_array_header_1_0(member)
            return np.frombuffer(member.read(dtype.itemsize), dtype)[0].item()

    return {"array": name.removesuffix(".npy"), "shape": str(shape), "type": str(dtype)}, value


def _array(path: Path) -> dict[str, Any]:
    try:
        array = np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as a NumPy array ({first_line(error)}); write it again") from None
    facts: dict[str, Any] = {"shape": list(array.shape), "type": str(array.dtype)}
    if array.size and array.dtype.kind in "biuf":
        facts |= {"lowest": array.min().item(), "highest": array.max().item()}
    return facts


def _events(path: Path, time_unit: str | None) -> dict[str, Any]:
    data = read_file(path, time_unit=time_unit)
    counts = np.bincount(data.labels, minlength=data.n_classes)
    names = data.class_names or tuple(map(str, range(data.n_classes)))
    return {
        **_event_counts(data),
        "per_class": [{"class": name, "samples": int(n)} for name, n in zip(names, counts, strict=True)],
        "speakers": None if data.speakers is None else int(known_speakers(data.speakers).size),
        "digests": "none: the layout has no place for them",
        "warnings": list(data.warnings),
    }


def _event_counts(data: EventData) -> dict[str, Any]:
    spans = [float(np.ptp(data.sample(index)[0])) for index in range(len(data)) if data.sample(index)[0].size]
    return {
        "samples": len(data),
        "events": data.n_events,
        "units": data.n_units,
        "classes": data.n_classes,
        "longest_s": round(max(spans, default=0.0), 4),
    }
