"""Runs in Weights & Biases and in MLflow, where those are installed: a Reporter each.

Both log what TensorBoard's file in the run folder holds, and the recipe's keys. A resumed run goes on as the one that
it was there: its id is kept in the run folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from delaytool.errors import MissingExtraError
from delaytool.files import write_text_atomically
from delaytool.trainer.reporter import Reporter, scalars

if TYPE_CHECKING:
    from delaytool.models.delay_network import DelayNetwork
    from delaytool.trainer.data import TrainingData
    from delaytool.trainer.recipe import Recipe

# What MLflow admits as the value of a parameter, in characters.
LONGEST_PARAMETER = 500


class WandbReporter(Reporter):
    """Logs a run to Weights & Biases, as that is set up: its login, WANDB_MODE=offline, WANDB_DIR and the like.

    folder    the run's
    Raises MissingExtraError where wandb is not installed. Call `close` at the end, whatever the end.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import wandb
        except ImportError:
            raise MissingExtraError("--log wandb", "wandb", "wandb") from None
        self._wandb, self._folder = wandb, folder
        self._run: Any = None

    def begin(self, recipe: Recipe, data: TrainingData, model: DelayNetwork, epochs_done: int) -> None:
        kept = self._folder / "wandb-run-id"
        self._run = self._wandb.init(
            project="delaytool",
            name=self._folder.name,
            dir=str(self._folder),
            config=recipe.model_dump(mode="json"),
            id=_kept_id(kept),
            resume="allow",
        )
        write_text_atomically(kept, f"{self._run.id}\n")

    def epoch(self, metrics: dict[str, Any], is_best: bool) -> None:
        self._run.log(dict(scalars(metrics)), step=metrics["epoch"])

    def end(self, summary: dict[str, Any]) -> None:
        self._run.summary.update(dict(scalars(summary)))
        self._run.finish()
        self._run = None

    def close(self) -> None:
        """End what has not ended, as failed."""
        if self._run is not None:
            self._run.finish(exit_code=1)
            self._run = None


class MlflowReporter(Reporter):
    """Logs a run to MLflow, as that is set up: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME and the like.

    Raises MissingExtraError where mlflow is not installed. Call `close` at the end, whatever the end.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import mlflow
        except ImportError:
            raise MissingExtraError("--log mlflow", "mlflow", "mlflow") from None
        self._mlflow, self._folder = mlflow, folder
        self._is_open = False

    def begin(self, recipe: Recipe, data: TrainingData, model: DelayNetwork, epochs_done: int) -> None:
        kept = self._folder / "mlflow-run-id"
        known = _kept_id(kept)
        run = self._mlflow.start_run(run_id=known, run_name=None if known else self._folder.name)
        self._is_open = True
        write_text_atomically(kept, f"{run.info.run_id}\n")
        if known is None:
            self._mlflow.log_params(dict(_parameters(recipe.model_dump(mode="json"))))

    def epoch(self, metrics: dict[str, Any], is_best: bool) -> None:
        self._mlflow.log_metrics(dict(scalars(metrics)), step=metrics["epoch"])

    def end(self, summary: dict[str, Any]) -> None:
        self._mlflow.log_metrics({f"summary/{name}": value for name, value in scalars(summary)})
        self._end("FINISHED")

    def close(self) -> None:
        """End what has not ended, as killed."""
        self._end("KILLED")

    def _end(self, status: str) -> None:
        if self._is_open:
            self._mlflow.end_run(status=status)
            self._is_open = False


LOGS: dict[str, type[WandbReporter] | type[MlflowReporter]] = {"wandb": WandbReporter, "mlflow": MlflowReporter}


def _kept_id(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() or None if path.exists() else None


def _parameters(values: dict[str, Any], prefix: str = "") -> Any:
    """(dotted key, value) of every key of a recipe."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _parameters(value, f"{prefix}{key}.")
        else:
            yield prefix + key, str(value)[:LONGEST_PARAMETER]
