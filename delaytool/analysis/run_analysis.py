"""From a run folder to its analysis: structure before and after training, delay histograms by epoch."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from delaytool.analysis.layer_structure import LayerStructure, MoranSettings, layer_structure
from delaytool.analysis.receptive_fields import receptive_fields
from delaytool.errors import CheckpointError
from delaytool.models.delay_histogram import delay_histogram
from delaytool.models.delay_network import DelayNetwork
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.initial_network import initial_network
from delaytool.trainer.run_folder import RunFolder

BEFORE, AFTER = "before", "after"


@dataclass(frozen=True)
class RunAnalysis:
    """What a run learned.

    structure    by layer analyzed, then by stage ('before', 'after' training)
    histograms   by layer, then by stage: synapses on each whole delay
    by_epoch     by layer: (epoch, synapses on each whole delay), in order; empty where the run kept none
    notes        sentences that a reader must know
    """

    name: str
    checkpoint: str
    epoch: int
    settings: MoranSettings
    time_step_ms: float
    structure: dict[str, dict[str, LayerStructure]]
    histograms: dict[str, dict[str, list[int]]]
    by_epoch: dict[str, list[tuple[int, list[int]]]]
    notes: tuple[str, ...]

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages that the run has: 'after' alone where it was not trained here."""
        return tuple(next(iter(self.histograms.values())))


def analyze_run(
    folder: str | os.PathLike[str],
    *,
    layers: Sequence[str] = (),
    settings: MoranSettings | None = None,
    checkpoint: str = "best",
    progress: Callable[[str, int, int], None] | None = None,
) -> RunAnalysis:
    """Analyze a run's checkpoint and the network that its training began with.

    layers      names of those whose fields are tested; default: the first, whose units are the input's channels
    checkpoint  'best' or 'last'
    progress    called with (what, done, of how many)
    Raises CheckpointError for a folder without that checkpoint, or a layer that the network does not have.
    """
    run = RunFolder(folder)
    source = run.best if checkpoint == "best" else run.last
    saved = Checkpoint.load(source)
    after = saved.float_network()
    names = after.layer_names()
    chosen = _chosen(tuple(layers), names)
    models = {BEFORE: _network_before(saved, after), AFTER: after}
    metrics = run.read_metrics()
    notes = list(_notes(chosen, names, saved))
    if not metrics:
        del models[BEFORE]
        notes.append("the run was not trained here (it has no metrics), so its network before training is unknown")
    else:
        notes.extend(_other_torch(run))
    settings = settings or MoranSettings()
    structure: dict[str, dict[str, LayerStructure]] = {name: {} for name in chosen}
    for stage, model in models.items():
        fields = receptive_fields(model, saved.encoding)
        for name in chosen:

            def report(done: int, total: int, what: str = f"{name}, {stage} training") -> None:
                if progress is not None:
                    progress(what, done, total)

            structure[name][stage] = layer_structure(fields[name], settings, report)
    histograms = {name: {stage: _histograms(model)[name] for stage, model in models.items()} for name in names}
    return RunAnalysis(
        name=saved.recipe.name,
        checkpoint=source.name,
        epoch=saved.epoch,
        settings=settings,
        time_step_ms=saved.encoding.time_step_ms,
        structure=structure,
        histograms=histograms,
        by_epoch=_by_epoch(metrics, names, run.metrics),
        notes=tuple(notes),
    )


def _network_before(saved: Checkpoint, after: DelayNetwork) -> DelayNetwork:
    """The network that training began with.

    Signs are taken from the checkpoint, as training keeps them: earlier versions drew others for recurrent layers with
    `model.dale`.
    """
    before = initial_network(saved.recipe, saved.encoding.n_channels, saved.n_classes)
    for layer, trained in zip(before.delayed_layers(), after.delayed_layers(), strict=True):
        if trained.sign is not None:
            layer.take_signs(trained.sign)
    return before


def _chosen(layers: tuple[str, ...], names: list[str]) -> tuple[str, ...]:
    for name in layers:
        if name not in names:
            raise CheckpointError(f"layer {name}: the network has no such layer; choose from {', '.join(names)}")
    return tuple(dict.fromkeys(layers)) or (names[0],)


def _notes(chosen: tuple[str, ...], names: list[str], saved: Checkpoint) -> list[str]:
    inner = [name for name in chosen if name != names[0]]
    if not inner:
        return []
    return [
        f"{', '.join(inner)}: the neurons that send to it have no order of their own, so neighbors among them, and a "
        "Moran's I over them, mean little"
    ]


def _other_torch(run: RunFolder) -> list[str]:
    made_by = run.read_environment().get("torch")
    if made_by in (None, torch.__version__):
        return []
    return [
        f"the network before training was drawn again by PyTorch {torch.__version__}, the run's by {made_by}: "
        "another version may draw other numbers"
    ]


def _histograms(model: DelayNetwork) -> dict[str, list[int]]:
    return dict(zip(model.layer_names(), map(delay_histogram, model.delayed_layers()), strict=True))


def _by_epoch(metrics: list[dict[str, Any]], names: list[str], path: Path) -> dict[str, list[tuple[int, list[int]]]]:
    kept = [(line["epoch"], line["delay_histogram"]) for line in metrics if line.get("delay_histogram")]
    missing = [name for name in names for _, counts in kept if name not in counts]
    if missing:
        raise CheckpointError(
            f"{path}: has no histogram of layer {missing[0]}, which the checkpoint has; the run is damaged: put the "
            "file back as it was, or train again into another folder"
        )
    return {name: [(epoch, counts[name]) for epoch, counts in kept] for name in names}
