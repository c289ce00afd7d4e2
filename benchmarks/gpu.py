"""Everything about training on a GPU in one run: tests, steps beside the reference, epochs, a published workload.

    python benchmarks/gpu.py -o gpu-results                  on a GPU, at most 8 minutes
    python benchmarks/gpu.py -o gpu-results --only published --budget 120
    python benchmarks/gpu.py -o gpu-results --device cpu --tiny     that everything runs; no time means anything

Needs no installation where PYTHONPATH names the checkout, and no network. The parts run in the order in which they
matter, each within its share of the budget: environment, tests, published, forms, epochs, steps,
profile. What no longer fits
is skipped, with a sentence. `results.json` in the folder is written after every row, so that a cut loses only the rest;
`page.html` shows the same. What is missing (dcls, spikingjelly, pytest, ...) is named, and the other parts go on.

The exit code is 1 where a part failed or a test did not pass, 0 otherwise, also where something was skipped.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gpu_page import page
from gpu_run import Budget, Context, Results, Row, run_part

# name: (module, function, share of the budget that it may take). A module that cannot be imported fails its own part.
PARTS = {
    "environment": ("gpu_environment", "environment", 0.1),
    "tests": ("gpu_tests", "gpu_tests", 0.4),
    "published": ("gpu_published", "published", 0.35),
    "forms": ("gpu_forms", "forms", 0.2),
    "epochs": ("gpu_epochs", "epochs", 0.4),
    "steps": ("gpu_steps", "steps", 0.3),
    "profile": ("gpu_profile", "profile", 0.2),
}


# Parts whose rows are printed too, so that a log holds the figures.
SHOWN = ("tests", "published", "forms", "epochs", "steps")


def describe(row: Row) -> str:
    """A row in one line, without its notes."""
    shown = {key: f"{value:.4g}" if isinstance(value, float) else value for key, value in row.items() if key != "note"}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def lazily(module: str, function: str, context: Context) -> Iterator[Row]:
    """The rows of a part whose module is imported only now."""
    yield from getattr(importlib.import_module(module), function)(context)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of results.json and page.html")
    parser.add_argument("--budget", type=float, default=480.0, metavar="SECONDS", help="of the whole run (480)")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), metavar="PART", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="sizes that a CPU runs in seconds")
    options = parser.parse_args()
    if options.budget <= 0:
        parser.error(f"--budget {options.budget:g}: give a number of seconds above 0")
    if options.device == "cpu" and not options.tiny:
        parser.error("--device cpu needs --tiny: in their own sizes the parts would take hours")
    budget = Budget(options.budget)
    options.output.mkdir(parents=True, exist_ok=True)
    results = Results(
        options.output,
        {
            "begun": time.strftime("%Y-%m-%d %H:%M:%S %z"),
            "device": options.device,
            "card": card(options.device),
            "tiny": options.tiny,
            "budget": options.budget,
            "revision": revision(),
        },
    )
    context = Context(options.device, options.tiny, options.output.resolve(), budget)
    statuses = {}
    for name, (module, function, share) in PARTS.items():
        if options.only and name not in options.only:
            continue
        alone = options.only is not None and len(options.only) == 1
        part = lambda given, module=module, function=function: lazily(module, function, given)  # noqa: E731
        statuses[name] = run_part(name, part, 1.0 if alone else share, context, results)
        results.content["seconds"] = budget.spent
        results.write()
        (options.output / "page.html").write_text(page(results.content))
        print(f"{name:<12} {statuses[name]}, {results.part(name)['seconds']:.1f} s", flush=True)
        for row in results.part(name)["rows"] if name in SHOWN else ():
            print(f"    {describe(row)}")
        for sentence in results.part(name)["skipped"]:
            print(f"    {sentence}")
        if "error" in results.part(name):
            print(f"    {results.part(name)['error']}")
    print(f"{budget.spent:.0f} s of {options.budget:.0f}; results in {options.output}")
    sys.exit(1 if failed(results.content["parts"]) else 0)


def failed(parts: dict[str, Row]) -> bool:
    """Whether a part failed, or a test of the part 'tests' did."""
    tests = parts.get("tests", {"rows": []})["rows"]
    wrong = any(row["outcome"] in ("failed", "error") for row in tests)
    return wrong or any(part["status"] == "failed" for part in parts.values())


def card(device: str) -> str:
    """The name of what is measured on. Ends the program where there is no GPU though one was asked for."""
    if device == "cpu":
        return platform.processor() or platform.machine()
    try:
        import torch
    except ImportError as error:
        sys.exit(f"PyTorch is needed: {error}")
    if not torch.cuda.is_available():
        sys.exit("there is no CUDA device; give --device cpu --tiny to see that everything runs")
    return str(torch.cuda.get_device_name(0))


def revision() -> str:
    """The commit of the checkout, or 'unknown' where there is no git."""
    try:
        command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


if __name__ == "__main__":
    main()
