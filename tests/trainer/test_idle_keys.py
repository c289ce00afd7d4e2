"""Every key changes what is trained, in a recipe that leaves it an effect; where it has none, the recipe names it.

Networks of a few neurons are trained on a few events, with and without a key, and compared bit for bit.
"""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest

from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.idle_keys import describe_idle_keys, keys_without_effect
from delaytool.trainer.loop import train
from delaytool.trainer.recipe import Recipe, all_keys, all_values, load_recipe, preset_names
from delaytool.trainer.run_folder import RunFolder

TINY = [
    "data.time_step_ms=5", "model.hidden=[6,5]", "model.max_delay=6", "model.tau=2", "trainer.epochs=4",
    "trainer.batch_size=16", "trainer.threads=1", "trainer.device=cpu",
]  # fmt: skip

# Nothing is learned, so that accuracy does not rise.
STILL = "trainer.lr=1e-9 trainer.delay_lr=0 trainer.epochs=8"
PLATEAU = f"{STILL} trainer.sigma_schedule=plateau trainer.sigma_patience=1"

UNITS = 12

# key: (what the recipe sets besides, another value of the key)
EFFECTS = {
    "seed": ("", "1"),
    "protocol": ("", "fixed"),
    "data.time_step_ms": ("", "4"),
    "data.channel_bins": ("", "2"),
    "data.values": ("", "binary"),
    "data.classes": ("", "4"),
    "data.start": ("", "zero"),
    "data.n_steps": ("", "9"),
    "data.max_count": ("", "1"),
    "data.n_units": ("", "20"),
    "data.validation_fraction": ("", "0.4"),
    "data.test_fraction": ("", "0.4"),
    "data.split_by": ("", "stratified"),
    "data.folds": ("protocol=cross-validated data.fold=1", "3"),
    "data.fold": ("protocol=cross-validated data.fold=1", "2"),
    "data.held_out_speaker": ("", "2"),
    "data.held_out_as": ("data.held_out_speaker=2", "test"),
    "model.hidden": ("", "[7,5]"),
    "model.kernel_count": ("", "2"),
    "model.max_delay": ("", "4"),
    "model.delays": ("", "fixed-random"),
    "model.delays_per": ("", "presynaptic"),
    "model.interpolation": ("", "max"),
    "model.sparsity": ("", "0.5"),
    "model.rewiring": ("model.sparsity=[0.5,0.5,0]", "rigl"),
    "model.dale": ("model.sparsity=0.5 model.rewiring=deep-r", "true"),
    "model.tau": ("", "3"),
    "model.neuron": ("", "cuba"),
    "model.tau_current": ("model.neuron=cuba", "3"),
    "model.adaptation": ("model.neuron=adaptive", "0.4"),
    "model.tau_adaptation": ("model.neuron=adaptive", "5"),
    "model.recurrent": ("", "[false,true]"),
    "model.recurrent_max_delay": ("model.recurrent=true", "3"),
    "model.threshold": ("", "0.7"),
    "model.surrogate_alpha": ("", "2"),
    "model.detach_reset": ("", "false"),
    "model.batch_norm": ("", "false"),
    "model.bias": ("", "true"),
    "model.dropout": ("", "0.3"),
    "model.timing": ("", "chip"),
    "model.tail_steps": ("model.timing=chip", "1"),
    "model.convolution": ("", "fft"),
    "model.discarded_mass": ("model.convolution=windowed", "0.05"),
    "trainer.epochs": ("", "5"),
    "trainer.batch_size": ("", "8"),
    "trainer.lr": ("", "0.01"),
    "trainer.lr_schedule": ("", "cosine"),
    "trainer.weight_decay": ("", "0.01"),
    "trainer.l1": ("", "0.001"),
    "trainer.rate_target": ("", "[1,3]"),
    "trainer.rate_weight": ("trainer.rate_target=[1,3]", "1"),
    "trainer.delay_lr": ("", "0.5"),
    "trainer.sigma_schedule": ("trainer.sigma_epochs=0.75", "linear"),
    "trainer.sigma_start": ("", "2"),
    "trainer.sigma_end": ("", "1"),
    "trainer.sigma_epochs": ("", "0.5"),
    "trainer.sigma_factor": (PLATEAU, "0.3"),
    "trainer.sigma_patience": (PLATEAU, "3"),
    "trainer.single_tap_epochs": ("", "0.5"),
    "trainer.blend": ("", "0.5"),
    "trainer.time_shift": ("", "2"),
    "trainer.channel_shift": ("", "2"),
    "trainer.time_jitter": ("", "1"),
    "trainer.spike_time_jitter": ("", "1"),
    "trainer.channel_jitter": ("", "1"),
    "trainer.channel_dropout": ("", "0.2"),
    "trainer.time_mask": ("", "3"),
    "trainer.channel_mask": ("", "3"),
    "trainer.mask_probability": ("trainer.time_mask=3", "0.5"),
    "trainer.cut_mix": ("", "0.5"),
    "trainer.cut_mix_weight": ("trainer.cut_mix=0.5", "spikes"),
    "trainer.quantize": ("", "loihi2"),
    "trainer.quantize_epochs": ("trainer.quantize=loihi2", "0.5"),
    "trainer.last_epoch": ("", "3"),
    "trainer.average_epochs": ("", "2"),
    "trainer.test_every_epoch": ("protocol=fixed", "true"),
    "trainer.early_stopping_patience": (STILL, "1"),
}
# Tested elsewhere: names, kinds of data that these events are not, and what the numbers are not to depend on.
OTHERS = {
    "name", "data.source", "data.time_unit", "data.input_bits", "data.input_range", "data.ear", "data.mel",
    "data.pixel_bins", "data.polarity", "trainer.device", "trainer.precision", "trainer.gradient_checkpointing",
    "trainer.cuda_graphs", "trainer.threads",
}  # fmt: skip

