"""The recipes that docs/results.md compares, written into a folder: one TOML file per method.

    python benchmarks/methods.py -o methods
    delaytool compare methods/*.toml --seeds 3 --data FOLDER

Every method is SHD's recipe made small (64 neurons per hidden layer, 30 epochs of batches of 64) and what its name
gives: the kind of delays, then the sparsity and how the network is rewired ('none' is a mask drawn once).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import tomli_w

BASE: dict[str, Any] = {
    "extends": "shd-2l-1kc",
    "model": {"hidden": [64, 64]},
    "trainer": {"epochs": 30, "batch_size": 64, "threads": 1},
}
REWIRINGS = {"learned": ("deep-r", "none", "rigl-signed", "rigl")}
SPARSE_TRAINER = {"weight_decay": 0.0, "l1": 1e-5}


def recipes() -> dict[str, dict[str, Any]]:
    """Each method's name and its recipe as TOML values, dense ones first."""
    methods: dict[str, dict[str, Any]] = {
        kind: {"model": {"delays": kind}} for kind in ("none", "fixed-random", "learned")
    }
    methods["learned-quantized"] = {"trainer": {"quantize": "loihi2"}}
    for sparsity in (0.9, 0.99):
        for kind in ("none", "fixed-random", "learned"):
            for rewiring in REWIRINGS.get(kind, ("deep-r", "rigl-signed")):
                methods[f"{kind}-{sparsity}-{rewiring}"] = {
                    "model": {"delays": kind, "sparsity": sparsity, "rewiring": rewiring},
                    "trainer": {} if rewiring == "none" else SPARSE_TRAINER,
                }
    return {name: _over_base(name, method) for name, method in methods.items()}


def _over_base(name: str, method: dict[str, Any]) -> dict[str, Any]:
    sections = {section: BASE[section] | method.get(section, {}) for section in ("model", "trainer")}
    return {"extends": BASE["extends"], "name": name, **sections}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder to write the recipes to")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in recipes().items():
        (folder / f"{name}.toml").write_text(tomli_w.dumps(values))
    print(f"{len(recipes())} recipes in {folder}; next: delaytool compare {folder}/*.toml --seeds 3 --data FOLDER")


if __name__ == "__main__":
    main()
