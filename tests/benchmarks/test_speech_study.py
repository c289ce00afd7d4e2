"""The benchmarks of accuracy: the reference's training beside ours, the study's data, folds and search."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

STUDY = Path(__file__).parents[2] / "benchmarks" / "speech_study"


@pytest.fixture(autouse=True)
def _the_study_can_be_imported(monkeypatch):
    monkeypatch.syspath_prepend(str(STUDY))
    monkeypatch.syspath_prepend(str(STUDY.parent))


def recorded(seed: int, samples: int, steps: int = 30):
    """Events of `samples` recordings of 3 classes by 6 speakers, 20 units."""
    from delaytool.datasets import EventData

    generator = np.random.default_rng(seed)
    spikes = []
    for _ in range(samples):
        count = int(generator.integers(5, 80))
        times = np.sort(generator.random(count) * (0.01 * generator.integers(5, steps)))
        spikes.append((times, generator.integers(0, 20, count)))
    labels, speakers = np.arange(samples) % 3, (np.arange(samples) // 3) % 6
    return EventData.from_samples(spikes, labels, n_units=20, speakers=speakers, class_names=("a", "b", "c"))


@pytest.fixture
def packs(tmp_path):
    """Small stand-ins for the study's data, packed: (folder, the encodings)."""
    from spike_sets import pack, write_part

    from delaytool.contract.ear import EAR_VERSION, EarModel
    from delaytool.contract.encoding import InputEncoding

    encodings = {
        "digits": InputEncoding(n_units=20, time_step_ms=10.0, channel_bins=5, start="first-spike"),
        "ten": InputEncoding(n_units=20, time_step_ms=10.0, channel_bins=5, start="zero"),
    }
    (tmp_path / "digits").mkdir()
    write_part(recorded(0, 60), tmp_path / "digits" / "train.h5")
    write_part(recorded(1, 30, steps=50), tmp_path / "digits" / "test.h5")
    ear = {"version": EAR_VERSION, "seed": 0, "sample_rate": 16000, **asdict(EarModel(n_channels=20))}
    write_part(recorded(2, 90), tmp_path / "ten.h5", json.dumps(ear))
    pack(tmp_path / "digits", tmp_path / "digits.pack", encodings["digits"])
    pack(tmp_path / "ten.h5", tmp_path / "ten.pack", encodings["ten"])
    return tmp_path, encodings


def recipe_for(name, *settings):
    from jobs import Job

    return Job("test", "paper", name, 0, "paper", ("data.n_units=20", *settings)).load("cpu")


def test_unpacked_files_are_binned_to_the_frames_of_the_packed_ones(packs, tmp_path):
    from spike_sets import differing_frames, read_pack, write_hdf5

    folder, encodings = packs
    for name, source, settings in (("digits", folder / "digits", {}), ("ten", folder / "ten.h5", {"ear": True})):
        unpacked = tmp_path / "unpacked" / name
        write_hdf5(read_pack(folder / f"{name}.pack"), unpacked)
        other = unpacked if name == "digits" else unpacked / "ten.h5"
        differing = differing_frames(str(source), str(other), settings, encodings[name])
        assert differing == {"train": 0, "validation": 0, "test": 0}


@pytest.mark.parametrize(
    ("name", "fold", "settings"),
    [
        ("digits", None, ()), ("digits", None, ("data.values=binary",)), ("digits-speaker-2", None, ()),
        ("ten", None, ()), ("ten", 3, ()),
    ],
)  # fmt: skip
def test_the_studys_frames_are_those_of_training(packs, name, fold, settings):
    from study_data import StudyData

    from delaytool.datasets import Splits
    from delaytool.trainer.data import load_data

    data = StudyData(packs[0])
    recipe = recipe_for(name, *settings)
    ours = data.training_data(recipe, name, fold)
    train, test = data.cut(name, data.pack(name).events(), fold)
    read = load_data(recipe, data=Splits(train, test, test, ""))
    assert ours.encoding == read.encoding
    assert ours.train.frames.any()
    assert ours.test.frames.any()
    for part in ("train", "validation", "test"):
        assert torch.equal(getattr(ours, part).frames, getattr(read, part).frames)
        assert torch.equal(getattr(ours, part).labels, getattr(read, part).labels)


