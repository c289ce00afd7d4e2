"""`train` as a program calls it: what is given is what is trained, or an error."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from interrupting import Interrupts

from delaytool.errors import CheckpointError, DataError, DelaytoolError, RecipeError
from delaytool.experiments.export_model import export
from delaytool.experiments.run import load_run, train
from delaytool.trainer.run_folder import RunFolder

SMALL = {"model.hidden": [4], "trainer.epochs": 1}
TWO_EPOCHS = {"model.hidden": [4], "trainer.epochs": 2}
FRAMES = np.random.default_rng(0).random((40, 12, 6)) < 0.3  # (sample, time, channel)
LABELS = np.arange(40) % 2
EVENTS = [(np.linspace(0, 0.1, 9), np.arange(9) % 6) for _ in LABELS]


@pytest.mark.parametrize(
    ("data", "key", "value", "own"),
    [
        (FRAMES, "data.start", "first-spike", "zero"),
        (FRAMES, "data.ear", True, False),
        (FRAMES, "data.mel", "hd", None),
        (FRAMES + 0.5, "data.values", "binary", "graded"),
        (FRAMES + 0.5, "data.channel_bins", 2, 1),
        (FRAMES + 0.5, "data.max_count", 3, None),
        (EVENTS, "data.source", "shd", "in-memory"),
    ],
)
def test_a_key_that_the_data_decide_otherwise_is_refused(data, key, value, own, tmp_path: Path) -> None:
    overrides = SMALL | {key: value}
    with pytest.raises(RecipeError, match=f"{key}: {value!r} is not possible with these data, which make it {own!r}"):
        train("digits", (data, LABELS), folder=tmp_path / "run", overrides=overrides)
    assert not (tmp_path / "run").exists()


def test_a_recipe_of_recordings_takes_frames_and_records_how_they_were_read(tmp_path: Path) -> None:
    run = train("gsc-3l-1kc", (FRAMES + 0.5, LABELS), folder=tmp_path / "run", overrides=SMALL)
    assert (run.recipe.data.values, run.recipe.data.mel, run.encoding.mel) == ("graded", None, None)


def test_spike_counts_keep_their_channels_unless_bins_are_asked_for(tmp_path: Path) -> None:
    run = train("shd-2l-1kc", (FRAMES, LABELS), folder=tmp_path / "run", overrides=SMALL)
    assert (run.encoding.n_channels, run.recipe.data.channel_bins) == (6, 1)
    assert export(run, calibration=FRAMES).encoding.n_channels == 6
    run = train("shd-2l-1kc", (FRAMES, LABELS), folder=tmp_path / "bins", overrides=SMALL | {"data.channel_bins": 3})
    assert (run.encoding.n_channels, run.recipe.data.channel_bins) == (2, 3)
    again = train(run.recipe, (FRAMES, LABELS), folder=tmp_path / "again")  # a recipe that is no preset means it
    assert (again.encoding.n_channels, again.recipe.data.channel_bins) == (2, 3)


def test_whole_numbers_for_a_recipe_of_real_numbers(tmp_path: Path) -> None:
    counts = np.random.default_rng(1).integers(0, 9, FRAMES.shape)
    for name, more in (("gsc-3l-1kc", {}), ("digits", {"data.values": "graded"})):
        with pytest.raises(DataError, match=r"give those as floats .*, or set data\.values to 'count'"):
            train(name, (counts, LABELS), folder=tmp_path / "run", overrides=SMALL | more)
        run = train(name, (counts.astype(float), LABELS), folder=tmp_path / name, overrides=SMALL | more)
        assert run.encoding.values == "graded"
        assert len(train(data=(counts.astype(float), LABELS), folder=tmp_path / name, resume=True).metrics) == 1
    run = train("gsc-3l-1kc", (counts, LABELS), folder=tmp_path / "run", overrides=SMALL | {"data.values": "count"})
    assert run.encoding.values == "count"


def test_the_time_unit_of_events_in_memory_is_the_recipe_s(tmp_path: Path) -> None:
    in_ms = [(1000 * times, units) for times, units in EVENTS]
    runs = [
        train("digits", (events, LABELS), folder=tmp_path / unit, overrides=SMALL | {"data.time_unit": unit})
        for unit, events in (("s", EVENTS), ("ms", in_ms))
    ]
    assert [run.encoding.n_steps for run in runs] == [51, 51]
    assert runs[0].checkpoint().data == runs[1].checkpoint().data


def test_a_source_is_given_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"data.source: .* leave one of them out"):
        train("digits", "shd", folder=tmp_path / "run", overrides={"data.source": "digits"})


def test_a_run_is_resumed_where_its_data_have_moved_with_the_same_samples_alone(tmp_path: Path) -> None:
    for name, shift in (("here", 0), ("there", 0), ("others", 1)):
        _write_events(tmp_path / f"{name}.h5", shift)
    with pytest.raises(KeyboardInterrupt):
        train("digits", tmp_path / "here.h5", folder=tmp_path / "run", overrides=TWO_EPOCHS, reporter=Interrupts(2))
    (tmp_path / "here.h5").unlink()
    with pytest.raises(CheckpointError, match="frames or labels of the"):
        train(data=tmp_path / "others.h5", folder=tmp_path / "run", resume=True)
    with pytest.raises(DataError, match="where the data have moved, give their new place with --data"):
        train(folder=tmp_path / "run", resume=True)
    run = train(data=tmp_path / "there.h5", folder=tmp_path / "run", resume=True)
    whole = train("digits", tmp_path / "there.h5", folder=tmp_path / "whole", overrides=TWO_EPOCHS)
    assert run.recipe.data.source == str(tmp_path / "here.h5")
    assert run.metrics[-1] | {"seconds": 0} == whole.metrics[-1] | {"seconds": 0}


def test_data_at_another_place_are_refused_before_the_first_checkpoint(tmp_path: Path) -> None:
    _write_events(tmp_path / "here.h5", 0)
    with pytest.raises(KeyboardInterrupt):
        train("digits", tmp_path / "here.h5", folder=tmp_path / "run", overrides=TWO_EPOCHS, reporter=Interrupts(1))
    with pytest.raises(CheckpointError, match="no checkpoint records what its data were"):
        train(data=tmp_path / "other.h5", folder=tmp_path / "run", resume=True)


def _write_events(path: Path, shift: int) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["n_units"] = 7
        for name, kind, at in (("times", np.float32, 0), ("units", np.uint16, 1)):
            rows = file.create_dataset(f"spikes/{name}", (len(EVENTS),), dtype=h5py.vlen_dtype(kind))
            for index, events in enumerate(EVENTS):
                rows[index] = (events[at] + shift * at).astype(kind)
        file["labels"] = LABELS


def test_a_run_in_memory_is_resumed_with_its_own_data_alone(tmp_path: Path) -> None:
    train("digits", (FRAMES, LABELS), folder=tmp_path / "run", overrides=SMALL)
    other = FRAMES.copy()
    other[0, 0, 0] ^= True
    with pytest.raises(DelaytoolError, match="frames or labels of the"):
        train(data=(other, LABELS), folder=tmp_path / "run", resume=True)
    assert len(train(data=(FRAMES, LABELS), folder=tmp_path / "run", resume=True).metrics) == 1
    assert load_run(tmp_path / "run").summary


@pytest.mark.parametrize("at", [(1, 1), (2, 1)], ids=["before the first checkpoint", "after it"])
@pytest.mark.parametrize("labels", [LABELS, np.array(["up", "down"])[LABELS]], ids=["numbers", "names"])
def test_class_names_are_those_that_the_run_began_with(at: tuple[int, int], labels: np.ndarray, tmp_path: Path) -> None:
    """Not in the order of the alphabet, so that labels that are names would be numbered otherwise."""
    data, names = (FRAMES, labels), ["up", "down"]
    whole = train("digits", data, folder=tmp_path / "whole", overrides=TWO_EPOCHS, class_names=names)
    with pytest.raises(KeyboardInterrupt):
        train(
            "digits", data, folder=tmp_path / "run", overrides=TWO_EPOCHS, class_names=names, reporter=Interrupts(*at)
        )
    with pytest.raises(CheckpointError, match=r"class_names \('down', 'up'\) are not those that the run began with"):
        train(data=data, folder=tmp_path / "run", class_names=["down", "up"], resume=True)
    run = train(data=data, folder=tmp_path / "run", resume=True)
    assert export(run).class_names == ("up", "down")
    assert export(run).integers_sha256() == export(whole).integers_sha256()
    assert export(load_run(run.path), calibration=FRAMES).class_names == ("up", "down")


def test_a_run_of_an_earlier_version_has_no_names_until_it_is_given_some(tmp_path: Path) -> None:
    names = ["up", "down"]
    run = train("digits", (FRAMES, LABELS), folder=tmp_path / "run", overrides=SMALL, class_names=names)
    RunFolder(run.path).class_names.unlink()
    assert export(load_run(run.path), calibration=FRAMES).class_names == ()
    train(data=(FRAMES, LABELS), folder=run.path, class_names=names, resume=True)
    assert export(load_run(run.path), calibration=FRAMES).class_names == ("up", "down")
