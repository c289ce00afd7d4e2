"""Kept networks on noisy test recordings: noise in the sound, before the ear.

    python benchmarks/speech_study/noisy_recordings.py encode recordings --ten ten.h5 --packs packs -o noisy
    python benchmarks/speech_study/noisy_recordings.py evaluate rows/networks-*.tar --noisy noisy --packs packs \\
        -o noisy.jsonl

'encode' takes the test recordings of the ten commands in a drawn order, adds white noise and babble to each at every
signal-to-noise ratio (`noisy_sound`), and makes spikes of them by the ear that made ten.h5, with the same random
numbers per recording. Babble is the sum of 8 recordings that are not test recordings, nor by a speaker of theirs. A
recording has the same noise at every ratio, louder or softer. First it makes spikes of a few recordings without noise,
and ends if they aren't bit for bit those of ten.h5. The same command goes on after an interruption, and with larger
--recordings; `evaluate` takes those recordings that are done.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import torch
from jobs import Job, predicting
from noisy_sound import babble, white_noise, with_noise
from robustness import as_text, predictions, share_equal
from rows import rows
from runner import unpack_networks
from study_data import StudyData

from delaytool.contract.ear import EarModel
from delaytool.datasets import EventData
from delaytool.datasets.binner import bin_events
from delaytool.datasets.ear import ear_spikes
from delaytool.datasets.ear.random_numbers import seed_of
from delaytool.datasets.hdf5 import stated_ear
from delaytool.datasets.recordings import Recording, read_sound
from delaytool.files import atomic_path, write_bytes_atomically
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import Part

NOISES = ("white", "babble")
RATIOS_DB = (20.0, 10.0, 0.0)
VOICES = 8
SEED = 4321
CHECKED = 8
NO_NOISE = "as recorded"

Line = dict[str, Any]
Spikes = tuple[np.ndarray, np.ndarray]


def condition(noise: str, ratio_db: float) -> str:
    """Its name: `white noise, 20 dB`."""
    return f"{noise} noise, {ratio_db:g} dB" if noise == "white" else f"{noise}, {ratio_db:g} dB"


@dataclass(frozen=True)
class Recorded:
    """The recordings of a file of `delaytool encode`, of which some are the test part.

    folder   that the recordings lie in; names: each one's path there, in the file's order
    test     (n,) the test recordings' places in that order; others: those of all other recordings
    model, ear_seed   of the ear that made the file
    """

    folder: Path
    names: list[str]
    test: np.ndarray
    others: np.ndarray
    model: EarModel
    ear_seed: int

    def sound(self, index: int) -> tuple[np.ndarray, int]:
        """((samples,) float64, rate in Hz)."""
        return read_sound(Recording(self.folder / self.names[index], 0, None), None)

    def spikes(self, index: int, sound: np.ndarray, rate: int) -> Spikes:
        """By the ear of the file, with the random numbers that the recording had there."""
        return ear_spikes(sound, rate, self.model, seed_of(self.ear_seed, self.names[index], None))

    def noise(self, index: int, kind: str, n_samples: int, rate: int, seed: int) -> np.ndarray:
        """(n_samples,) the noise of one recording; it depends on nothing but the seed, the kind and its name."""
        generator = np.random.default_rng(seed_of(seed, kind, self.names[index]))
        if kind == "white":
            return white_noise(n_samples, generator)
        voices = [self.sound(other) for other in generator.choice(self.others, VOICES, replace=False)]
        if {other for _, other in voices} != {rate}:
            raise SystemExit(f"{self.names[index]}: babble needs recordings of one rate; resample them")
        return babble([voice for voice, _ in voices], n_samples, generator)

    def noisy_spikes(self, index: int, seed: int) -> dict[str, Spikes]:
        """The spikes of a recording under each condition."""
        sound, rate = self.sound(index)
        found = {}
        for kind in NOISES:
            noise = self.noise(index, kind, sound.size, rate, seed)
            for ratio in RATIOS_DB:
                found[condition(kind, ratio)] = self.spikes(index, with_noise(sound, noise, ratio), rate)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    encoding = verbs.add_parser("encode", help="make spikes of noisy test recordings")
    encoding.add_argument("recordings", type=Path, help="the folder that `delaytool encode` has read")
    encoding.add_argument("--ten", type=Path, required=True, help="the file that `delaytool encode` made of it")
    encoding.add_argument("--recordings", dest="count", type=int, help="so many test recordings alone, the first drawn")
    encoding.add_argument("--seed", type=int, default=SEED, help="of the noise and of the recordings' order")
    evaluating = verbs.add_parser("evaluate", help="kept networks on the recordings that are done")
    evaluating.add_argument("archives", type=Path, nargs="+", help="networks-*.tar of `study.py rows`")
    evaluating.add_argument("--noisy", type=Path, required=True, help="the folder that 'encode' has written")
    for verb in (encoding, evaluating):
        verb.add_argument("--packs", type=Path, required=True)
        verb.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    {"encode": _encode, "evaluate": _evaluate}[options.verb](options)


def recorded(folder: Path, ten: Path, data: StudyData) -> Recorded:
    """The recordings behind ten.h5, cut into parts as the study cuts them."""
    train, test = (part.units for part in data.cut("ten", data.pack("ten").samples()))
    with h5py.File(ten, "r") as file:
        names = [name.decode() for name in file["extra/recording"][()]]
        attribute, n_units = file.attrs["ear"], int(file.attrs["n_units"])
    ear = stated_ear(attribute, str(ten), n_units)
    if ear is None or len(names) != train.size + test.size:
        raise SystemExit(f"{ten}: not the file that the pack was made of ({len(names)} recordings)")
    return Recorded(folder, names, test, train, ear.model, int(json.loads(attribute)["seed"]))


def differing_spikes(recordings: Recorded, ten: Path, indices: np.ndarray) -> tuple[int, int]:
    """(spikes that are not those of ten.h5, spikes compared) of these recordings, each with noise infinitely weak."""
    differing = compared = 0
    with h5py.File(ten, "r") as file:
        for index in indices:
            sound, rate = recordings.sound(index)
            noise = recordings.noise(index, "babble", sound.size, rate, SEED)
            made = recordings.spikes(index, with_noise(sound, noise, np.inf), rate)
            kept = file["spikes/times"][index], file["spikes/units"][index]
            compared += kept[0].size
            if made[0].size != kept[0].size:
                differing += max(made[0].size, kept[0].size)
            else:
                differing += int(((made[0] != kept[0]) | (made[1] != kept[1])).sum())
    return differing, compared


def _encode(options: argparse.Namespace) -> None:
    recordings = recorded(options.recordings, options.ten, StudyData(options.packs))
    order = np.random.default_rng(options.seed).permutation(recordings.test)[: options.count]
    _same_settings(options.output, {"seed": options.seed, "noises": NOISES, "ratios_db": RATIOS_DB, "voices": VOICES})
    differing, compared = differing_spikes(recordings, options.ten, order[:CHECKED])
    print(f"without noise: {differing} of {compared:,} spikes differ from {options.ten}", flush=True)
    if differing or not compared:
        raise SystemExit(f"the recordings in {options.recordings} are not those of {options.ten}")
    missing = [index for index in order.tolist() if not spikes_path(options.output, index).exists()]
    began = time.monotonic()
    for done, index in enumerate(missing, start=1):
        found = recordings.noisy_spikes(index, options.seed)
        arrays = {
            f"{name}/{key}": values
            for name, spikes in found.items()
            for key, values in zip(("times", "units"), spikes, strict=True)
        }
        with atomic_path(spikes_path(options.output, index)) as temporary, open(temporary, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        if done % 10 == 0 or done == len(missing):
            left = (time.monotonic() - began) / done * (len(missing) - done) / 60
            all_done = order.size - len(missing) + done
            print(f"{all_done} of {order.size} recordings, about {left:.0f} min left", flush=True)
    print(f"{options.output}: {order.size} recordings under {len(NOISES) * len(RATIOS_DB)} conditions")


def spikes_path(folder: Path, index: int) -> Path:
    return folder / f"recording-{index:05d}.npz"


def _same_settings(folder: Path, settings: dict[str, Any]) -> None:
    """Note how the folder's spikes are made; end where it holds others."""
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / "settings.json", json.dumps(settings)
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{folder}: it holds spikes made by other settings; choose another folder")
    write_bytes_atomically(path, text.encode())