def test_folds_hold_whole_speakers_of_the_training_part_alone(packs):
    from study_data import FOLDS, StudyData

    data = StudyData(packs[0])
    samples = data.pack("ten").samples()
    train, test = data.cut("ten", samples)
    assert not set(train.speakers) & set(test.speakers)
    seen = []
    for fold in range(FOLDS):
        rest, held_out = data.cut("ten", samples, fold)
        assert not set(rest.speakers) & set(held_out.speakers)
        assert sorted([*rest.units, *held_out.units]) == sorted(train.units)  # the unit is the sample's number
        seen += list(held_out.units)
    assert sorted(seen) == sorted(train.units)


def test_the_digits_are_those_of_the_studys_speakers(packs):
    from study_data import DIGITS_SPEAKERS, StudyData

    data = StudyData(packs[0])
    samples = data.pack("digits").samples()
    train, test = data.cut("digits", samples)
    speakers = set(samples["train"].speakers)
    assert speakers > set(train.speakers) == set(DIGITS_SPEAKERS) & speakers
    assert not set(test.speakers) - set(DIGITS_SPEAKERS)


def test_every_two_factors_of_the_screening_are_orthogonal():
    from search import RUNS, plackett_burman

    design = plackett_burman(RUNS, 23)
    for half in (design[:RUNS], design):
        assert np.array_equal(half.T @ half, len(half) * np.eye(23))
        assert not half.sum(0).any()


@pytest.mark.parametrize("runs", [24, 48])
def test_effects_of_a_linear_model_are_found_again(runs):
    from search import FOLDS, RUNS, SPACES, effects, plackett_burman

    generator = np.random.default_rng(0)
    count = len(SPACES["reference"])
    true, of_fold = generator.normal(size=count), generator.normal(size=FOLDS)
    lines = [
        {
            "stage": "screen", "row": f"reference-{index:02d}", "fold": index % FOLDS,
            "mean_of_last": (50 + levels @ true / 2 + of_fold[index % FOLDS]) / 100,
        }
        for index, levels in enumerate(plackett_burman(RUNS, count)[:runs])
    ]  # fmt: skip
    np.testing.assert_allclose(effects("reference", lines).points, true, atol=0.05)


def test_levels_of_every_factor_are_recipes():
    from search import SPACES, settings_of

    for space, factors in SPACES.items():
        for level in (-1, 1):
            recipe_for("ten", *settings_of(space, [level] * len(factors)))


def test_further_candidates_are_trained_on_the_same_folds_and_seed():
    from search import FURTHER, further

    jobs = further("ten", (0, 1))
    assert [(job.row, job.fold) for job in jobs] == [(name, fold) for fold in (0, 1) for name in FURTHER]
    for job in jobs:
        recipe = job.load("cpu")
        assert recipe.seed == 1
        assert (recipe.model.recurrent is not False) == ("recurrent" in job.row)
        assert recipe.trainer.batch_size == (64 if "64" in job.row else 128)
        assert recipe.trainer.time_shift == (8 if "shifts" in job.row or job.row.startswith("augmented") else 0)


