"""An option that would have no effect is refused: nobody may take a result for that of an option that did nothing."""

from __future__ import annotations

import shutil

import pytest

SMALL = ("--set", "model.hidden=[4]")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "digits", "--seed", 3, "--set", "seed=4"), "--seed and --set seed=4 set the same key"),
        (("train", "--set", "trainer.lr=1e-3", "--set", "trainer.lr=2e-3"),
         "--set trainer.lr=1e-3 and --set trainer.lr=2e-3 set the same key; leave one of them out"),
        (("sweep", "digits", "--over", "seed=0,1", "--set", "model.tau=2", "--set", "model.tau=2"),
         "--set model.tau=2 and --set model.tau=2 set the same key"),
        (("map", "digits", "--set", "model.max_delay=3", "--set", "model.max_delay=4"), "set the same key"),
        (("train", "--data", "shd", "--set", "data.source=digits"), "--data and --set data.source=digits set the same"),
        (("train", "--max-delay", 3, "--set", "model.max_delay=4"), "--max-delay and --set model.max_delay=4 set"),
        (("train", "--protocol", "paper", "--set", "protocol=fixed"), "--protocol and --set protocol=fixed set"),
        (("train", "digits", "--dry-run", "--jobs", 2), "--jobs is for the folds"),
        (("train", "digits", "--dry-run", "--target", "none.toml"), "none.toml: no such file"),
        (("train", "digits", "--dry-run", "--strict", "--max-delay", 80), "digits does not fit loihi2"),
        (("sweep", "digits", "--over", "seed=0,1", "--data", "a", "--set", "data.source=b"), "--data and --set"),
        (("compare", "digits", "--data", "a", "--set", "data.source=b"), "--data and --set data.source=b set the same"),
        (("sweep", "--table", "sweeps/a", "--jobs", 2), "--jobs has no effect: --table trains nothing"),
        (("compare", "--page", "sweeps/a", "--seeds", 2), "--seeds has no effect: --page trains and measures nothing"),
        (("map", "digits", "--samples", 3), "--samples has no effect: nothing is run without --data"),
        (("map", "digits", "--classes", 7), "--classes 7: the recipe's data have 10 classes"),
        (("map", "digits", "--set", "data.n_steps=9", "--frames", 5), "--frames 5: the recipe's data have 9 frames"),
        (("map", "RUN", "--classes", 7), "--classes 7: belongs to a recipe"),
        (("map", "NETWORK", "--frames", 7), "--frames 7: belongs to a recipe"),
        (("export", "RUN", "--trace"), "--trace has no effect: --target loihi2 writes no graph"),
        (("export", "RUN", "--chip", "ideal"), "--chip has no effect: the integers are those of --target loihi2"),
        (("export", "RUN", "--target", "nir", "--trace"), "--trace has no effect: --target nir writes no graph"),
        (("export", "RUN", "--target", "onnx-float", "--clip-delays"), "--clip-delays has no effect: the float"),
        (("export", "NETWORK", "--target", "nir", "--checkpoint", "last"), "--checkpoint has no effect: NETWORK is a"),
        (("export", "NETWORK", "--target", "onnx", "--chip", "ideal"), "--chip has no effect: NETWORK is a network"),
        (("verify", "NETWORK", "--no-drop", "--max-drop", 2), "--max-drop has no effect: with --no-drop the integers"),
        (("verify", "NETWORK", "--lava-timeout", 2), "--lava-timeout has no effect: engine and reference run, not"),
        (("verify", "NETWORK", "--brian2loihi-timeout", 2), "--brian2loihi-timeout has no effect: engine and"),
        (("verify", "NETWORK", "--loihi-host", "board=x"), "--loihi-host has no effect: engine and reference run"),
        (("verify", "NETWORK", "--backend", "reference", "--against", "onnx", "--engine-method", "event"),
         "--engine-method has no effect: onnx and reference run, not engine"),
        (("predict", "NETWORK", "NETWORK", "--every", 20), "--every has no effect: without --stream each INPUT"),
    ],
)  # fmt: skip
def test_it_is_refused(arguments, message, call, run, network, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    places = {"RUN": str(run), "NETWORK": str(network)}
    result = call(*(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2
    for word, place in places.items():
        message = message.replace(word, place)
    assert message in " ".join(result.output.split())
    assert not list(tmp_path.iterdir())


def test_a_dry_run_estimates_the_epochs_that_are_trained(call):
    result = call("train", "digits", *SMALL, "--set", "trainer.last_epoch=7", "--dry-run", "-q")
    assert "; 7 epochs: about" in result.output


def test_an_import_overwrites_no_network_that_it_was_not_given(call, network, tmp_path):
    """The exported network records its run and data, which a netx file does not."""
    own = tmp_path / "net work.h5"
    shutil.copy(network, own)
    result = call("export", own, "--target", "nir")
    graph = own.with_suffix(".nir")
    refused = call("import", graph)
    assert refused.exit_code == 2
    assert f"{own}: the file is already there" in refused.output
    assert own.read_bytes() == network.read_bytes()
    suggested = result.output.partition("delaytool import ")[2].strip()
    assert suggested == f"'{graph}' -o '{tmp_path / 'net work-from-nir.h5'}'"
    assert call("import", graph, "-o", tmp_path / "again.h5", "--steps", 3).exit_code == 2
    assert call("import", graph, "-o", tmp_path / "again.h5").exit_code == 0


def test_keys_without_effect_are_named_before_anything_is_trained(call, tmp_path):
    idle = ("--set", "model.tau_current=3", "--set", "trainer.sigma_patience=2", *SMALL, "--set", "trainer.epochs=1")
    result = call("train", "digits", *idle, "-q", "-o", tmp_path / "run")
    printed = " ".join(result.stderr.split())
    assert "note: model.tau_current 3.0 has no effect, as model.neuron is 'lif'" in printed
    assert "note: trainer.sigma_patience 2 has no effect, as trainer.sigma_schedule is 'exponential'" in printed
    assert "note:" not in call("train", "digits", *SMALL, "--dry-run", "-q").output


def test_a_sweep_over_a_key_without_effect_says_so(call, tmp_path):
    over = ("--over", "trainer.rate_weight=1,2", "--set", "trainer.epochs=1", *SMALL)
    result = call("sweep", "digits", *over, "-o", tmp_path / "sweep", "-q")
    printed = " ".join(result.stderr.split())
    assert "note: trainer.rate_weight has no effect in 2 of 2 runs, as no trainer.rate_target is set" in printed


def test_the_list_of_keys_marks_those_without_effect(call, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text('extends = "digits"\n[model]\ndelays = "none"\n')
    printed = " ".join(call("recipes", recipe, "--keys").output.split())
    assert "0 with 'single-tap': 0.3; without effect here, as model.delays is 'none'" in printed
