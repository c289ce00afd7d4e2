"""What a sparse network weighs: parameters, synapses, the chip's memory, the file, events; by sparsity and rewiring.

    python benchmarks/sparse_networks.py --epochs 20 -o sparse

Each network is trained, exported for loihi2, and run on the whole test part, engine against reference. Every run is a
run folder below the output and is not trained again where it is complete. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from delaytool.cli import main as delaytool
from delaytool.experiments.verify_run import VerifyRequest, verify_network
from delaytool.trainer.run_folder import RunFolder

SPARSITIES = (0.0, 0.9, 0.99)
REWIRING = ("none", "deep-r", "rigl", "rigl-signed")

HEADINGS = (
    "rewiring", "sparsity", "parameters", "synapses", "stored as", "memory, bytes", "file, bytes", "events per sample",
    "test accuracy, integers", "values that differ",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="digits")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--l1", type=float, default=1e-5, help="trainer.l1, where taps are rewired")
    parser.add_argument("--sparsity", type=float, nargs="+", default=SPARSITIES)
    parser.add_argument("--rewiring", nargs="+", choices=REWIRING, default=["none", "rigl-signed"])
    parser.add_argument("-o", "--output", type=Path, default=Path("sparse"))
    arguments = parser.parse_args()
    rows = []
    for rewiring in arguments.rewiring:
        for sparsity in arguments.sparsity:
            folder = arguments.output / f"{rewiring}-{sparsity:g}"
            settings = {
                "model.sparsity": sparsity,
                "model.rewiring": rewiring,
                "trainer.epochs": arguments.epochs,
                "trainer.l1": 0 if rewiring == "none" else arguments.l1,
            }
            if not RunFolder(folder).read_summary():
                shutil.rmtree(folder, ignore_errors=True)
                given = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
                delaytool(["train", arguments.recipe, "-o", str(folder), *given], standalone_mode=False)
            delaytool(["export", str(folder), "--target", "loihi2"], standalone_mode=False)
            rows.append(row(rewiring, sparsity, folder))
    print(f"\n| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    print("\n".join(rows))


def row(rewiring: str, sparsity: float, folder: Path) -> str:
    path = folder / "network-loihi2.h5"
    verified = verify_network(VerifyRequest(path))
    report = verified.network.provenance["layers"]
    kinds = [type(group).__name__[0] for layer in verified.network.layers for group in layer.synapses]
    differing = sum(comparison.total for comparison in verified.verdict.comparisons.values())
    cells = (
        rewiring,
        f"{sparsity:g}",
        f"{RunFolder(folder).read_summary()['parameters']:,}",
        f"{verified.network.n_synapses:,}",
        ", ".join({"D": "matrix", "S": "list"}[kind] for kind in kinds),
        f"{sum(layer['synapse_bytes'] for layer in report):,}",
        f"{path.stat().st_size:,}",
        f"{verified.verdict.counters.synaptic_events.sum(axis=1).mean():,.0f}",
        f"{100 * verified.verdict.accuracy['engine']:.2f} %",
        str(differing),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
