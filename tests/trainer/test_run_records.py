"""What the small files of a run hold is checked where they are read, key by key, with a digest and without."""

from __future__ import annotations

import copy
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from delaytool.analysis import figures as analysis_figures
from delaytool.analysis.run_analysis import _by_epoch
from delaytool.digests import signed_line, write_signed_json
from delaytool.errors import CheckpointError
from delaytool.report import training_figures
from delaytool.report.cross_validation import describe_chosen_epoch, fold_rows
from delaytool.report.learning_curves import draw_learning_curves
from delaytool.report.sentences import describe_kept_epoch
from delaytool.report.three_accuracies import three_accuracy_rows
from delaytool.trainer.protocols import describe_cost, fold_curve
from delaytool.trainer.run_folder import RunFolder
from delaytool.trainer.three_accuracies import last_and_best

BEFORE = Path(__file__).parents[1] / "fixtures" / "written-by-0.1.0"

LINE: dict[str, Any] = {
    "epoch": 1, "train_loss": 2.4, "train_accuracy": 0.1, "validation_loss": 2.3, "validation_accuracy": 0.2,
    "test_loss": 2.2, "test_accuracy": 0.3, "can_be_chosen": True, "sigma": 3.0, "quantized_for": None,
    "in_integers": False, "averaged_epochs": 1, "lr": 0.005, "delay_lr": 0.1, "rate_penalty": 0.25,
    "convolution": {"hidden1": "direct", "readout": "direct"}, "grown": {"hidden1": 3, "readout": 0},
    "delay_moved": {"hidden1": 0.5, "readout": 0.25},
    "delay_histogram": {"hidden1": [3, 5, 7], "readout": [2, 0, 1]},
    "tau": {"hidden1": 2.5, "readout": 3.5}, "spikes": {"hidden1": 21.25}, "seconds": 1.5,
}  # fmt: skip
SUMMARY: dict[str, Any] = {
    "name": "digits", "epochs": 3, "last_epoch": 3, "stopped_after": 3, "best_epoch": 2, "averaged_epochs": 2,
    "protocol": "honest: …", "split": "…", "validation_accuracy": 0.2, "validation_samples": 40,
    "held_out": {"samples": 4, "of": 40, "speakers": 1},
    "test_accuracy_as_trained": 0.25, "test_accuracy_rounded": 0.25, "test_samples": 40,
    "test_accuracy_last_epochs": 0.25, "last_epochs": 3, "test_accuracy_best_on_test": 0.5, "best_on_test_epoch": 3,
    "parameters": 950, "synapses": 464, "data": {"n_units": 64, "n_classes": 10, "n_steps": 20},
    "quantized_for": "loihi2", "spikes": {"hidden1": 16.5}, "warnings": ["a sentence"],
}  # fmt: skip
FOLDS: dict[str, Any] = {
    "folds": [
        {"fold": n, "held_out": "", "samples": 10, "best_epoch": 1 + n, "accuracy": 0.5, "accuracy_at_chosen": 0.5}
        for n in range(2)
    ],
    "mean_accuracy": [0.25, 0.5], "mean_loss": [2.0, 1.0], "chosen_epoch": 2, "accuracy": 0.5, "standard_error": 0.1,
}  # fmt: skip
ENVIRONMENT: dict[str, Any] = {
    "delaytool": "0.1.0", "python": "3.11", "torch": "2.11", "numpy": "2.4", "machine": "x86_64", "system": "Linux",
    "threads": 1, "cuda": None, "seed": 0,
}  # fmt: skip
ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 2, 7, 2**31, 2**63, 2**64, 10**400, 0.5, -0.0, 1.5, 1e-320, 1e308, float("inf"),
    float("nan"), "", "x", "\x1b[31m", "a" * 5000, [], [0], [[]], [1, 2], [1, 2, 3, 4], [1, "x", 3], {}, {"a": 1},
    {"hidden1": 1, "readout": None}, {"hidden1": [1, 2], "readout": [2, 0, 1]}, [None] * 3,
)  # fmt: skip


