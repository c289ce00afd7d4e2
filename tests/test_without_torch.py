"""An install without the extras reads data and recipes, runs integer networks and verifies them: no PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from delaytool.contract.encoding import InputEncoding
from delaytool.contract.layer import IntegerLayer, Readout
from delaytool.contract.network import IntegerNetwork
from delaytool.contract.synapses import DenseSynapses

# Run by a child process before anything else: these packages are not there, whatever is installed.
BLOCKER = """
import sys

class Absent:
    packages = {
        "brian2", "brian2_loihi", "filelock", "jinja2", "lava", "matplotlib", "networkx", "nir", "onnx", "onnxruntime",
        "optuna", "scipy", "sklearn", "soundfile", "spikingjelly", "tensorboard", "tonic", "torch",
    }

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
"""
MAIN = BLOCKER + "from delaytool.cli import main\nmain(prog_name='delaytool')\n"


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False)


@pytest.fixture
def network_file(tmp_path: Path) -> Path:
    """4 units, 3 hidden neurons with delays 0..3, 2 classes."""
    rng = np.random.default_rng(1)

    def synapses(source: int, n_out: int, n_in: int) -> DenseSynapses:
        weight = 2 * rng.integers(-20, 60, (n_out, n_in))
        return DenseSynapses(source, weight, rng.integers(0, 4, (n_out, n_in)))

    network = IntegerNetwork(
        encoding=InputEncoding(n_units=4, time_step_ms=10.0, n_steps=10, max_count=3),
        layers=(
            IntegerLayer("hidden0", 3, (synapses(0, 3, 4),), dv=1024, threshold=40),
            IntegerLayer("readout", 2, (synapses(1, 2, 3),), dv=1024, threshold=131071),
        ),
        readout=Readout("softmax-sum", scale=4096.0, start=0, stop=16),
        n_steps=16,
    )
    path = tmp_path / "network.h5"
    network.save(path)
    return path


@pytest.fixture
def event_file(tmp_path: Path) -> Path:
    """6 samples of 30 events each, in SHD's layout."""
    rng = np.random.default_rng(2)
    path = tmp_path / "events.h5"
    with h5py.File(path, "w") as file:
        for name, dtype in (("times", np.float16), ("units", np.uint16)):
            file.create_dataset(f"spikes/{name}", (6,), dtype=h5py.vlen_dtype(dtype))
        for sample in range(6):
            file["spikes/times"][sample] = np.sort(rng.uniform(0, 0.1, 30)).astype(np.float16)
            file["spikes/units"][sample] = rng.integers(0, 4, 30).astype(np.uint16)
        file["labels"] = np.arange(6, dtype=np.uint16) % 2
    return path


def test_the_right_half_imports() -> None:
    every_runtime_module = """
import importlib, pkgutil
import delaytool.cli, delaytool.commands.verify, delaytool.datasets, delaytool.hw_configs, delaytool.contract.network
import delaytool.formats.netx, delaytool.formats.nir.read, delaytool.formats.onnx.sequence
from delaytool import runtime
for module in pkgutil.walk_packages(runtime.__path__, "delaytool.runtime."):
    # PyTorch's own backend, and what runs inside Lava's or brian2-loihi's interpreter.
    if not module.name.endswith((".torch", "brian2loihi_worker")) and "lava_worker" not in module.name:
        importlib.import_module(module.name)
print(sorted(Absent.packages & set(sys.modules)))
"""
    result = python(BLOCKER + every_runtime_module)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "[]"


def test_a_run_folder_is_read() -> None:
    run = Path(__file__).parent / "fixtures" / "run-without-digests"
    code = """
import sys
from delaytool.trainer.run_folder import RunFolder
run = RunFolder(sys.argv[1])
run.require_intact()
print(run.best_epoch(), len(run.read_metrics()), run.learns_delays, run.unsigned_files())
"""
    result = python(BLOCKER + code, run)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "1 1 True ('recipe.toml', 'environment.json', 'metrics.jsonl')"


