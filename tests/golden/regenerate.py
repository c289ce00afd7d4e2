"""Write the golden vectors: run every case of cases.py in stock Lava and store network, input and trace.

    python tests/golden/regenerate.py [--check] [--lava-python PYTHON] [CASE ...]

--check compares Lava's present traces with the stored files and writes nothing. Needs delaytool, and an interpreter
with lava-nc 0.10.0 (this one, or the one given). See README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from golden.cases import CASES  # noqa: E402

from delaytool.contract.network import IntegerNetwork  # noqa: E402
from delaytool.runtime.backends import lava  # noqa: E402
from delaytool.runtime.trace import Trace  # noqa: E402


def store(path: Path, network: IntegerNetwork, frames: np.ndarray, trace: Trace, about: str) -> None:
    """The network, and as its extension `golden` the input and the trace."""
    golden: dict[str, str | np.ndarray] = {
        "about": about,
        "made_by": "lava-nc 0.10.0, DelayDense, DelaySparse and LIF, tag fixed_pt",
        "frames": frames,
    }
    for name in ("spikes", "u", "v"):
        for index, array in enumerate(getattr(trace, name)):
            golden[f"{name}/{index}"] = array.astype(np.uint8 if name == "spikes" else np.int32)
    replace(network, extensions={"golden": golden}).save(path)


def load(path: Path) -> tuple[IntegerNetwork, np.ndarray, Trace]:
    network = IntegerNetwork.load(path)
    golden = network.extensions["golden"]
    count = range(len(network.layers))
    trace = Trace(
        spikes=tuple(golden[f"spikes/{index}"].astype(np.bool_) for index in count),
        u=tuple(golden[f"u/{index}"] for index in count),
        v=tuple(golden[f"v/{index}"] for index in count),
    )
    return network, golden["frames"], trace


def same(first: Trace, second: Trace) -> bool:
    names = ("spikes", "u", "v")
    return all(
        np.array_equal(one, other)
        for name in names
        for one, other in zip(getattr(first, name), getattr(second, name), strict=True)
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the stored files, write nothing")
    parser.add_argument("--lava-python", help="an interpreter with lava-nc 0.10.0")
    parser.add_argument("case", nargs="*", help="only these cases", default=list(CASES))
    arguments = parser.parse_args()
    made = {name: CASES[name]() for name in arguments.case}
    traces = lava.run_many(list(made.values()), variant="stock", python=arguments.lava_python)
    differing = []
    for (name, (network, frames)), trace in zip(made.items(), traces, strict=True):
        path = FOLDER / f"{name}.h5"
        if not arguments.check:
            store(path, network, frames, trace, (CASES[name].__doc__ or "").strip())
        if not same(load(path)[2], trace):
            differing.append(name)
        print(f"{name}: {trace.events().sum()} spikes, {'DIFFERS' if name in differing else 'ok'}")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