def lines_of(count: int = 3) -> list[dict[str, Any]]:
    """Epochs that are sound together; sigma is null in the last, as after the last width."""
    lines = [{**copy.deepcopy(LINE), "epoch": epoch} for epoch in range(1, count + 1)]
    return [*lines[:-1], {**lines[-1], "sigma": None}]


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key of a JSON value, and every place of its lists."""
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield (*path, key)
        yield from places(value[key], (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    value = copy.deepcopy(value)
    node = value
    for key in path[:-1]:
        node = node[key]
    if new is KeyError:
        del node[path[-1]]
    else:
        node[path[-1]] = new
    return value


def variants(value: Any) -> Iterator[tuple[str, Any]]:
    for path in places(value):
        for odd in (*ODD, KeyError):
            yield f"{path} {odd!r}"[:80], changed(value, path, odd)


def run_of(folder: Path) -> RunFolder:
    """A run's folder with a recipe alone."""
    folder.mkdir(exist_ok=True)
    shutil.copy(BEFORE / "run" / "recipe.toml", folder)
    return RunFolder(folder)


def write_metrics(run: RunFolder, lines: list[dict[str, Any]]) -> None:
    run.metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))


def use_metrics(run: RunFolder) -> None:
    """Everything that reads metrics, without what draws: the figures are made, their pictures are not."""
    metrics = run.read_metrics()
    run.best_epoch()
    if not metrics:
        return
    for draw in (training_figures.loss, training_figures.accuracy):
        draw(metrics, "validation", 1)
    training_figures.sigma(metrics, 1)
    training_figures.delay_movement(metrics, 1)
    draw_learning_curves({"a": [metrics], "b": [metrics, metrics]})
    by_epoch = _by_epoch(metrics, ["hidden1", "readout"], run.metrics)
    if all(by_epoch.values()):
        once = {name: {"after": [1, 2, 3]} for name in by_epoch}
        analysis_figures.delay_histograms(once, by_epoch)
    last_and_best(metrics)
    fold_curve(metrics)


def refusal(use: Callable[[], object]) -> str:
    """How CheckpointError refuses it, in one line; '' where it is used. Any other error is a failure."""
    try:
        use()
    except CheckpointError as error:
        return str(error)
    return ""


def tried(cases: Iterator[tuple[str, Any]], use: Callable[[Any], None]) -> tuple[int, int]:
    """(how many were used, how many refused)."""
    refused, count = 0, 0
    for what, case in cases:
        count += 1
        try:
            line = refusal(lambda case=case: use(case))
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__}: {error}") from error
        if line:
            assert "the run is damaged" in line, what
            assert "\n" not in line, what
            refused += 1
    return count - refused, refused