def test_the_reference_trains_as_delaytool_does(monkeypatch, tmp_path):
    pytest.importorskip("DCLS.construct.modules", reason="the oracle dcls 0.1.1 is not installed")
    pytest.importorskip("spikingjelly.activation_based", reason="the oracle spikingjelly 2.0.0 is not installed")
    import reference_training
    from accuracy import SourceData
    from jobs import Job

    from delaytool.trainer.initial_network import initial_network
    from delaytool.trainer.loop import train
    from delaytool.trainer.run_folder import RunFolder

    settings = (
        "data.channel_bins=1", "model.hidden=[12,12]", "model.max_delay=8", "model.dropout=0", "trainer.epochs=4",
        "trainer.batch_size=300", "data.start=zero",
    )  # fmt: skip
    recipe = Job("test", "paper", "digits", 1, "paper", settings).load("cpu")
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"source": "digits"})})
    data = SourceData().training_data(recipe, "digits")

    class Begun(reference_training.ReferenceNetwork):
        """The reference's network with the parameters that delaytool begins with."""

        def __init__(self, n_in, n_classes, recipe):
            super().__init__(n_in, n_classes, recipe)
            for theirs, ours in zip(
                self.synapses, initial_network(recipe, n_in, n_classes).delayed_layers(), strict=True
            ):
                theirs.weight.data.copy_(ours.weight.data)
                theirs.P.data.copy_(self.size // 2 - ours.delay.data)

    monkeypatch.setattr(reference_training, "ReferenceNetwork", Begun)
    curves, _ = reference_training.train_reference(recipe, data, torch.device("cpu"))
    train(recipe, tmp_path / "run", data=data)
    metrics = RunFolder(tmp_path / "run").read_metrics()
    for key in ("train_loss", "validation_loss"):
        # One epoch of 5 steps rounds alike; later ones part where a spike falls on another step.
        np.testing.assert_allclose(curves[key][0], metrics[0][key], rtol=1e-4)
        np.testing.assert_allclose(curves[key], [line[key] for line in metrics], rtol=0.02)
    assert curves["train_loss"][-1] < curves["train_loss"][0]


def test_the_reference_begins_and_drops_out_as_delaytool_does():
    pytest.importorskip("DCLS.construct.modules", reason="the oracle dcls 0.1.1 is not installed")
    pytest.importorskip("spikingjelly.activation_based", reason="the oracle spikingjelly 2.0.0 is not installed")
    import reference_training
    from jobs import Job
    from scipy.stats import ks_2samp

    from delaytool.trainer.initial_network import initial_network

    recipe = Job("test", "paper", "digits", 1, "paper", ()).load("cpu")
    ours = initial_network(recipe, 140, 10)
    torch.manual_seed(2)
    reference = reference_training.ReferenceNetwork(140, 10, recipe)
    for own, theirs in zip(ours.delayed_layers(), reference.synapses, strict=True):
        for values, expected in ((own.weight, theirs.weight), (own.delay, reference.size // 2 - theirs.P)):
            drawn, wanted = values.detach().flatten().numpy(), expected.detach().flatten().numpy()
            assert ks_2samp(drawn, wanted).pvalue > 0.01
            assert np.ptp(drawn) == pytest.approx(np.ptp(wanted), rel=0.03)
    # Dropout: one mask for all steps, ones divided by what is left.
    masks = ours.train().hidden[0].dropout_mask(torch.ones(7, 400, 128))
    theirs_masks = reference.train().dropouts[0](torch.ones(7, 400, 128))
    assert bool((theirs_masks == theirs_masks[:1]).all())
    assert masks.unique().tolist() == pytest.approx(theirs_masks.unique().tolist())
    for mask in (masks, theirs_masks[0]):
        assert mask.shape == (400, 128)
        assert float(mask.mean()) == pytest.approx(1, abs=0.02)


RUN = """
import sys, time
from dataclasses import asdict
from pathlib import Path
from jobs import Job
from runner import Runner
from study_data import StudyData

packs, out = map(Path, sys.argv[1:])
tiny = ("model.hidden=[4]", "trainer.epochs=1", "data.n_units=20")
jobs = [
    Job("test", "fits", "digits", 0, "paper", tiny, keep=True),
    Job("test", "fails", "digits", 0, "paper", (*tiny, "trainer.time_shift=500")),
    Job("test", "fits", "digits", 1, "paper", tiny),
]
runner = Runner(StudyData(packs), out, out / "work", "cpu", 1, time.monotonic() + 300)
runner.run(jobs)
runner.archive(jobs)
"""


def test_a_run_that_fails_leaves_its_reason_and_the_others_go_on(packs, tmp_path):
    from runner import read_lines

    out = tmp_path / "out"
    # In a process of its own: this one may have begun threads that a fork would lose.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(STUDY), *sys.path])}
    subprocess.run([sys.executable, "-c", RUN, str(packs[0]), str(out)], check=True, env=environment, timeout=300)
    lines = {line["name"]: line for line in read_lines(out / "results.jsonl")}
    assert "time_shift" in lines.pop("test_fails_digits_s0")["error"]
    assert sorted(lines) == ["test_fits_digits_s0", "test_fits_digits_s1"]
    for line in lines.values():
        assert len(line["curves"]["validation_accuracy"]) == 1
        right = np.mean([one == other for one, other in zip(line["predictions"], line["labels"], strict=True)])
        assert right == pytest.approx(line["last"])
    with tarfile.open(out / "networks-0.tar") as archive:
        assert archive.getnames() == ["test_fits_digits_s0/last.pt"]


def test_an_interrupted_selection_leaves_no_folder_that_looks_whole(monkeypatch, tmp_path):
    import study

    speech, output = tmp_path / "speech", tmp_path / "recordings"
    for name in ("go/a.wav", "cat/a.wav", "no/a.wav"):
        (speech / name).parent.mkdir(parents=True)
        (speech / name).write_bytes(name.encode())
    (speech / "testing_list.txt").write_text("go/a.wav\ncat/a.wav\nno/a.wav\nno/lost.wav\n")
    monkeypatch.setattr(sys, "argv", ["study.py", "select", str(speech), "-o", str(output)])
    with pytest.raises(FileNotFoundError):
        study.main()
    assert [path.name for path in tmp_path.iterdir()] == ["speech"]
    (speech / "no/lost.wav").write_bytes(b"found")
    study.main()
    files = sorted(path.relative_to(output).as_posix() for path in output.rglob("*.wav"))
    assert files == ["go/a.wav", "no/a.wav", "no/lost.wav"]
    with pytest.raises(SystemExit, match="there already"):
        study.main()


def test_damages_have_one_name_in_the_table_whenever_their_run_was_measured():
    from make_tables import damaged
    from robustness import damages, present_name

    former = ["spikes shifted by 1 steps", "spikes shifted by 2 steps", "spikes shifted by 4 steps",
              "10% of the spikes dropped", "30% of the spikes dropped", "50% of the spikes dropped",
              "10% more spikes as noise", "30% more spikes as noise", "100% more spikes as noise"]  # fmt: skip
    assert [present_name(name) for name in former] == list(damages())
    assert [present_name(name) for name in damages()] == list(damages())
    lines = [
        {"stage": "compare", "row": "own", "data": "ten", "name": f"own-{seed}", "seed": seed, "last": 0.5,
         "damaged": dict.fromkeys(names, accuracy)}
        for seed, (names, accuracy) in enumerate([(former, 0.25), (damages(), 0.75)])
    ]  # fmt: skip
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in damaged(lines).splitlines()[4:]]
    assert rows == [["as recorded", "50.00 ± 0.00"], *([name, "50.00 ± 25.00"] for name in damages())]


def test_differences_in_pairs_have_students_interval(capsys):
    from accuracy import print_table
    from student import student_interval

    accuracies = {"ours": (0.70, 0.72, 0.71, 0.75), "reference": (0.69, 0.74, 0.70)}  # seed 3 has no pair
    lines = [
        {"data": "/a/ten", "row": row, "seed": seed, "last": value, "mean_of_last": value - 0.01, "best_on_test": 0.8}
        for row, values in accuracies.items()
        for seed, value in enumerate(values)
    ]
    print_table(lines, epochs=40)
    rows = [[cell.strip() for cell in row.split("|")[1:-1]] for row in capsys.readouterr().out.strip().splitlines()]
    assert rows[0][4] == "mean of the last 5"
    assert ["ten", "ours", "mean of 4", "72.00 % ± 1.08", "71.00 % ± 1.08", "80.00 % ± 0.00"] in rows
    # By hand: differences +1, -2, +1 have mean 0 and deviation sqrt(3); Student's quantile with 2 degrees is 4.302653.
    expected = "+0.00 (-4.30 to +4.30)"
    assert rows[-1] == [
        "ten", "ours - reference, points", "3 pairs", expected, expected, "+0.00 (+0.00 to +0.00)",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no interval"):
        student_interval([1.0])


def test_a_single_pair_has_a_difference_without_an_interval(capsys):
    from accuracy import print_table

    lines = [
        {"data": "ten", "row": row, "seed": 0, "last": last, "mean_of_last": 0.5, "best_on_test": 0.9}
        for row, last in (("ours", 0.71), ("reference", 0.69))
    ]
    print_table(lines, epochs=200)
    assert (
        capsys.readouterr().out.splitlines()[-1]
        == "| ten | ours - reference, points | 1 pair | +2.00 | +0.00 | +0.00 |"
    )
