"""Small data sets in memory and as files of SHD's layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import chirps
import h5py
import numpy as np
import pytest

from delaytool.datasets import EventData


def random_data(n_samples: int = 40, n_units: int = 20, n_classes: int = 4, n_speakers: int = 5, seed: int = 0):
    """Every speaker has samples of every class; some samples are silent."""
    generator = np.random.default_rng(seed)
    samples = []
    for index in range(n_samples):
        count = 0 if index % 11 == 5 else int(generator.integers(1, 30))
        samples.append((generator.uniform(0, 0.3, count).astype(np.float16), generator.integers(0, n_units, count)))
    labels = np.arange(n_samples) % n_classes
    speakers = np.arange(n_samples) // n_classes % n_speakers if n_speakers else None
    return EventData.from_samples(
        samples, labels, n_units=n_units, n_classes=n_classes, speakers=speakers, name="random"
    )


@pytest.fixture
def data() -> EventData:
    return random_data()


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of SHD's layout; keyword arguments replace or (None) leave out a dataset."""

    def write_file(name: str = "train.h5", n_samples: int = 40, n_speakers: int = 5, **changes: Any) -> Path:
        source = random_data(n_samples, n_speakers=n_speakers)
        pairs = [source.sample(index) for index in range(n_samples)]
        content: dict[str, Any] = {
            "times": [times for times, _ in pairs],
            "units": [units for _, units in pairs],
            "labels": source.labels.astype(np.uint16),
            "speaker": None if source.speakers is None else source.speakers.astype(np.uint16),
            "keys": np.array([b"null", b"eins", b"two", b"three"]),
            "times_type": np.float16,
            "units_type": np.uint16,
            **changes,
        }
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(path, "w") as file:
            for key in ("times", "units"):
                if content[key] is not None:
                    rows = content[key]
                    dataset = file.create_dataset(
                        f"spikes/{key}", (len(rows),), dtype=h5py.vlen_dtype(content[f"{key}_type"])
                    )
                    for index, row in enumerate(rows):
                        dataset[index] = np.asarray(row, content[f"{key}_type"])
            for key, place in (("labels", "labels"), ("speaker", "extra/speaker"), ("keys", "extra/keys")):
                if content[key] is not None:
                    file[place] = content[key]
        return path

    return write_file


@pytest.fixture
def spoken_digits() -> Path:
    """Real recordings, where the checkout has them."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "spoken-digits"
    if not folder.is_dir():
        pytest.skip("no spoken-digits recordings beside the checkout")
    return folder


@pytest.fixture(scope="session")
def speech_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return chirps.speech_folder(tmp_path_factory.mktemp("speech"))


@pytest.fixture(scope="session")
def heidelberg_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return chirps.heidelberg_folder(tmp_path_factory.mktemp("heidelberg"))
