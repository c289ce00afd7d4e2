"""Noise in the sound of recordings, at the ratio that was asked for, and kept networks on the spikes of it."""

from __future__ import annotations

import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
soundfile = pytest.importorskip("soundfile")
pytest.importorskip("scipy")

STUDY = Path(__file__).parents[2] / "benchmarks" / "speech_study"
RATE = 16000


@pytest.fixture(autouse=True)
def _the_study_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDY))


def tone(seed: int, n_samples: int) -> np.ndarray:
    """A sound that is not silent, louder at its start."""
    generator = np.random.default_rng(seed)
    phase = 2 * np.pi * generator.uniform(200, 2000) * np.arange(n_samples) / RATE
    return 0.3 * np.sin(phase) * np.linspace(1, 0.2, n_samples) + 0.01 * generator.standard_normal(n_samples)


def mean_square_ratio_db(sound: np.ndarray, noise: np.ndarray) -> float:
    return 10 * np.log10(sum(float(x) ** 2 for x in sound) / sum(float(x) ** 2 for x in noise))


@given(st.integers(0, 2**32), st.integers(2, 3000), st.floats(-60, 60), st.floats(1e-4, 10))
def test_noise_has_the_power_that_the_ratio_asks_for(seed, n_samples, ratio_db, loudness):
    from noisy_sound import babble, white_noise, with_noise

    sound = loudness * tone(seed, n_samples)
    voices = [tone(seed + 1 + number, 50 + 700 * number) for number in range(3)]
    for draw in (white_noise, lambda n, generator: babble(voices, n, generator)):
        noise = draw(n_samples, np.random.default_rng(seed))
        noisy = with_noise(sound, noise, ratio_db)
        added = noisy - sound
        assert mean_square_ratio_db(sound, added) == pytest.approx(ratio_db, abs=1e-6)
        # What was added is the noise that was drawn, louder or softer, and a seed draws the same bits again.
        assert np.corrcoef(added, noise)[0, 1] == pytest.approx(1, abs=1e-6)
        again = with_noise(sound, draw(n_samples, np.random.default_rng(seed)), ratio_db)
        assert again.tobytes() == noisy.tobytes()
        other = with_noise(sound, draw(n_samples, np.random.default_rng(seed + 1)), ratio_db)
        assert other.tobytes() != noisy.tobytes()


@given(st.integers(0, 2**32), st.integers(1, 500))
def test_no_noise_leaves_every_bit_of_the_sound(seed, n_samples):
    from noisy_sound import white_noise, with_noise

    sound = tone(seed, n_samples)
    noise = white_noise(n_samples, np.random.default_rng(seed))
    assert with_noise(sound, noise, np.inf).tobytes() == sound.tobytes()


@given(st.integers(0, 2**32), st.integers(1, 400), st.lists(st.integers(1, 300), min_size=1, max_size=4))
def test_babble_is_the_sum_of_turned_recordings_of_one_power(seed, n_samples, lengths):
    from noisy_sound import babble

    voices = [tone(seed + number, length) for number, length in enumerate(lengths)]
    begins = np.random.default_rng(seed)
    expected = np.zeros(n_samples)
    for voice in voices:
        begin = int(begins.integers(voice.size))
        loudness = np.sqrt(sum(float(x) ** 2 for x in voice) / voice.size)
        expected += [voice[(begin + step) % voice.size] / loudness for step in range(n_samples)]
    np.testing.assert_allclose(babble(voices, n_samples, np.random.default_rng(seed)), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("sound", "noise", "ratio_db", "words"),
    [
        (np.zeros(9), np.ones(9), 10.0, "silent"),
        (np.ones(9), np.zeros(9), 10.0, "silent"),
        (np.ones(9), np.ones(8), 10.0, "shape"),
        (np.ones((3, 3)), np.ones((3, 3)), 10.0, "shape"),
        (np.ones(9), np.ones(9), np.nan, "nan dB"),
        (np.ones(9), np.ones(9), -np.inf, "-inf dB"),
    ],
)
def test_what_has_no_ratio_is_refused(sound, noise, ratio_db, words):
    from noisy_sound import with_noise

    with pytest.raises(ValueError, match=words):
        with_noise(sound, noise, ratio_db)


def test_silent_voices_are_refused():
    from noisy_sound import babble

    with pytest.raises(ValueError, match="no voices"):
        babble([], 9, np.random.default_rng(0))
    with pytest.raises(ValueError, match="silent"):
        babble([np.zeros(9)], 9, np.random.default_rng(0))


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """30 short recordings of 2 words by 15 speakers, encoded and packed: (recordings, ten.h5, packs)."""
    from delaytool.contract.ear import EarModel
    from delaytool.contract.encoding import InputEncoding
    from delaytool.datasets.ear.spike_file import write_spike_file
    from delaytool.datasets.listings import list_recordings

    folder = tmp_path_factory.mktemp("study")
    recordings = folder / "recordings"
    for number in range(30):
        place = recordings / ("go", "no")[number % 2] / f"{number // 2:08x}_nohash_0.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(place, tone(number, 3200), RATE, subtype="PCM_16")
    listing = list_recordings(recordings)
    write_spike_file(folder / "ten.h5", listing, "all", EarModel(n_channels=20), seed=3, working=folder / "working")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(STUDY))
        from spike_sets import pack

        encoding = InputEncoding(n_units=20, time_step_ms=10.0, channel_bins=5, start="zero")
        (folder / "packs").mkdir()
        pack(folder / "ten.h5", folder / "packs" / "ten.pack", encoding)
    return recordings, folder / "ten.h5", folder / "packs"


def run(monkeypatch, *arguments) -> None:
    import noisy_recordings

    monkeypatch.setattr(sys, "argv", ["noisy_recordings.py", *map(str, arguments)])
    noisy_recordings.main()


