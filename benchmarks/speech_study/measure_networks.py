"""Every network that the study kept: exported for Loihi 2, mapped, run as integers on its test part, compared bit for
bit.

    python benchmarks/speech_study/measure_networks.py rows/networks-*.tar --data data -o measured

--data is the folder that `study.py unpack` wrote. One
line of measured.jsonl per network; a network that has one is not measured again. The exit code is 1 where a value
differs or a network cannot be exported.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from delaytool.analysis.layer_structure import MoranSettings, layer_structure
from delaytool.analysis.receptive_fields import receptive_fields

sys.path.insert(0, str(Path(__file__).parent))

from runner import unpack_networks

from delaytool.errors import DelaytoolError
from delaytool.experiments.chip_costs import chip_costs, measure_activity
from delaytool.experiments.chip_fit import find_subject, fit_subject
from delaytool.experiments.measure_run import measure
from delaytool.experiments.sweep.job import RunReporter
from delaytool.hw_configs import load_target
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.initial_network import initial_network
from delaytool.trainer.run_folder import RunFolder

TARGET = "loihi2"
ACTIVITY_SAMPLES = 50
# Of Moran's I.
SHUFFLES = 99


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archives", type=Path, nargs="+", help="networks-*.tar of `study.py rows`")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--bit-samples", type=int, default=16, help="of the slow reference; the engine runs all")
    parser.add_argument("--part", type=int, nargs=2, default=(0, 1), metavar=("I", "N"), help="every Nth from I on")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    results = options.output / "measured.jsonl"
    done = {json.loads(line)["name"] for line in results.read_text().splitlines()} if results.exists() else set()
    names = sorted(unpack_networks(options.archives, options.output / "runs"))
    wrong = 0
    for name in names[options.part[0] :: options.part[1]]:
        if name in done:
            continue
        line = {"name": name, **measured(options.output / "runs" / name, options.data, options.bit_samples)}
        with open(results, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if line.get("why_not") or line.get("error") or line.get("differing"):
            wrong += 1
        print(f"{name}: {describe(line)}", flush=True)
    sys.exit(min(wrong, 1))


def measured(run: Path, data: Path, bit_samples: int) -> dict[str, Any]:
    """Accuracy, drop, differing values, memory, events and estimated energy of a run's last network."""
    saved = Checkpoint.load(run / "last.pt")
    source = source_of(run.name, data)
    placed = saved.recipe.model_copy(update={"data": saved.recipe.data.model_copy(update={"source": str(source)})})
    replace(saved, recipe=placed).save(RunFolder(run).best)
    try:
        result = asdict(measure(run, TARGET, bit_samples, RunReporter()))
        if result["why_not"]:
            return result
        path = run / f"network-{TARGET}.h5"
        subject = find_subject(str(path), load_target(TARGET))
        assert subject.network is not None
        fitted = fit_subject(subject, load_target(TARGET), None)
        activity = measure_activity(path, subject.network, str(source), ACTIVITY_SAMPLES)
        estimate = chip_costs(fitted, activity).estimate
    except DelaytoolError as error:
        return {"error": str(error)}
    finally:
        for left in (RunFolder(run).best,):
            left.unlink(missing_ok=True)
        for folder in run.glob("tensorboard"):
            shutil.rmtree(folder)
    energy = estimate.energy_pj
    return {
        **result,
        "morans_i": structure_of(saved),
        "fits": fitted.fits,
        "energy_uj": [energy.low / 1e6, energy.high / 1e6],
        "steps": estimate.steps,
        "ms_per_sample": [estimate.steps * bound / 1e6 for bound in (estimate.step_ns.low, estimate.step_ns.high)],
    }


def structure_of(saved: Checkpoint) -> dict[str, Any]:
    """Moran's I of the first layer's receptive fields, before and after training; see `LayerStructure.summary`."""
    before = initial_network(saved.recipe, saved.encoding.n_channels, saved.n_classes)
    found = {}
    for stage, model in (("before", before), ("after", saved.float_network())):
        fields = next(iter(receptive_fields(model, saved.encoding).values()))
        found[stage] = layer_structure(fields, MoranSettings(permutations=SHUFFLES)).summary()["signed"]
    return found


def source_of(name: str, data: Path) -> Path:
    """Where a run's data are, by its name: STAGE_ROW_DATA_sSEED."""
    return (data / name.rsplit("_", 2)[1]).resolve()


def describe(line: dict[str, Any]) -> str:
    """The line in a sentence."""
    if line.get("error") or line.get("why_not"):
        return f"NOT EXPORTED: {line.get('error') or line['why_not']}"
    assert line["drop"] is not None, "the float accuracy is of other samples"
    return (
        f"{100 * line['accuracy']:.2f} %, drop {line['drop']:+.2f}, {line['differing']} of {line['compared']:,} values "
        f"differ, {line['synapse_bytes'] / 1024:.1f} KiB, {line['synaptic_events']:,.0f} events, "
        f"{line['energy_uj'][0]:.1f}-{line['energy_uj'][1]:.1f} µJ"
    )


if __name__ == "__main__":
    main()