def test_whatever_a_line_of_metrics_holds_it_is_refused_or_every_reader_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Figures ended in tracebacks: lists of other lengths, numbers in the place of dictionaries."""
    # Figures without their pictures, which would take minutes. What they compute is computed.
    curves = sys.modules[draw_learning_curves.__module__]
    monkeypatch.setattr(curves, "inline_svg", lambda figure, description: "")
    run = run_of(tmp_path)
    write_metrics(run, lines_of())
    use_metrics(run)
    taken: dict[str, Any] = {}

    def read(line: dict[str, Any]) -> None:
        write_metrics(run, [lines_of()[0], {**line, **({"epoch": 2} if line.get("epoch") == 1 else {})}])
        run.read_metrics()

    for what, line in variants(LINE):
        used, _ = tried(iter([(what, line)]), read)
        if used:
            taken[what.partition(")")[0]] = what, line  # one that is taken, of each place
    assert len(taken) > 25

    def use(line: dict[str, Any]) -> None:
        read(line)
        use_metrics(run)

    assert tried(iter(taken.values()), use)[1] < 10  # those whose layers are not the checkpoint's


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"delay_histogram": {"hidden1": [3, 5], "readout": [2, 0, 1]}}, "delay_histogram of hidden1 has 2 delays"),
        ({"delay_histogram": 7}, "line 2: delay_histogram is 7, which cannot be"),
        ({"delay_histogram": {"hidden1": [3, 5, 7]}}, "of the same layers"),
        ({"delay_histogram": {"hidden1": [3, [5], 7], "readout": [2, 0, 1]}}, r"delay_histogram.hidden1.1 is \[5\]"),
        ({"delay_moved": {"hidden1": 0.5}, "delay_histogram": {}}, "its layers are not those of the first line"),
        ({"train_accuracy": -0.5}, "line 2: train_accuracy is -0.5, which cannot be"),
        ({"validation_accuracy": None}, "known both or neither"),
        ({"validation_accuracy": None, "validation_loss": None}, "validated, or not, unlike the first line"),
        ({"epoch": True}, "epoch is True"),
        ({"epoch": 1}, "epoch 1 follows epoch 1"),
        ({"sigma": "x\x1b[31m"}, r"sigma is x\\x1b\[31m"),
        ({"more": {"deep": [10**400]}}, "more holds a number beyond"),
        ({"train_loss": 1e308}, "train_loss is 1e.308"),
    ],
)
def test_an_error_names_line_key_and_value(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    run = run_of(tmp_path)
    write_metrics(run, [lines_of()[0], {**change, **lines_of()[1], **change}])
    with pytest.raises(CheckpointError, match=rf"metrics.jsonl.*{words}.*; the run is damaged: put the file back"):
        run.read_metrics()


@pytest.mark.parametrize("loss", [float("inf"), float("nan"), 0, 7])
def test_what_training_may_write_is_read(tmp_path: Path, loss: float) -> None:
    run = run_of(tmp_path)
    line = {**LINE, "train_loss": loss, "validation_loss": loss, "something_new": [1, {"a": "b"}], "bits": 7}
    run.metrics.write_bytes(signed_line(line))
    assert json.dumps(run.read_metrics()) == json.dumps([line])


def test_whatever_a_summary_holds_it_is_refused_or_every_reader_takes_it(tmp_path: Path) -> None:
    run = run_of(tmp_path)

    def use(summary: dict[str, Any]) -> None:
        run.summary.write_text(json.dumps(summary))
        found = run.read_summary()
        run.best_epoch()
        describe_kept_epoch(run)
        describe_cost(found)
        three_accuracy_rows(found)
        sum(found["spikes"].values())
        ", ".join(found.get("warnings", []))
        (found.get("data", {}).get("n_steps") or 0) + 1
        for name in ("test_accuracy_as_trained", "test_accuracy_rounded", "test_samples"):
            assert found[name] >= 0
        assert found["protocol"] + found["split"] + found["name"] is not None

    use(SUMMARY)
    used, refused = tried(variants(SUMMARY), use)
    assert min(used, refused) > 100


def test_whatever_a_record_of_folds_holds_it_is_refused_or_every_reader_takes_it(tmp_path: Path) -> None:
    run = run_of(tmp_path)

    def use(record: dict[str, Any]) -> None:
        run.folds.write_text(json.dumps(record))
        found = run.read_folds()
        training_figures.fold_means(found)
        fold_rows(found)
        describe_chosen_epoch(found)
        describe_kept_epoch(run)

    use(FOLDS)
    used, refused = tried(variants(FOLDS), use)
    assert min(used, refused) > 20


def test_an_environment_is_flat(tmp_path: Path) -> None:
    run = run_of(tmp_path)

    def use(environment: dict[str, Any]) -> None:
        run.environment.write_text(json.dumps(environment))
        assert not any(isinstance(value, (list, dict)) for value in run.read_environment().values())

    use(ENVIRONMENT)
    use({})
    used, refused = tried(variants(ENVIRONMENT), use)
    assert min(used, refused) > 30


def finished(folder: Path, epochs: int = 3) -> RunFolder:
    """A run that ended after so many epochs, every file with its digest; its checkpoints are names alone."""
    run = run_of(folder)
    write_signed_json(run.environment, ENVIRONMENT)
    run.metrics.write_bytes(b"".join(map(signed_line, lines_of(epochs))))
    run.best.touch()
    run.last.touch()
    summary = {key: value for key, value in SUMMARY.items() if key not in ("last_epoch", "stopped_after")}
    run.write_summary({**summary, "epochs": epochs})
    return run


def test_of_a_run_that_ended_no_part_of_the_metrics_is_all_of_them(tmp_path: Path) -> None:
    """Cut anywhere, at a line's end too: a crash leaves no such run, for the summary comes last."""
    run = finished(tmp_path)
    whole = run.metrics.read_bytes()
    assert [line["epoch"] for line in run.read_metrics()] == [1, 2, 3]
    for size in range(len(whole) - 1):
        run.metrics.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl.*damaged"):
            run.read_metrics()
    run.metrics.write_bytes(whole[:-1])  # its line end alone
    assert len(run.read_metrics()) == 3
    lines = whole.splitlines(keepends=True)
    for kept in (lines[1:], [lines[0], lines[2]], [*lines, lines[2]], lines[::-1], [*lines, lines[2][:40]]):
        run.metrics.write_bytes(b"".join(kept))
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl.*damaged"):
            run.read_metrics()


