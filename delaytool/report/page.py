"""Composes the page of a run or a network: figures and sentences in one HTML file that needs no other."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from delaytool.analysis import figures as analysis_figures
from delaytool.errors import RecipeError
from delaytool.experiments.verify_run import TwoPartVerification
from delaytool.files import write_text_atomically
from delaytool.report import network_figures, rows, sentences, training_figures
from delaytool.report.activity import SATURATED
from delaytool.report.chip import chip_section
from delaytool.report.confusion_figure import confusion
from delaytool.report.content import Content
from delaytool.report.cross_validation import FOLD_HEADINGS, describe_chosen_epoch, fold_rows
from delaytool.report.inline_svg import inline_svg
from delaytool.report.render import render
from delaytool.report.sample_figure import raster
from delaytool.report.samples import class_name
from delaytool.report.three_accuracies import three_accuracy_rows
from delaytool.trainer.run_folder import RunFolder

if TYPE_CHECKING:
    from delaytool.analysis.run_analysis import RunAnalysis
    from delaytool.report.recipe_changes import RecipeChanges

FIELDS_SHOWN = 12
# Samples of a large network are left out where they would make the page larger than 2 MB.
MOST_SAMPLE_BYTES = 1_000_000


SECTIONS = {
    "verification": "Verification",
    "confusion": "Classes and mistakes",
    "cost": "Cost and time",
    "chip": "On the chip",
    "sample": "Samples, spike by spike",
    "activity": "Firing rates",
    "training": "Training",
    "delays": "Delays",
    "weights": "Weights",
    "export": "Export, layer by layer",
    "provenance": "Recipe and provenance",
    "fields": "Receptive fields",
}


def write_page(content: Content, output: Path) -> None:
    """Compose the page and write it, whole or not at all."""
    write_text_atomically(output, compose(content))


def compose(content: Content) -> str:
    """The page as text."""
    return render(
        "page.html.j2",
        SECTIONS,
        title=sentences.page_title(content),
        subtitle=sentences.page_subtitle(content),
        verdict=sentences.describe_verdict(content),
        key_figures=sentences.key_figures(content),
        measured=sentences.describe_measurement(content),
        verification=_verification(content.verification),
        confusion=_confusion(content.verification),
        cost=_cost(content),
        chip=chip_section(content),
        samples=_samples(content),
        activity=_activity(content),
        training=_training(content),
        delays=_delays(content),
        weights=_weights(content),
        export=_export(content),
        provenance=_provenance(content),
        fields=_fields(content.analysis),
        content=content,
    )


def _training(content: Content) -> dict[str, Any] | None:
    run = content.run
    metrics = [] if run is None else run.read_metrics()
    if run is None or not metrics:
        return None
    best = run.best_epoch()
    chosen_on = "test, chosen on" if run.chosen_on_test else "validation"
    shown = [
        (training_figures.loss(metrics, chosen_on, best), "Loss over epochs"),
        (training_figures.accuracy(metrics, chosen_on, best), "Accuracy over epochs"),
    ]
    if run.learns_delays:
        shown.append((training_figures.sigma(metrics, best), "Kernel width sigma over epochs"))
        shown.append((training_figures.delay_movement(metrics, best), "Mean movement of delays over epochs"))
    return {
        "figures": [inline_svg(figure, description) for figure, description in shown],
        "epochs": len(metrics),
        "best": best,
        "chosen_on": "test" if run.chosen_on_test else "validation",
        "is_validated": metrics[0]["validation_accuracy"] is not None,
        "folds": _folds(run),
        "three_accuracies": three_accuracy_rows(run.read_summary()),
        "why_kept": sentences.describe_kept_epoch(run),
        "learns_delays": run.learns_delays,
        "minutes": sum(line.get("seconds", 0.0) for line in metrics) / 60,
        "finished": bool(run.read_summary()),
    }


def _folds(run: RunFolder) -> dict[str, Any] | None:
    """How folds chose the epoch, where they did."""
    record = run.read_folds()
    if not record:
        return None
    return {
        "figure": inline_svg(training_figures.fold_means(record), "Mean accuracy of the folds over epochs"),
        "headings": FOLD_HEADINGS,
        "rows": fold_rows(record),
        "sentence": describe_chosen_epoch(record),
    }


def _delays(content: Content) -> dict[str, Any] | None:
    if content.file is None:
        return None
    before = content.float_delays.by_layer
    return {
        "figures": [
            inline_svg(network_figures.delays([layer], before), f"Delays of layer {layer.name}")
            for layer in content.file.network.layers
        ],
        "rounding": "" if before is None else sentences.describe_rounding(before),
    }


def _fields(analysis: RunAnalysis | None) -> dict[str, Any] | None:
    if analysis is None:
        return None
    ((layer, stages),) = analysis.structure.items()
    after = stages["after"]
    chosen = after.most_tuned(FIELDS_SHOWN).tolist()
    by_epoch = None
    if any(analysis.by_epoch.values()):
        by_epoch = inline_svg(
            analysis_figures.delay_histograms(analysis.histograms, analysis.by_epoch),
            "Delays of every layer before and after training, and by epoch",
        )
    return {
        "panels": inline_svg(
            analysis_figures.receptive_fields(
                after, chosen, title=f"{layer}, after training", time_step_ms=analysis.time_step_ms
            ),
            f"Receptive fields of {len(chosen)} neurons of {layer}",
        ),
        "histograms": inline_svg(
            analysis_figures.structure_histograms(stages, title=f"{layer}: structure of receptive fields"),
            "Structure of the receptive fields of all neurons",
        ),
        "by_epoch": by_epoch,
        "shown": len(chosen),
        "layer": layer,
        "headings": rows.STRUCTURE_HEADINGS,
        "rows": rows.structure_rows(stages),
        "test": analysis.settings,
        "notes": analysis.notes,
    }


def _weights(content: Content) -> list[Markup] | None:
    if content.file is None:
        return None
    return [
        inline_svg(network_figures.weights(layer), f"Weights of layer {layer.name}")
        for layer in content.file.network.layers
    ]


def _samples(content: Content) -> dict[str, Any] | None:
    if not content.samples or content.file is None:
        return None
    network = content.file.network
    shown: list[dict[str, Any]] = []
    for one in content.samples:
        svg = inline_svg(
            raster(network, one), f"Spikes of every layer and membranes of the readout for sample {one.index}"
        )
        if shown and sum(len(each["svg"]) for each in shown) + len(svg) > MOST_SAMPLE_BYTES:
            break
        shown.append(
            {
                "index": one.index,
                "label": class_name(network, one.label),
                "prediction": class_name(network, one.prediction),
                "is_right": one.is_right,
                "svg": svg,
            }
        )
    return {
        "shown": shown,
        "wrong": sum(not one["is_right"] for one in shown),
        "readout": network.readout,
    }


def _activity(content: Content) -> dict[str, Any] | None:
    if not content.activity or content.file is None:
        return None
    network = content.file.network
    return {
        "headings": rows.ACTIVITY_HEADINGS,
        "rows": rows.activity_rows(content.activity, network.n_steps, network.encoding.time_step_ms),
        "figures": [
            inline_svg(
                network_figures.firing_rates(layer.name, layer.rates, SATURATED),
                f"Firing rates of the neurons of layer {layer.name}",
            )
            for layer in content.activity
        ],
        "saturated": f"{100 * SATURATED:.0f} %",
    }


def _confusion(verification: TwoPartVerification | None) -> dict[str, Any] | None:
    if verification is None:
        return None
    whole = verification.whole
    classes = whole.n_classes
    pairs = whole.labels * classes + whole.predictions
    matrix = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    return {
        "svg": inline_svg(confusion(matrix, whole.class_names), "Confusion matrix of the integer network"),
        "rows": rows.confusion_rows(matrix, class_names=whole.class_names),
        "classes": rows.class_rows(whole.class_accuracies),
        "wrong": int(matrix.sum() - np.trace(matrix)),
        "samples": int(matrix.sum()),
    }


def _cost(content: Content) -> dict[str, Any] | None:
    verification = content.verification
    if verification is None:
        return None
    return {
        "headings": rows.COST_HEADINGS,
        "rows": rows.cost_rows(verification.whole),
        "time_headings": rows.TIME_HEADINGS,
        "time_rows": rows.time_rows(verification, content.decision_seconds),
        "duration": sentences.describe_duration(verification.network),
    }


def _verification(verification: TwoPartVerification | None) -> dict[str, Any] | None:
    if verification is None:
        return None
    parts = [] if verification.on_all else [verification.whole]
    parts.append(verification.bits)
    return {
        "headings": rows.VERDICT_HEADINGS,
        "tables": [
            {"samples": verdict.samples, "steps": verdict.steps, "rows": rows.verdict_rows(verdict)}
            for verdict in parts
        ],
        "compared": sentences.describe_comparison(verification),
        "divergences": sentences.describe_divergences(verification.bits),
        "unbound": [] if verification.bits.binding is None else verification.bits.binding.named_differences(),
    }


def _export(content: Content) -> dict[str, Any] | None:
    layers = [] if content.file is None else content.file.network.provenance.get("layers") or []
    if not layers:
        return None
    return {
        "headings": rows.EXPORT_HEADINGS,
        "rows": rows.export_rows(layers),
        "notes": list(rows.EXPORT_HEADING_NOTES.items()),
        "clipped": [(layer["name"], layer["clipped_delays"]) for layer in layers if layer["clipped_delays"]],
    }


def _provenance(content: Content) -> dict[str, Any]:
    facts: list[tuple[str, str]] = []
    recipe, changes, environment = "", None, {}
    if content.file is not None:
        file, kept = content.file, content.file.network.provenance
        facts += [("network file", file.path.name), ("its SHA-256", file.sha256), ("target", file.network.target)]
        for key, name in (
            ("tool", "exported with"),
            ("checkpoint_sha256", "checkpoint SHA-256"),
            ("recipe_sha256", "recipe SHA-256"),
            ("epoch", "epoch exported"),
            ("calibration_samples", "calibration samples"),
        ):
            if kept.get(key) is not None:
                facts.append((name, str(kept[key])))
        if file.others:
            facts.append(("other networks here", ", ".join(file.others)))
        if kept.get("recipe"):
            recipe, changes = json.dumps(kept["recipe"], indent=2), _changes_of_values(kept["recipe"])
    if content.run is not None:
        recipe, environment = content.run.read_recipe(), content.run.read_environment()
        changes = _changes_of_run(recipe)
        if unsigned := content.run.unsigned_files():
            facts.append(("files without a SHA-256", ", ".join(unsigned)))
    return {
        "rows": facts,
        "recipe": recipe,
        "changes": changes,
        "environment": [(key, _format_setting(value)) for key, value in environment.items()],
    }


def _changes_of_run(text: str) -> RecipeChanges | None:
    """None where this version no longer reads the recipe, which the page shows all the same."""
    from delaytool.report.recipe_changes import changes_from_preset
    from delaytool.trainer.recipe import recipe_of_run

    with suppress(RecipeError):
        return changes_from_preset(recipe_of_run(text, "recipe"))
    return None


def _changes_of_values(values: Any) -> RecipeChanges | None:
    """As of a run, from the values that a network file records; None where they are no recipe."""
    from delaytool.report.recipe_changes import changes_from_preset
    from delaytool.trainer.recipe import validated

    with suppress(RecipeError):
        return changes_from_preset(validated(values, "recipe"))
    return None


def _format_setting(value: Any) -> str:
    return "none" if value is None else str(value)
