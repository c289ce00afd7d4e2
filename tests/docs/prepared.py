"""Files that the commands of the pages read: small runs, networks, recordings, events. Each is made when needed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
from chirps import WORDS, write_chirp
from inference_networks import network_of, sound_encoding

import delaytool
from delaytool.contract.ear import Ear, EarModel
from delaytool.contract.encoding import InputEncoding
from delaytool.contract.network import IntegerNetwork
from delaytool.formats.onnx.sequence import sequence_model

# So small that they train in seconds.
SMALL = ("model.hidden=[12]", "trainer.epochs=2")
RECIPE = 'extends = "digits"\nname = "{name}"\n[model]\nhidden = [12]\n[trainer]\nepochs = 2\n'

Call = Callable[..., str]


class Prepared:
    """Makes what a page's commands need, in the working directory. What takes long is made once and copied.

    call   (arguments of delaytool) -> what it printed
    """

    def __init__(self, call: Call, kept: Path) -> None:
        self._call = call
        self._kept = kept

    def make(self, wanted: str, folder: Path) -> None:
        """wanted: NAME, or NAME=WHAT where the name alone does not say what it is."""
        name, _, what = wanted.partition("=")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = what or name
        if kind.startswith(("runs/", "demo/")):
            shutil.copytree(self._run(*SMALL), path, dirs_exist_ok=True)
        elif kind == "small-two-layers":
            shutil.copytree(self._run("model.hidden=[8,8]", "trainer.epochs=2"), path, dirs_exist_ok=True)
        elif kind.endswith("-chip.toml"):
            path.write_text('name = "mine"\ntitle = "My chip"\nextends = "loihi2"\n', encoding="utf-8")
        elif kind == "words.toml":
            page = (Path(__file__).parents[2] / "docs/tutorials/microphone.md").read_text(encoding="utf-8")
            path.write_text(page.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
        elif kind.endswith(".toml"):
            path.write_text(RECIPE.format(name=path.stem), encoding="utf-8")
        elif kind == "net.h5":
            shutil.copy(self._run(*SMALL) / "network-loihi2.h5", path)
        elif kind == "sound.h5":
            network_of(sound_encoding(), seed=5).save(path)
        elif kind == "live.h5":
            ear = Ear(EarModel(n_channels=16, causal=True), 16000)
            network_of(InputEncoding(16, start="zero", max_count=20, n_steps=60, ear=ear), seed=5).save(path)
        elif kind == "graph":
            onnx.save(sequence_model(IntegerNetwork.load(self._run(*SMALL) / "network-loihi2.h5")), path)
        elif kind.endswith(".wav"):
            write_chirp(path, 300, 3000, seconds=0.5)
        elif kind.endswith(".npy"):
            np.save(path, frames())
        elif kind.endswith(".h5"):
            write_events(path, n_samples=20)
        elif kind == "events.txt":
            path.write_text("0.001 3\n0.004 17\n0.012 60\n", encoding="utf-8")
        elif kind == "recordings-without-lists":
            for word, (start, end) in WORDS.items():
                write_chirp(path / word / "one.wav", start, end, seconds=0.3)
        else:
            raise AssertionError(f"nothing prepares {wanted}; see tests/docs/prepared.py")

    def variables(self, name: str) -> dict[str, object]:
        """Variables that a piece of Python takes as given."""
        if name == "network":
            return {"network": IntegerNetwork.load(self._run(*SMALL) / "network-loihi2.h5")}
        if name == "frames":
            return {"frames": frames()}
        if name == "microphone":  # half a second at 16 kHz, in pieces
            time = np.arange(8000) / 16000
            return {"microphone": np.array_split(0.3 * np.sin(2 * np.pi * (400 + 3000 * time) * time), 10)}
        if name == "labeled":  # frames in whose first or second half more channels fire
            labels = np.arange(60) % 2
            rates = np.where(labels[:, None] == np.arange(8) // 4, 0.4, 0.1)
            return {"frames": np.random.default_rng(0).random((60, 20, 8)) < rates[:, None], "labels": labels}
        if name == "rows":  # of events in SHD's layout
            rng = np.random.default_rng(0)
            units = [rng.integers(0, 128, 20) for _ in range(5)]
            return {"times": [np.sort(rng.random(20)) for _ in range(5)], "units": units, "labels": [0, 1, 0, 1, 1]}
        if name == "dt":
            return {"dt": delaytool}
        raise AssertionError(f"nothing gives {name}; see tests/docs/prepared.py")

    def _run(self, *overrides: str) -> Path:
        """A run on the digits, exported."""
        run = self._kept / "-".join(overrides)
        if not run.exists():
            self._call("train", "digits", "-o", run, *[part for one in overrides for part in ("--set", one)])
            self._call("export", run, "--target", "loihi2")
        return run


def frames() -> np.ndarray:
    """(sample, time, channel) that the networks on the digits read."""
    return np.random.default_rng(0).integers(0, 2, (3, 9, 64)).astype(np.uint8)


def write_events(path: Path, n_samples: int, n_units: int = 64, n_classes: int = 10) -> None:
    """Events in SHD's layout."""
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for key, kind in (("times", np.float32), ("units", np.uint16)):
            dataset = file.create_dataset(f"spikes/{key}", (n_samples,), dtype=h5py.vlen_dtype(kind))
            for index in range(n_samples):
                values = np.sort(rng.random(30) * 0.018) if key == "times" else rng.integers(0, n_units, 30)
                dataset[index] = values.astype(kind)
        file["labels"] = np.arange(n_samples) % n_classes