def test_verify_runs(network_file: Path, event_file: Path) -> None:
    result = python(MAIN, "verify", network_file, "--data", event_file, "--no-drop")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "PASS" in result.stdout
    as_json = python(MAIN, "verify", network_file, "--data", event_file, "--no-drop", "--json")
    assert as_json.returncode == 0, as_json.stdout + as_json.stderr
    verdict = json.loads(as_json.stdout)
    assert verdict["passed"] is True
    assert set(verdict["accuracy"]) >= {"engine", "reference"}


def test_help_runs() -> None:
    for arguments in (["--help"], ["--version"], ["verify", "--help"], ["train", "--help"]):
        result = python(MAIN, *arguments)
        assert result.returncode == 0, result.stderr


def test_recipes_are_listed_printed_and_checked(tmp_path: Path) -> None:
    listed = python(MAIN, "recipes")
    assert listed.returncode == 0, listed.stderr
    assert "shd-2l-1kc" in listed.stdout
    (tmp_path / "mine.toml").write_text('extends = "digits"\n[model]\ndelays = "none"\n')
    printed = python(MAIN, "recipes", tmp_path / "mine.toml")
    assert printed.returncode == 0, printed.stderr
    assert 'delays = "none"' in printed.stdout
    (tmp_path / "mine.toml").write_text('extends = "digits"\n[model]\ndelay = "none"\n')
    refused = python(MAIN, "recipes", tmp_path / "mine.toml")
    assert refused.returncode == 2
    assert "model.delay: unknown key; did you mean model.delays?" in refused.stderr


def test_the_digits_come_with_the_package(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    synapses = DenseSynapses(0, 2 * rng.integers(-20, 60, (10, 64)), rng.integers(0, 4, (10, 64)))
    network = IntegerNetwork(
        encoding=InputEncoding(n_units=64, time_step_ms=2.0, start="zero", n_steps=9, max_count=1),
        layers=(IntegerLayer("readout", 10, (synapses,), dv=1024, threshold=131071),),
        readout=Readout("softmax-sum", scale=4096.0, start=0, stop=16),
        n_steps=16,
        provenance={"recipe": {"data": {"source": "digits"}}},
    )
    network.save(tmp_path / "network.h5")
    result = python(MAIN, "verify", tmp_path / "network.h5", "--no-drop")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "on digits, 359 samples" in result.stdout
    assert "PASS" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (["train", "digits"], "train"),
        (["export", "run"], "train"),
        (["verify", "NETWORK", "--data", "EVENTS", "--torch"], "train"),
        (["verify", "NETWORK", "--data", "RECORDINGS"], "audio"),
        (["verify", "NETWORK", "--data", "tonic:NMNIST"], "datasets"),
        (["verify", "NETWORK", "--data", "EVENTS", "--backend", "onnx", "--no-drop"], "onnx"),
        (["export", "NETWORK", "--target", "onnx"], "onnx"),
        (["export", "NETWORK", "--target", "nir"], "nir"),
        (["import", "GRAPH"], "nir"),
    ],
)
def test_the_error_for_a_missing_extra_is_one_line(
    arguments: list[str], extra: str, network_file: Path, event_file: Path
) -> None:
    recordings = event_file.parent / "recordings"
    (recordings / "up").mkdir(parents=True)
    (recordings / "up" / "1_nohash_0.wav").touch()
    graph = event_file.with_name("graph.nir")
    graph.touch()  # known by its name
    files = {"NETWORK": network_file, "EVENTS": event_file, "RECORDINGS": recordings, "GRAPH": graph}
    result = python(MAIN, *(str(files.get(argument, argument)) for argument in arguments))
    assert result.returncode == 2, result.stdout + result.stderr
    line = result.stderr.strip()
    assert "\n" not in line
    assert line.startswith("error: ")
    assert f'[{extra}]"' in line


def test_predicts_and_shows(network_file: Path, event_file: Path) -> None:
    done = python(MAIN, "predict", network_file, event_file, "--json")
    assert done.returncode == 0, done.stderr
    predictions = json.loads(done.stdout)["predictions"]
    assert [one["sample"] for one in predictions] == list(range(6))
    for path, kind in ((network_file, "network"), (event_file, "events")):
        done = python(MAIN, "show", path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{path}: {kind}")
    done = python(MAIN, "recipes", "digits", "--keys")
    assert done.returncode == 0, done.stderr
    assert "trainer.early_stopping_patience = none" in done.stdout