def test_without_noise_spikes_and_frames_are_those_of_the_file(study):
    import h5py
    from noisy_recordings import recorded
    from study_data import StudyData

    from delaytool.datasets import EventData
    from delaytool.datasets.binner import bin_events

    recordings, ten, packs = study
    data = StudyData(packs)
    found = recorded(recordings, ten, data)
    assert not set(found.test) & set(found.others)
    assert found.test.size + found.others.size == 30
    speakers = [{found.names[index].split("/")[1][:8] for index in part} for part in (found.test, found.others)]
    assert not speakers[0] & speakers[1]
    made = [found.spikes(index, *found.sound(index)) for index in found.test]
    with h5py.File(ten) as file:
        for index, (times, units) in zip(found.test, made, strict=True):
            assert times.size > 20
            np.testing.assert_array_equal(times, file["spikes/times"][index])
            np.testing.assert_array_equal(units, file["spikes/units"][index])
    recipe = small_job().load("cpu")
    whole = data.training_data(recipe, "ten")
    events = EventData.from_samples(made, whole.test.labels.numpy(), n_units=20, n_classes=2)
    np.testing.assert_array_equal(bin_events(events, whole.encoding), whole.test.frames.numpy())


def small_job():
    from jobs import Job

    settings = ("data.n_units=20", "model.hidden=[6]", "trainer.epochs=1", "model.max_delay=5")
    return Job("compare", "own", "ten", 0, "paper", settings, keep=True)


def test_recordings_are_drawn_gone_on_with_and_evaluated(study, monkeypatch, tmp_path, capsys):
    import noisy_recordings
    from jobs import run_job
    from noisy_recordings import read_noisy
    from runner import read_lines
    from study_data import StudyData

    recordings, ten, packs = study
    noisy = tmp_path / "noisy"
    encode = ("encode", recordings, "--ten", ten, "--packs", packs, "-o", noisy)
    run(monkeypatch, *encode, "--recordings", 2)
    first = {path: path.read_bytes() for path in noisy.glob("recording-*.npz")}
    assert len(first) == 2
    assert "without noise: 0 of" in capsys.readouterr().out
    run(monkeypatch, *encode, "--recordings", 4)
    paths = sorted(noisy.glob("recording-*.npz"))
    assert len(paths) == 4
    assert first.keys() <= set(paths)  # the first of the same order
    run(monkeypatch, *encode[:-1], tmp_path / "again", "--recordings", 4)
    spikes = {}
    for path in paths:
        index = int(path.stem[-5:])
        spikes[index], again = read_noisy(noisy, index), read_noisy(tmp_path / "again", index)
        assert len(spikes[index]) == 6
        for name, pair in spikes[index].items():
            for one, other in zip(pair, again[name], strict=True):
                np.testing.assert_array_equal(one, other)
        times = [pair[0].tobytes() for pair in spikes[index].values()]
        assert len(set(times)) == 6

    job, data = small_job(), StudyData(packs)
    line = run_job(job, job.load("cpu"), data, tmp_path / "run")
    with tarfile.open(tmp_path / "networks-0.tar", "w") as archive:
        archive.add(tmp_path / "run" / "last.pt", f"{job.name}/last.pt")
    evaluate = ("evaluate", tmp_path / "networks-0.tar", "--noisy", noisy, "--packs", packs)
    run(monkeypatch, *evaluate, "-o", tmp_path / "noisy.jsonl")
    (found,) = read_lines(tmp_path / "noisy.jsonl")
    assert found["all_recorded"] == line["last"]
    assert found["samples"] == 4
    assert list(found["accuracies"]) == ["as recorded", *spikes[index]]
    for name, accuracy in found["accuracies"].items():
        pairs = zip(found["predictions"][name], found["labels"], strict=True)
        assert accuracy == np.mean([one == other for one, other in pairs])
    # Not of other settings, and not of recordings that have changed.
    with pytest.raises(SystemExit, match="other settings"):
        run(monkeypatch, *encode, "--seed", 7)
    monkeypatch.setattr(
        noisy_recordings.Recorded, "sound", lambda self, index: (0.9 * tone(index + 100, 3200), RATE), raising=True
    )
    with pytest.raises(SystemExit, match="are not those of"):
        run(monkeypatch, *encode)


def test_nothing_done_is_nothing_evaluated(study, monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="no recording is done"):
        run(monkeypatch, "evaluate", tmp_path / "a.tar", "--noisy", tmp_path, "--packs", study[2], "-o", tmp_path / "o")


def test_the_table_of_noise_has_means_over_seeds_and_what_noise_costs():
    from make_tables import noisy

    def line(row, seed, recorded, at_0_db, samples=8):
        accuracies = {"as recorded": recorded, "white noise, 0 dB": at_0_db}
        return {"row": row, "data": "ten", "seed": seed, "samples": samples, "accuracies": accuracies}

    lines = [line("own", 0, 0.75, 0.25), line("own", 1, 0.5, 0.25), line("paper", 0, 0.5, 0.5)]
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in noisy(lines).splitlines()[2:]]
    assert "8 test recordings" in noisy(lines).splitlines()[0]
    assert rows[0] == ["test recordings", "own", "paper", "own, change", "paper, change"]
    assert rows[2] == ["as recorded", "62.50 ± 12.50", "50.00", "", ""]
    assert rows[3] == ["white noise, 0 dB", "25.00 ± 0.00", "50.00", "-37.50 ± 12.50", "0.00"]
    with pytest.raises(SystemExit, match="evaluate all on the same"):
        noisy([*lines, line("paper", 1, 0.5, 0.5, samples=9)])