def read_noisy(folder: Path, index: int) -> dict[str, Spikes]:
    """The spikes of a recording under each condition, as `encode` keeps them."""
    with np.load(spikes_path(folder, index)) as archive:
        names = dict.fromkeys(key.rpartition("/")[0] for key in archive.files)
        return {name: (archive[f"{name}/times"], archive[f"{name}/units"]) for name in names}


def _evaluate(options: argparse.Namespace) -> None:
    data = StudyData(options.packs)
    pack, test = data.pack("ten"), data.cut("ten", data.pack("ten").samples())[1]
    done = np.flatnonzero([spikes_path(options.noisy, index).exists() for index in test.units])
    if not done.size:
        raise SystemExit(f"{options.noisy}: no recording is done; run 'encode' first")
    noisy = [read_noisy(options.noisy, index) for index in test.units[done]]
    events = {
        name: EventData.from_samples(
            [spikes[name] for spikes in noisy], test.labels[done], n_units=pack.encoding.n_units,
            n_classes=pack.n_classes, name=name,
        )
        for name in noisy[0]
    }  # fmt: skip
    jobs = {job.name: job for job in rows(["compare"]) if job.data == "ten"}
    with tempfile.TemporaryDirectory() as folder:
        names = [name for name in unpack_networks(options.archives, Path(folder)) if name in jobs]
        lines = [noisy_line(jobs[name], Path(folder) / name, data, events, done) for name in names]
    write_bytes_atomically(options.output, "".join(json.dumps(line) + "\n" for line in lines).encode())


