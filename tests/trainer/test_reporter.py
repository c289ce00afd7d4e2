"""Callbacks: what is called when, several at once, and the logs of other packages, by stand-ins of those."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from delaytool.errors import MissingExtraError
from delaytool.trainer.experiment_logs import MlflowReporter, WandbReporter
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import Recipe
from delaytool.trainer.reporter import Reporter, Reporters, scalars
from delaytool.trainer.run_folder import RunFolder

METHODS = [name for name in vars(Reporter) if not name.startswith("_")]


class Calls(Reporter):
    """Keeps the names of what was called."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in METHODS:
            self.names.append(name)
        return super().__getattribute__(name)


def test_callbacks_come_in_the_documented_order(tiny_recipe: Recipe, tmp_path: Path) -> None:
    one, other = Calls(), Calls()
    train(tiny_recipe, tmp_path / "run", reporter=Reporters(one, other))
    assert one.names == other.names
    names = [name for name in one.names if name not in ("reading", "warning")]
    n_batches = -(-719 // 256)
    assert names == ["begin", *(["batch"] * n_batches + ["epoch"]) * 4, "end"]


def test_several_pass_everything_on() -> None:
    """Every method of the protocol, so that a new one is not forgotten."""
    calls = Calls()
    several = Reporters(calls)
    for name in METHODS:
        count = getattr(Reporter, name).__code__.co_argcount - 1
        getattr(several, name)(*range(count))
    assert calls.names == METHODS


def test_an_epoch_is_kept_when_it_is_reported(tiny_recipe: Recipe, tmp_path: Path) -> None:
    class Stops(Reporter):
        def epoch(self, metrics: dict[str, Any], is_best: bool) -> None:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        train(tiny_recipe, tmp_path / "run", reporter=Stops())
    assert len(RunFolder(tmp_path / "run").read_metrics()) == 1
    assert train(None, tmp_path / "run", resume=True)["epochs"] == 4


class FakeWandb(ModuleType):
    def __init__(self) -> None:
        super().__init__("wandb")
        self.runs: list[SimpleNamespace] = []

    def init(self, **options: Any) -> SimpleNamespace:
        logged: list[tuple[int, dict[str, float]]] = []
        run = SimpleNamespace(
            id=options["id"] or f"id{len(self.runs)}", options=options, logged=logged, summary={}, ended=None
        )
        run.log = lambda values, step: logged.append((step, values))
        run.finish = lambda exit_code=0: setattr(run, "ended", exit_code)
        self.runs.append(run)
        return run


class Interrupts(Reporter):
    def batch(self, epoch: int, index: int, count: int, loss: float | None) -> None:
        if epoch == 3:
            raise KeyboardInterrupt


def test_weights_and_biases(tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    folder = tmp_path / "run"
    log = WandbReporter(folder)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe, folder, reporter=Reporters(log, Interrupts()))
    log.close()
    log = WandbReporter(folder)
    summary = train(None, folder, resume=True, reporter=log)
    log.close()
    first, second = wandb.runs
    assert (first.ended, second.ended) == (1, 0)
    assert second.options["id"] == first.id
    assert first.options["config"] == tiny_recipe.model_dump(mode="json")
    assert first.options["name"] == "run"
    lines = RunFolder(folder).read_metrics()
    assert [step for step, _ in first.logged + second.logged] == [1, 2, 3, 4]
    assert [values for _, values in first.logged + second.logged] == [dict(scalars(line)) for line in lines]
    assert {"train_loss", "validation_accuracy", "spikes/hidden1"} <= set(first.logged[0][1])
    assert second.summary["test_accuracy_rounded"] == summary["test_accuracy_rounded"]


class FakeMlflow(ModuleType):
    def __init__(self) -> None:
        super().__init__("mlflow")
        self.runs: list[SimpleNamespace] = []
        self.metrics: list[tuple[int | None, dict[str, float]]] = []
        self.parameters: list[dict[str, str]] = []

    def start_run(self, run_id: str | None, run_name: str | None) -> SimpleNamespace:
        run = SimpleNamespace(info=SimpleNamespace(run_id=run_id or "abc"), given=run_id, name=run_name, status=None)
        self.runs.append(run)
        return run

    def end_run(self, status: str) -> None:
        self.runs[-1].status = status

    def log_params(self, values: dict[str, str]) -> None:
        self.parameters.append(values)

    def log_metrics(self, values: dict[str, float], step: int | None = None) -> None:
        self.metrics.append((step, values))


def test_mlflow(tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = FakeMlflow()
    monkeypatch.setitem(sys.modules, "mlflow", mlflow)
    folder = tmp_path / "run"
    log = MlflowReporter(folder)
    with pytest.raises(KeyboardInterrupt):
        train(tiny_recipe, folder, reporter=Reporters(log, Interrupts()))
    log.close()
    log = MlflowReporter(folder)
    summary = train(None, folder, resume=True, reporter=log)
    log.close()
    assert [(run.given, run.name, run.status) for run in mlflow.runs] == [
        (None, "run", "KILLED"),
        ("abc", None, "FINISHED"),
    ]
    assert len(mlflow.parameters) == 1  # a value that is logged twice must not change, so a resumed run logs none
    assert mlflow.parameters[0]["trainer.epochs"] == "4"
    assert [step for step, _ in mlflow.metrics] == [1, 2, 3, 4, None]
    assert mlflow.metrics[-1][1]["summary/test_accuracy_rounded"] == summary["test_accuracy_rounded"]


@pytest.mark.parametrize(("kind", "package"), [(WandbReporter, "wandb"), (MlflowReporter, "mlflow")])
def test_what_is_not_installed_is_named(
    kind: type, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"--log {package} needs {package}.*\[{package}\]"):
        kind(tmp_path)
