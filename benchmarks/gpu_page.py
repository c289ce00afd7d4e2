"""The results of `gpu.py` as one page that needs nothing else."""

from __future__ import annotations

from html import escape
from typing import Any

from gpu_run import Row

TITLES = {
    "environment": ("Environment", "What was measured on, and what was missing."),
    "tests": ("Tests on the device", "tests/gpu: kernels against step-by-step loops, networks against the plain form, "
              "recorded steps against launched ones, repeated and resumed runs, exported integers."),
    "published": ("Published workload", "700 inputs, two hidden layers, 1,127 steps, batch 256, 75,466 samples per "
                  "epoch. An epoch is extrapolated from the median of some batches. The published figures were "
                  "measured on an RTX A5000 (mbalazs98/deventprop, plots/dilated_conv_ml_genn.csv); SND's beside "
                  "1,024 delays are those with 1,000."),
    "steps": ("Training steps beside the reference", "A batch forward and backward; 'whole step' also has both "
              "optimizers and, on a GPU, is recorded and replayed, as `delaytool train` does it. Medians of "
              "interleaved rounds. 'reference' runs as its code does, with TF32 in cuDNN's convolutions."),
    "epochs": ("Whole epochs", "`delaytool train` on synthetic spikes: shuffling, steps, validation, checkpoints."),
    "forms": ("Forms of the convolution", "One layer forward and backward, to weights and, where it is hidden, to its "
              "input: transforms as one matrix product, and in two stages."),
    "profile": ("Where the time goes", "Kernels of one step by time on the device."),
}  # fmt: skip

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; color: #1b1f23 }
table { border-collapse: collapse; margin: .6rem 0 1.4rem; font-size: 13px }
th, td { border-bottom: 1px solid #d8dde3; padding: .25rem .6rem; text-align: left; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.failed, .cut { color: #a40e26 } .note { color: #57606a } pre { overflow-x: auto; font-size: 12px }
@media (prefers-color-scheme: dark) { body { background: #14171a; color: #dfe3e8 } th, td { border-color: #3a4048 } }
"""


def page(content: Row) -> str:
    """HTML of the content of a results.json."""
    device = content.get("device", "")
    warning = "" if device == "cuda" and not content.get("tiny") else (
        "<p class='failed'>These sizes and this device show that everything runs. No time here says anything about a "
        "GPU.</p>"
    )  # fmt: skip
    parts = "".join(_part(name, part) for name, part in content["parts"].items())
    begun = escape(str(content.get("begun", "")))
    spent = _number(content.get("seconds", 0.0))
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>delaytool on {escape(device)}</title><style>{STYLE}</style>"
        f"<h1>delaytool on {escape(str(content.get('card') or device))}</h1>"
        f"<p class='note'>{begun}, {spent} s of a budget of {_number(content.get('budget', 0.0))} s; "
        f"revision {escape(str(content.get('revision', 'unknown')))}</p>{warning}{parts}</html>\n"
    )


def _part(name: str, part: Row) -> str:
    title, about = TITLES.get(name, (name, ""))
    skipped = "".join(f"<li>{escape(sentence)}</li>" for sentence in part["skipped"])
    error = f"<pre class='failed'>{escape(part['error'])}</pre>" if "error" in part else ""
    return (
        f"<h2>{escape(title)}</h2><p>{escape(about)}</p>"
        f"<p class='{escape(part['status'])}'>{escape(part['status'])}, {_number(part['seconds'])} s</p>{error}"
        f"{_table(part['rows'])}{f'<ul>{skipped}</ul>' if skipped else ''}"
    )


def _table(rows: list[Row]) -> str:
    """Rows that may differ in their columns, which come in the order of their first use."""
    if not rows:
        return ""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in columns)
    body = "".join("<tr>" + "".join(_cell(row.get(name)) for name in columns) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"<td class='number'>{_number(value)}</td>"
    return f"<td>{escape(_text(value))}</td>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return _number(value) if isinstance(value, float) else str(value)


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"
