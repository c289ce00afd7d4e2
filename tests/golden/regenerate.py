"""Write the golden vectors: run every case of cases.py in stock Lava and brian2-loihi, store network, input and trace.

    python tests/golden/regenerate.py [--check] [--lava-python PYTHON] [--brian2loihi-python PYTHON] [CASE ...]

--check compares what both compute now with the stored files and writes nothing. Needs delaytool with its extra onnx, an
interpreter with lava-nc 0.10.0 and one with brian2-loihi 0.5.2 (this one, or those given). A stored .h5 file with
the same trace is left alone. See README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent
LAVA, RELAYED_LAVA, EMULATOR = "lava-nc 0.10.0", "lava-nc 0.10.0, through relay neurons", "brian2-loihi 0.5.2"
sys.path.insert(0, str(FOLDER.parent))

from golden.cases import CASES, Case  # noqa: E402
from golden.plain_files import write_plain  # noqa: E402
from golden.relays import relayed  # noqa: E402

from delaytool.contract.network import IntegerNetwork  # noqa: E402
from delaytool.errors import BackendError  # noqa: E402
from delaytool.runtime.backends import brian2loihi, lava  # noqa: E402
from delaytool.runtime.trace import Trace  # noqa: E402


def store(
    path: Path, network: IntegerNetwork, frames: np.ndarray, trace: Trace, about: str, made_by: str = LAVA
) -> None:
    """The network, and as its extension `golden` the input and the trace."""
    golden: dict[str, str | np.ndarray] = {
        "about": about,
        "made_by": f"{made_by}: DelayDense, DelaySparse and LIF, tag fixed_pt",
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


def run_lava(made: dict[str, Case], python: str | None, variant: str = "stock") -> dict[str, tuple[str, Trace]]:
    """Each case's trace as stock Lava has it; a case with delays beyond Lava's, on its network with relay neurons."""
    jobs, kept = [], []
    for network, frames in made.values():
        try:
            lava.check(network, frames)
        except BackendError:
            longer, own = relayed(network)
            jobs.append((longer, frames))
            kept.append((RELAYED_LAVA, own))
        else:
            jobs.append((network, frames))
            kept.append((LAVA, range(len(network.layers))))
    traces = lava.run_many(jobs, variant=variant, python=python)
    found = {}
    for name, (simulator, own), trace in zip(made, kept, traces, strict=True):
        parts = (tuple(getattr(trace, quantity)[index] for index in own) for quantity in ("spikes", "u", "v"))
        found[name] = (simulator, Trace(*parts))
    return found


def run_emulator(made: dict[str, Case], python: str | None) -> dict[str, Trace]:
    """The traces of the cases that brian2-loihi can run."""
    jobs = {}
    for name, case in made.items():
        try:
            brian2loihi.check(*case)
        except BackendError:
            continue
        jobs[name] = case
    traces = dict(zip(jobs, brian2loihi.in_worker(list(jobs.values()), python=python, timeout=600), strict=True))
    return {name: trace for name, trace in traces.items() if _within(jobs[name][0], trace)}


def _within(network: IntegerNetwork, trace: Trace) -> bool:
    try:
        brian2loihi.refuse_overflow(network, trace)
    except BackendError:
        return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the stored files, write nothing")
    parser.add_argument("--lava-python", help="an interpreter with lava-nc 0.10.0")
    parser.add_argument("--brian2loihi-python", help="an interpreter with brian2-loihi 0.5.2")
    parser.add_argument("case", nargs="*", help="only these cases", default=list(CASES))
    arguments = parser.parse_args()
    made = {name: CASES[name]() for name in arguments.case}
    by_lava = run_lava(made, arguments.lava_python)
    by_emulator = run_emulator(made, arguments.brian2loihi_python)
    differing = []
    for name, (network, frames) in made.items():
        simulator, trace = by_lava[name]
        simulators = [simulator]
        path = FOLDER / f"{name}.h5"
        if name in by_emulator:
            simulators.append(EMULATOR)
            if not same(trace, by_emulator[name]):
                differing.append(name)
        about = (CASES[name].__doc__ or "").strip()
        if not arguments.check and name not in differing:
            if not path.exists() or not same(load(path)[2], trace):
                store(path, network, frames, trace, about, simulator)
            write_plain(path, network, frames, trace, about, simulators)
            write_models(path, network)
        if not same(load(path)[2], trace):
            differing.append(name)
        spikes = trace.events().sum()
        print(f"{name}: {spikes} spikes, {' and '.join(simulators)}: {'DIFFERS' if name in differing else 'ok'}")
    return 1 if differing else 0


def write_models(path: Path, network: IntegerNetwork) -> None:
    """The ONNX graph of the whole sample, with its trace, beside the other files."""
    from delaytool.formats.onnx.sequence import sequence_model

    model = sequence_model(network, trace=True)
    path.with_suffix(".onnx").write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    sys.exit(main())