@pytest.mark.parametrize("done", [{"stopped_after": 2}, {"last_epoch": 2}, {"last_epoch": 5, "stopped_after": 2}])
def test_a_run_may_end_before_its_recipes_last_epoch(tmp_path: Path, done: dict[str, int]) -> None:
    run = finished(tmp_path, 2)
    summary = {**run.read_summary(), "epochs": 9, **done}
    run.write_summary(summary)
    assert len(run.read_metrics()) == 2


def test_of_a_run_that_goes_on_a_line_may_be_half_written_but_not_before_its_first_checkpoint(tmp_path: Path) -> None:
    run = finished(tmp_path)
    run.summary.unlink()
    lines = run.metrics.read_bytes().splitlines(keepends=True)
    run.metrics.write_bytes(lines[0] + lines[1][:50])
    assert [line["epoch"] for line in run.read_metrics()] == [1]
    for cut in (b"", lines[0][:27]):
        run.metrics.write_bytes(cut)
        with pytest.raises(CheckpointError, match="has no epoch, but the run has a checkpoint; the run is damaged"):
            run.read_metrics()
    run.best.unlink()
    run.last.unlink()
    for cut in (b"", lines[0][:27]):
        run.metrics.write_bytes(cut)
        assert run.read_metrics() == []
    run.metrics.write_bytes(b"".join(lines[1:]))
    with pytest.raises(CheckpointError, match="begins with epoch 2, not 1; the run is damaged"):
        run.read_metrics()


def test_versions_that_kept_no_order_may_have_lost_lines(tmp_path: Path) -> None:
    """They wrote no digests, and the checkpoint before the line."""
    shutil.copytree(BEFORE / "run", tmp_path / "run")
    run = RunFolder(tmp_path / "run")
    lines = run.metrics.read_bytes().splitlines(keepends=True)
    for kept in (lines[1:], lines[:1], [lines[0], lines[2]], [lines[0], lines[1][:50]], []):
        run.metrics.write_bytes(b"".join(kept))
        assert len(run.read_metrics()) == sum(line.endswith(b"\n") for line in kept)


def test_an_analysis_names_a_layer_that_the_metrics_lack(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has no histogram of layer hidden2, which the checkpoint has"):
        _by_epoch(lines_of(), ["hidden1", "hidden2"], tmp_path / "metrics.jsonl")