# (what the recipe sets besides, key and value without effect)
IDLE = [
    ("data.values=binary", "data.max_count=2"),
    ("", "data.folds=3"),
    ("", "data.held_out_as=test"),
    ("protocol=fixed", "data.validation_fraction=0.4"),
    ("protocol=paper", "data.validation_fraction=0.4"),
    ("protocol=cross-validated data.fold=1", "data.validation_fraction=0.4"),
    ("data.held_out_speaker=2", "data.validation_fraction=0.4"),
    ("data.held_out_speaker=2 data.held_out_as=test", "data.test_fraction=0.4"),
    ("model.delays=none", "model.kernel_count=2"),
    ("model.delays=dense", "model.kernel_count=2"),
    ("model.delays=none", "model.delays_per=presynaptic"),
    ("model.delays=dense", "model.delays_per=postsynaptic"),
    ("model.delays=fixed-random", "model.interpolation=max"),
    ("model.max_delay=0", "model.interpolation=max"),
    ("", "model.tau_current=3"),
    ("model.neuron=cuba", "model.adaptation=0.4"),
    ("", "model.tau_adaptation=5"),
    ("", "model.recurrent_max_delay=3"),
    ("model.recurrent=true model.delays=none", "model.recurrent_max_delay=3"),
    ("model.convolution=direct", "model.discarded_mass=0.05"),
    ("model.sparsity=[0,0,0]", "model.rewiring=rigl"),
    ("model.sparsity=[0,0,0] model.rewiring=rigl", "model.dale=true"),
    *((f"model.delays={delays}", f"trainer.{change}")
      for delays in ("none", "dense", "fixed-random")
      for change in ("delay_lr=0.5", "sigma_schedule=plateau", "sigma_start=2", "single_tap_epochs=0.5")),
    ("model.delays=none", "trainer.sigma_end=1"),
    ("model.max_delay=0", "trainer.delay_lr=0.5"),
    ("model.interpolation=triangle", "trainer.sigma_schedule=constant"),
    ("model.interpolation=triangle", "trainer.sigma_start=2"),
    ("trainer.sigma_schedule=constant", "trainer.sigma_start=2"),
    ("trainer.sigma_schedule=constant", "trainer.sigma_epochs=0.5"),
    ("trainer.sigma_schedule=plateau", "trainer.sigma_epochs=0.5"),
    *((f"model.convolution=windowed {settings}", "model.discarded_mass=0.05")
      for settings in ("model.delays=none", "model.delays=dense", "model.delays=fixed-random",
                       "model.interpolation=max", "model.interpolation=triangle")),
    *(("trainer.single_tap_epochs=1", change)
      for change in ("model.interpolation=max", "model.discarded_mass=0.05", "trainer.delay_lr=0.5",
                     "trainer.sigma_schedule=linear", "trainer.sigma_start=2", "trainer.sigma_end=1")),
    ("trainer.quantize=loihi2 trainer.quantize_epochs=1", "trainer.sigma_schedule=single-tap"),
    ("trainer.quantize=loihi2 trainer.quantize_epochs=1", "trainer.single_tap_epochs=0.5"),
    ("trainer.quantize=loihi2 trainer.quantize_epochs=0.5", "trainer.single_tap_epochs=0.3"),
    ("", "trainer.single_tap_epochs=0.1"),
    ("trainer.epochs=1", "trainer.sigma_schedule=single-tap"),
    ("model.delays=none model.tail_steps=3", "model.max_delay=4"),
    *(("trainer.sigma_start=0.1", f"trainer.{change}")
      for change in ("sigma_epochs=0.5", "sigma_schedule=linear", "sigma_schedule=cosine", "sigma_schedule=plateau")),
    ("trainer.sigma_start=2 trainer.sigma_end=2 trainer.sigma_schedule=plateau", "trainer.sigma_factor=0.3"),
    *((f"model.hidden=[] {settings}".strip(), f"model.{change}")
      for settings in ("", "trainer.quantize=loihi2")
      for change in ("dropout=0.5", "threshold=0.7", "surrogate_alpha=2", "detach_reset=false", "batch_norm=false")),
    ("model.hidden=[]", "model.recurrent=true"),
    ("", "trainer.sigma_factor=0.3"),
    ("trainer.sigma_schedule=linear", "trainer.sigma_patience=1"),
    ("", "trainer.rate_weight=1"),
    ("trainer.rate_weight=0", "trainer.rate_target=[1,3]"),
    ("", "trainer.early_stopping_patience=3"),
    ("trainer.last_epoch=3", "trainer.early_stopping_patience=2"),
    ("", "trainer.last_epoch=4"),
    ("", "trainer.mask_probability=0.5"),
    ("trainer.mask_probability=0", "trainer.time_mask=3"),
    ("", "trainer.cut_mix_weight=spikes"),
    ("", "trainer.quantize_epochs=0.5"),
]  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(settings) -> (the recipe, a digest of its checkpoints and metrics); each is trained once."""
    events = tmp_path_factory.mktemp("data") / "events.h5"
    _write_events(events)

    @functools.cache
    def run(*settings: str) -> tuple[Recipe, str]:
        recipe = load_recipe(str(_recipe_file(events)), [*TINY, *settings])
        with tempfile.TemporaryDirectory() as folder:
            train(recipe, Path(folder) / "run")
            return recipe, _digest(RunFolder(Path(folder) / "run"))

    return run


def _recipe_file(events: Path) -> Path:
    file = events.with_name("recipe.toml")
    file.write_text(f"[data]\nsource = {json.dumps(events.name)}\nn_units = {UNITS}\n")
    return file


def _write_events(path: Path, samples: int = 90, classes: int = 3) -> None:
    """Without the number of units, which the recipe therefore decides."""
    rng = np.random.default_rng(0)
    labels = np.arange(samples) % classes
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (samples,), dtype=h5py.vlen_dtype(np.float32))
        channels = file.create_dataset("spikes/units", (samples,), dtype=h5py.vlen_dtype(np.uint16))
        for index, label in enumerate(labels):
            channels[index] = rng.integers(0, UNITS, 30)
            late = channels[index] * (label + 1) % 5 * 0.004
            times[index] = 0.013 + rng.random(30) * 0.05 + late
        file["labels"] = labels
        file["extra/speaker"] = np.arange(samples) // 3 % 6


def _digest(run: RunFolder) -> str:
    sha = hashlib.sha256()
    for path in (run.best, run.last):
        for name, tensor in sorted(Checkpoint.load(path).model.items()):
            sha.update(name.encode() + tensor.numpy().tobytes())
    for line in run.read_metrics():
        # The learning rate of delays is recorded where none is moved, too, and how far rates are from their target.
        kept = {name: value for name, value in line.items() if name not in ("seconds", "delay_lr", "rate_penalty")}
        sha.update(json.dumps(kept).encode())
    sha.update(json.dumps(run.read_summary()["split"]).encode())
    return sha.hexdigest()


def test_every_key_is_in_one_of_the_tables():
    assert set(EFFECTS) | OTHERS == set(all_keys())
    assert not set(EFFECTS) & OTHERS


@pytest.mark.parametrize("key", EFFECTS)
def test_a_key_changes_what_is_trained(key, trained):
    besides, value = EFFECTS[key]
    recipe, after = trained(*besides.split(), f"{key}={value}")
    assert trained(*besides.split())[1] != after
    assert key not in keys_without_effect(recipe)


@pytest.mark.parametrize(("besides", "change"), IDLE)
def test_a_key_without_effect_is_named_and_changes_nothing(besides, change, trained):
    recipe, after = trained(*besides.split(), change)
    assert trained(*besides.split())[1] == after
    key = change.partition("=")[0]
    reason = keys_without_effect(recipe)[key]
    (sentence,) = describe_idle_keys({key: reason}, all_values(recipe))
    assert sentence.startswith(f"{key} ")
    assert sentence.endswith(f" has no effect, as {reason}")


def test_recurrent_delays_of_a_network_without_others_are_learned(trained):
    besides = ("model.max_delay=0", "model.recurrent=true", "model.recurrent_max_delay=4")
    recipe, after = trained(*besides, "trainer.delay_lr=0.5")
    assert trained(*besides)[1] != after
    assert not keys_without_effect(recipe)


@pytest.mark.parametrize(
    ("besides", "change"),
    [
        ("trainer.quantize=loihi2 trainer.quantize_epochs=0.25", "trainer.single_tap_epochs=0.5"),
        ("trainer.quantize=loihi2 trainer.quantize_epochs=0.5 trainer.sigma_schedule=single-tap trainer.epochs=8",
         "trainer.single_tap_epochs=0.75"),
        ("trainer.sigma_schedule=single-tap", "trainer.single_tap_epochs=0.1"),
        ("trainer.sigma_start=0.1", "trainer.sigma_schedule=constant"),
        ("trainer.sigma_start=0.1", "trainer.sigma_schedule=single-tap"),
        ("trainer.single_tap_epochs=0.75", "trainer.sigma_start=2"),
        ("model.tail_steps=3", "model.max_delay=4"),
        ("model.delays=none", "model.max_delay=4"),
    ],
)  # fmt: skip
def test_a_key_that_still_has_an_effect_is_not_named(besides, change, trained):
    recipe, after = trained(*besides.split(), change)
    assert trained(*besides.split())[1] != after
    assert change.partition("=")[0] not in keys_without_effect(recipe)


def test_the_presets_have_no_key_without_effect():
    assert not any(keys_without_effect(load_recipe(name)) for name in preset_names())
