"""One run of the study: what it is, training it, and the line of results.jsonl that it leaves."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from reference_training import count_parameters, train_reference
from robustness import Predict, accuracies, as_text, predictions, share_equal
from study_data import SETTINGS, FramesByName

from delaytool.models.delay_network import class_scores
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.loop import train, training_device
from delaytool.trainer.recipe import Recipe, load_recipe, override_of
from delaytool.trainer.run_folder import RunFolder

RECIPES = Path(__file__).parent / "recipes"
CURVES = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "seconds")


@dataclass(frozen=True)
class Job:
    """A run.

    stage      the table that it belongs to; row: its line there
    recipe     a file of recipes/, and settings over it, each `section.key=value`
    data       a name of `study_data`; fold: of its training part, in which settings are chosen; None: on the test part
    reference  trained by the reference formulation instead of delaytool
    keep       keep the last epoch's network, for exporting
    """

    stage: str
    row: str
    data: str
    seed: int
    recipe: str
    settings: tuple[str, ...] = ()
    fold: int | None = None
    reference: bool = False
    keep: bool = False

    @property
    def name(self) -> str:
        """Of the run, its line and its checkpoint: letters, digits, '.', '_' and '-'."""
        parts = [
            self.stage,
            self.row,
            self.data,
            *(() if self.fold is None else (f"fold{self.fold}",)),
            f"s{self.seed}",
        ]
        return "_".join("".join(c if c.isalnum() or c in ".-" else "-" for c in part) for part in parts)

    def load(self, device: str = "auto", over: tuple[str, ...] = ()) -> Recipe:
        """Its whole recipe. over: settings that come last, such as fewer epochs for a trial."""
        overrides = [
            *SETTINGS.get(self.data, ()),
            *self.settings,
            *over,
            f"seed={self.seed}",
            "trainer.threads=1",
            f"trainer.device={device}",
        ]
        if "/" in self.data:
            overrides.append(override_of("data.source", self.data))
        recipe = load_recipe(str(RECIPES / f"{self.recipe}.toml"), overrides)
        return recipe.model_copy(update={"name": self.name})


def run_job(job: Job, recipe: Recipe, data: FramesByName, folder: Path) -> dict[str, Any]:
    """Train, evaluate after every epoch, and return the line of results.jsonl.

    folder: of the run while it trains; afterwards it holds last.pt alone, where the job keeps its network.
    """
    begin = time.perf_counter()
    frames = data.training_data(recipe, job.data, job.fold)
    device = training_device(recipe.trainer.device)
    if job.reference:
        torch.set_flush_denormal(True)
        curves, network = train_reference(recipe, frames, device)
        predict = network.predict
        counts = count_parameters(recipe, frames.encoding.n_channels, frames.n_classes)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        summary = train(recipe, folder, data=frames)
        metrics = RunFolder(folder).read_metrics()
        curves = {key: [line[key] for line in metrics] for key in CURVES}
        counts = {
            "parameters": summary["parameters"], "synapses": summary["synapses"],
            "spikes": metrics[-1]["spikes"], "sigma": metrics[-1]["sigma"],
        }  # fmt: skip
        predict = predicting(Checkpoint.load(RunFolder(folder).last), device)
        if job.keep:
            keep_network(folder)
        else:
            shutil.rmtree(folder)
    seen: dict[str, Any] = {}
    if job.fold is None:
        evaluated, highest = frames.validation.to(device), frames.encoding.max_payload
        seen |= {"predictions": predictions(predict, evaluated), "labels": as_text(evaluated.labels.tolist())}
        if job.stage == "compare":
            seen["damaged"] = accuracies(predict, evaluated, highest)
    return {
        "name": job.name,
        **asdict(job),
        "settings": list(job.settings),
        "values": recipe.model_dump(mode="json"),
        **figures(curves["validation_accuracy"]),
        "samples": {"train": len(frames.train), "evaluated": len(frames.validation)},
        "n_steps": frames.encoding.n_steps,
        "max_count": frames.encoding.max_count,
        **counts,
        **seen,
        "curves": {key: [round(float(value), 6) for value in values] for key, values in curves.items()},
        "wall_seconds": round(time.perf_counter() - begin, 3),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "torch": torch.__version__,
    }


def evaluated_line(job: Job, folder: Path, data: FramesByName, device: str) -> dict[str, Any]:
    """As much of a job's line as its kept network tells; the figure is the last epoch's, and there are no curves."""
    saved = Checkpoint.load(folder / "last.pt")
    on = training_device(device)
    frames = data.training_data(saved.recipe, job.data)
    predict = predicting(saved, on)
    part = frames.validation.to(on)
    line = {
        "name": job.name,
        **asdict(job),
        "settings": list(job.settings),
        "values": saved.recipe.model_dump(mode="json"),
        "samples": {"train": len(frames.train), "evaluated": len(part)},
        "parameters": saved.float_network().n_parameters(),
        "predictions": predictions(predict, part),
        "labels": as_text(part.labels.tolist()),
    }
    line["last"] = share_equal(line["predictions"], line["labels"])
    if job.stage == "compare":
        line["damaged"] = accuracies(predict, part, frames.encoding.max_payload)
    return line


def predicting(saved: Checkpoint, device: torch.device) -> Predict:
    """What a kept network predicts."""
    network = saved.network().to(device)
    return lambda frames: class_scores(network(frames, None)).argmax(1)


def figures(accuracies: list[float]) -> dict[str, Any]:
    """Of a curve of accuracies: the last epoch, the mean of the last ones, and the best, which chooses on test."""
    count = last_epochs(len(accuracies))
    return {
        "last": accuracies[-1],
        "mean_of_last": sum(accuracies[-count:]) / count,
        "epochs_in_mean": count,
        "best_on_test": max(accuracies),
        "best_epoch": 1 + accuracies.index(max(accuracies)),
    }


def last_epochs(epochs: int) -> int:
    """Over how many epochs at the end a mean is taken: 20, or 5 of fewer than 100."""
    return min(epochs, 20 if epochs >= 100 else 5)


def keep_network(folder: Path) -> None:
    """Leave of a run its last epoch's checkpoint without the optimizers, which is all that exporting needs."""
    run = RunFolder(folder)
    saved = replace(Checkpoint.load(run.last), optimizers=[])
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    saved.save(run.last)
