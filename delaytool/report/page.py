"""Composes the page: figures and sentences in one HTML file that needs no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np

from delaytool.analysis import figures as analysis_figures
from delaytool.experiments.verify_run import TwoPartVerification
from delaytool.figure_style import FONTS, as_data_uri
from delaytool.files import atomic_path
from delaytool.printable import printable
from delaytool.report import figures, rows, sentences
from delaytool.report.chip import chip_section
from delaytool.report.content import Content
from delaytool.report.cross_validation import FOLD_HEADINGS, describe_choice, fold_rows
from delaytool.report.three_accuracies import three_accuracy_rows
from delaytool.trainer.run_folder import RunFolder
from delaytool.version import __version__

if TYPE_CHECKING:
    from delaytool.analysis.run_analysis import RunAnalysis

FIELDS_SHOWN = 12


def write_page(content: Content, output: Path) -> None:
    """Compose the page and write it, whole or not at all."""
    page = compose(content)
    with atomic_path(output) as temporary:
        temporary.write_text(page, encoding="utf-8")


def compose(content: Content) -> str:
    """The page as text."""
    template = template_named("page.html.j2")
    return template.render(
        fonts=FONTS,
        version=__version__,
        title=sentences.page_title(content),
        subtitle=sentences.page_subtitle(content),
        verdict=sentences.describe_verdict(content),
        key_figures=sentences.key_figures(content),
        measured=sentences.describe_measurement(content),
        training=_training(content),
        delays=_delays(content),
        fields=_fields(content.analysis),
        sample=_sample(content),
        confusion=_confusion(content),
        verification=_verification(content.verification),
        export=_export(content),
        chip=chip_section(content),
        provenance=_provenance(content),
        content=content,
    )


def template_named(name: str) -> jinja2.Template:
    """A template of this folder; a name that it uses without a value is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("delaytool.report", ""), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, finalize=_shown,
    )  # fmt: skip
    return environment.get_template(name)


def _shown(value: object) -> object:
    """A text with its control characters written out; what the templates themselves made is left alone."""
    is_text = isinstance(value, str) and not hasattr(value, "__html__")
    return printable(value, keep="\n\t") if is_text else value


def _training(content: Content) -> dict[str, Any] | None:
    run = content.run
    metrics = [] if run is None else run.read_metrics()
    if run is None or not metrics:
        return None
    best = run.best_epoch()
    chosen_on = "test, chosen on" if run.chosen_on_test else "validation"
    shown = [
        ("Loss over epochs", figures.loss(metrics, chosen_on, best)),
        ("Accuracy over epochs", figures.accuracy(metrics, chosen_on, best)),
    ]
    if run.learns_delays:
        shown.append(("Kernel width sigma over epochs", figures.sigma(metrics, best)))
        shown.append(("Mean movement of delays over epochs", figures.delay_movement(metrics, best)))
    return {
        "figures": [{"alt": alt, "uri": as_data_uri(figure)} for alt, figure in shown],
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
    figure = figures.fold_means(record)
    return {
        "figure": {"alt": "Mean accuracy of the folds over epochs", "uri": as_data_uri(figure)},
        "headings": FOLD_HEADINGS,
        "rows": fold_rows(record),
        "sentence": describe_choice(record),
    }


def _delays(content: Content) -> dict[str, Any] | None:
    if content.file is None:
        return None
    before = content.float_delays.by_layer
    return {
        "figures": [
            {"alt": f"Delays of layer {layer.name}", "uri": as_data_uri(figures.delays([layer], before))}
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
    shown = [
        (
            f"Receptive fields of {len(chosen)} neurons of {layer}",
            analysis_figures.receptive_fields(
                after, chosen, title=f"{layer}, after training", time_step_ms=analysis.time_step_ms
            ),
        ),
        (
            "Structure of the receptive fields of all neurons",
            analysis_figures.structure_histograms(stages, title=f"{layer}: structure of receptive fields"),
        ),
    ]
    if any(analysis.by_epoch.values()):
        shown.append(
            (
                "Delays of every layer before and after training, and by epoch",
                analysis_figures.delay_histograms(analysis.histograms, analysis.by_epoch),
            )
        )
    return {
        "figures": [{"alt": alt, "uri": as_data_uri(figure)} for alt, figure in shown],
        "shown": len(chosen),
        "layer": layer,
        "headings": rows.STRUCTURE_HEADINGS,
        "rows": rows.structure_rows(stages),
        "test": analysis.settings,
        "notes": analysis.notes,
    }


def _sample(content: Content) -> dict[str, Any] | None:
    if content.sample is None or content.file is None:
        return None
    figure = figures.raster(content.file.network, content.sample)
    return {"uri": as_data_uri(figure), "readout": content.file.network.readout}


def _confusion(content: Content) -> dict[str, Any] | None:
    if content.verification is None:
        return None
    whole = content.verification.whole
    classes = whole.n_classes
    pairs = whole.labels * classes + whole.predictions
    matrix = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
    return {
        "uri": as_data_uri(figures.confusion(matrix, whole.class_names)),
        "rows": rows.confusion_rows(matrix, class_names=whole.class_names),
        "wrong": int(matrix.sum() - np.trace(matrix)),
        "samples": int(matrix.sum()),
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
        "cost_headings": rows.COST_HEADINGS,
        "cost_rows": rows.cost_rows(verification.whole),
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
    rows: list[tuple[str, str]] = []
    recipe, environment = "", {}
    if content.file is not None:
        file, kept = content.file, content.file.network.provenance
        rows += [("network file", file.path.name), ("its SHA-256", file.sha256), ("target", file.network.target)]
        for key, name in (
            ("tool", "exported with"),
            ("checkpoint_sha256", "checkpoint SHA-256"),
            ("recipe_sha256", "recipe SHA-256"),
            ("epoch", "epoch exported"),
            ("calibration_samples", "calibration samples"),
        ):
            if kept.get(key) is not None:
                rows.append((name, str(kept[key])))
        if file.others:
            rows.append(("other networks here", ", ".join(file.others)))
        recipe = json.dumps(kept["recipe"], indent=2) if kept.get("recipe") else ""
    if content.run is not None:
        recipe, environment = content.run.read_recipe(), content.run.read_environment()
        if unsigned := content.run.unsigned_files():
            rows.append(("files without a SHA-256", ", ".join(unsigned)))
    return {
        "rows": rows,
        "recipe": recipe,
        "environment": [(key, _format_setting(value)) for key, value in environment.items()],
    }


def _format_setting(value: Any) -> str:
    return "none" if value is None else str(value)