def noisy_line(job: Job, folder: Path, data: StudyData, events: dict[str, EventData], done: np.ndarray) -> Line:
    """A network's line: predictions without noise and under each condition, of the test samples `done`, and accuracies.

    all_recorded   its accuracy on the whole test part, as the tables have it
    """
    saved = Checkpoint.load(folder / "last.pt")
    predict = predicting(saved, torch.device("cpu"))
    frames = data.training_data(saved.recipe, job.data)
    if replace(saved.encoding, ear=None) != replace(frames.encoding, ear=None):
        raise SystemExit(f"{job.name}: it reads {saved.encoding}, the pack's frames are {frames.encoding}")
    clean = predictions(predict, frames.validation)
    labels = as_text(frames.validation.labels[done].tolist())
    found = {NO_NOISE: "".join(clean[index] for index in done)}
    for name, some in events.items():
        part = Part(torch.from_numpy(bin_events(some, frames.encoding)), torch.from_numpy(some.labels))
        found[name] = predictions(predict, part)
    line = {
        "name": job.name, "row": job.row, "data": job.data, "seed": job.seed,
        "all_recorded": share_equal(clean, as_text(frames.validation.labels.tolist())),
        "samples": len(labels), "labels": labels, "predictions": found,
        "accuracies": {name: share_equal(text, labels) for name, text in found.items()},
    }  # fmt: skip
    shown = ", ".join(f"{name} {100 * value:.2f} %" for name, value in line["accuracies"].items())
    whole = f"whole test part {100 * line['all_recorded']:.2f} %"
    print(f"{job.name}: {whole}; {done.size} recordings: {shown}", flush=True)
    return line


if __name__ == "__main__":
    main()
