"""`train --dry-run`, `recipes --keys`, `show`, `-q` and completion."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from delaytool.cli import VERBS, main
from delaytool.contract.network import IntegerNetwork
from delaytool.trainer.recipe import load_recipe

TESTS = Path(__file__).parents[1]
SMALL = ("--set", "model.hidden=[6]", "--set", "trainer.epochs=2", "--set", "trainer.batch_size=256")


def test_a_dry_run_measures_and_writes_nothing(
    call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    early = ("trainer.epochs=3", "trainer.early_stopping_patience=1")
    settings = [one for setting in ("model.hidden=[6]", "trainer.batch_size=256", *early) for one in ("--set", setting)]
    result = call("train", "digits", "--dry-run", *settings)
    assert result.exit_code == 0, result.output
    assert list(tmp_path.iterdir()) == []
    lines = result.output.splitlines()
    assert lines[0] == "digits: 64-6-10, 900 parameters, 444 synapses"
    assert lines[1].startswith("data: 1,151 training, 287 validation and 359 test samples of 9 steps of 2 ms")
    assert "a step on cpu, batch 256: " in lines[3]
    assert lines[4].startswith("an epoch: 5 steps and ")
    assert "training may stop early" in lines[5]
    assert lines[-1] == "nothing was written; leave out --dry-run to train"
    assert call("train", "--resume", "x", "--dry-run").exit_code == 2
    assert "data.source" in call("train", "gsc-3l-1kc", "--dry-run").stderr


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_that_shows_bars_can_be_quiet(verb: str) -> None:
    command = main.get_command(None, verb)  # type: ignore[arg-type]
    source = inspect.getsource(sys.modules[command.callback.__module__])  # type: ignore[union-attr]
    if "StepBars(" in source:
        assert "-q" in {option for parameter in command.params for option in parameter.opts}  # type: ignore[union-attr]
        assert "StepBars()" not in source


def test_the_estimate_adds_up(tmp_path: Path) -> None:
    from delaytool.trainer.dry_run import dry_run

    found = dry_run(load_recipe("digits", ["model.hidden=[6]", "trainer.epochs=10", "trainer.single_tap_epochs=0.3"]))
    assert (found.sizes, found.batch_size, found.batches) == ((64, 6, 10), 32, 36)
    assert found.first_width_epochs == 7
    steps = 36 * (7 * found.first_step_s + 3 * found.last_step_s)
    assert found.total_s == pytest.approx(steps + 10 * found.evaluation_s)
    assert min(found.first_step_s, found.last_step_s, found.evaluation_s) > 0
    assert found.frame_bytes == (1151 + 287 + 359) * 9 * 64


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        (["quantize=loihi2", "average_epochs=5"], ["the last epoch goes through loihi2's integers"]),
        (["quantize=loihi2", "quantize_epochs=0.7"], ["the last 3 epochs go through loihi2's integers"]),
        (["average_epochs=5"], ["after the last epoch the mean takes one more pass"]),
        (["average_epochs=9"], ["after each of the last 4 epochs their mean takes one more pass"]),
        (["early_stopping_patience=5"], []),  # it could end training after epoch 6 at the soonest, which is the last
        (["early_stopping_patience=4"], ["training may stop early"]),
    ],
)
def test_a_dry_run_counts_the_epochs_to_the_last_that_is_trained(settings: list[str], sentences: list[str]) -> None:
    from delaytool.trainer.dry_run import dry_run

    schedule = ("epochs=10", "last_epoch=6", "quantize_epochs=0.5", "sigma_epochs=0.2", "single_tap_epochs=0")
    recipe = load_recipe("digits", ["model.hidden=[6]", *(f"trainer.{setting}" for setting in (*schedule, *settings))])
    found = dry_run(recipe).not_measured
    assert len(found) == len(sentences)
    assert all(sentence.startswith(start) for sentence, start in zip(found, sentences, strict=True))


def test_keys_are_listed_within_80_columns(call: Callable[..., Any]) -> None:
    result = call("recipes", "digits", "--keys")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert max(map(len, lines)) <= 80
    recipe = load_recipe("digits")
    assert f"* model.max_delay = {recipe.model.max_delay}  (default: 24)" in lines
    assert "  trainer.early_stopping_patience = none" in lines
    assert not any(line.startswith("*") for line in call("recipes", "--keys").output.splitlines())


def test_quiet_verbs_print_results_alone(call: Callable[..., Any], tmp_path: Path, network: Path) -> None:
    result = call("train", "digits", "-o", tmp_path / "run", "-q", *SMALL)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].startswith("best epoch ")
    assert lines[-1].startswith(f"run: {tmp_path / 'run'}")
    assert "validation" in lines[0]
    assert len(lines) <= 4
    swept = call("sweep", "digits", "--over", "seed=0,1", "-o", tmp_path / "sweep", "-q", *SMALL)
    assert swept.exit_code == 0
    assert "2 runs" not in swept.output
    assert "validation" in swept.output
    for arguments in (
        ("verify", network, "-q"),
        ("export", tmp_path / "run", "-q"),
        ("analyze", tmp_path / "run", "-q"),
    ):
        assert call(*arguments).exit_code == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("delaytool train di", "plain,digits"),
        ("delaytool recipes gsc-3l-1", "plain,gsc-3l-1kc"),
        ("delaytool compare digits ss", "plain,ssc-3l-1kc\nplain,ssc-3l-2kc"),
        ("delaytool train digits --set model.max_d", "plain,model.max_delay="),
        ("delaytool sweep digits --over trainer.sigma_sch", "plain,trainer.sigma_schedule="),
        ("delaytool train digits --set trainer.lr_schedule=cos", "plain,trainer.lr_schedule=cosine"),
        ("delaytool export run --target loihi2", "plain,loihi2\nplain,loihi2-netx"),
        ("delaytool pre", "plain,predict"),
    ],
)  # fmt: skip
def test_the_shell_completes(words: str, expected: str) -> None:
    environment = os.environ | {
        "_DELAYTOOL_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")),
    }  # fmt: skip
    main = "from delaytool.cli import main; main(prog_name='delaytool')"
    done = subprocess.run([sys.executable, "-c", main], capture_output=True, text=True, env=environment, check=False)
    found = [line for line in done.stdout.splitlines() if not line.startswith("file,")]
    assert "\n".join(found) == expected, done.stderr


def show(call: Callable[..., Any], path: Path) -> dict[str, Any]:
    result = call("show", path, "--json")
    assert result.exit_code == 0, result.output
    text = call("show", path)
    assert text.exit_code == 0
    found = json.loads(result.stdout)
    assert text.output.splitlines()[0] == f"{path}: {found['kind']}"
    return found


@pytest.mark.parametrize(
    ("model", "delays"),
    [
        ("max_delay = 4", "learned, 0..4"),
        ('max_delay = 4\ndelays = "none"', "none: every delay is 0"),
        ("max_delay = 4\nrecurrent = true", "learned, 0..4; within recurrent layers 0..4"),
        ("max_delay = 4\nrecurrent = true\nrecurrent_max_delay = 30", "learned, 0..4; within recurrent layers 0..30"),
    ],
)
def test_show_names_the_delays_that_a_network_can_have(model: str, delays: str, call, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(f'extends = "digits"\nname = "mine"\n[model]\n{model}\n')
    assert show(call, recipe)["delays"] == delays


def test_show_names_what_is_in_each_kind_of_file(
    call: Callable[..., Any], run: Path, network: Path, tmp_path: Path
) -> None:
    loaded = IntegerNetwork.load(network)
    found = show(call, network)
    assert found["kind"] == "network"
    assert found["sizes"] == [64, 40, 10]
    assert found["synapses"] == loaded.n_synapses
    assert found["integers_sha256"] == loaded.integers_sha256()
    assert [row["synapses"] for row in found["layers"]] == [layer.n_synapses for layer in loaded.layers]
    assert found["digests"] == "signed, and checked"
    assert found["provenance"]["recipe"] == "digits"
    found = show(call, run)
    assert (found["kind"], found["state"], found["epochs"]) == ("run folder", "finished", "8 of 8")
    assert found["networks"] == ["network-loihi2.h5"]
    found = show(call, run / "last.pt")
    assert (found["kind"], found["epoch"], found["sizes"]) == ("checkpoint", "8 of 8", [64, 40, 10])
    assert show(call, run / "recipe.toml")["kind"] == "recipe"
    found = show(call, TESTS / "golden" / "several-taps.h5")
    assert (found["kind"], found["frames"], found["recorded"]) == ("golden vector", "1 x 80 x 2", ["spikes", "u", "v"])
    fixtures = TESTS / "fixtures"
    assert show(call, fixtures / "network-v1-sparse.h5")["digests"].startswith("not signed")
    found = show(call, fixtures / "run-without-digests")
    assert (found["state"], found["epochs"]) == ("not finished", "1 of 2")
    assert found["digests"] == "not signed: recipe.toml, environment.json, metrics.jsonl"
    found = show(call, fixtures / "stream-v1.npz")
    assert found["kind"] == "stream state"
    assert found["steps_done"] > 0
    assert show(call, fixtures / "netx-v1.net")["kind"] == "netx network"
    with h5py.File(tmp_path / "train.h5", "w") as file:
        file["labels"] = [1, 0, 1]
        for name, dtype in (("times", np.float32), ("units", np.int32)):
            file.create_dataset(f"spikes/{name}", (3,), dtype=h5py.vlen_dtype(dtype))
            for index in range(3):
                file[f"spikes/{name}"][index] = np.arange(4).astype(dtype)
        file.attrs["n_units"] = 5
    found = show(call, tmp_path / "train.h5")
    assert (found["kind"], found["samples"], found["events"], found["units"]) == ("events", 3, 12, 5)
    assert found["per_class"] == [{"class": "0", "samples": 1}, {"class": "1", "samples": 2}]
    assert found["longest_s"] == 3
    assert show(call, tmp_path)["parts"][0]["events"] == 12
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    assert show(call, tmp_path / "a.npy")["shape"] == [2, 3]


def test_show_is_strict_and_escapes_names(call: Callable[..., Any], network: Path, run: Path, tmp_path: Path) -> None:
    content = bytearray(network.read_bytes())
    content[-100] ^= 1
    (tmp_path / "cut.h5").write_bytes(content)
    (tmp_path / "cut.pt").write_bytes((run / "best.pt").read_bytes()[:-200])
    (tmp_path / "text.txt").write_text("nothing")
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", a=np.array([{}]))
    (tmp_path / "empty").mkdir()
    for name, words in (
        ("cut.h5", "its bytes are not those that were written"),
        ("cut.pt", "damaged"),
        ("text.txt", "its first bytes are of nothing that is read here"),
        ("object.npy", "cannot be read as a NumPy array"),
        ("empty", "neither a run"),
        ("gone\x1b[2J", "gone\\x1b[2J: no such file"),
    ):
        result = call("show", tmp_path / name)
        assert result.exit_code == 2, name
        assert words in result.output
        assert result.output.count("\n") == 1
        assert "\x1b" not in result.output
    assert "object" in call("show", tmp_path / "objects.npz").output  # the header is read, never what it holds
    from dataclasses import replace

    loaded = IntegerNetwork.load(network)
    names = ("\x1b[31mred", *loaded.class_names[1:]) if loaded.class_names else ("\x1b[31mred", *"123456789")
    replace(loaded, class_names=names, provenance={"made": "\u202eby"}).save(tmp_path / "named.h5")
    text = call("show", tmp_path / "named.h5").output
    assert "\\x1b[31mred" in text
    assert "\\u202eby" in text
    assert "\x1b" not in text
