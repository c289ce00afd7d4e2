"""The three verbs on a run that was trained through the chip's integers."""

import json

import pytest

QUANTIZED = ("--set", "model.hidden=[16]", "--set", "trainer.quantize=loihi2", "--set", "trainer.lr_schedule=constant")


@pytest.fixture(scope="module")
def run(call, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "quantized"
    result = call("train", "digits", "-o", folder, *QUANTIZED, "--set", "trainer.epochs=3")
    assert result.exit_code == 0, result.output
    assert "trained through loihi2's integers: these accuracies are theirs" in result.output
    return folder


def test_the_integers_go_through_export_and_verify_without_a_difference(run, call):
    result = call("export", run)
    assert result.exit_code == 0, result.output
    assert "these are the integers of loihi2 that training ended on: none was rounded for this" in result.output
    assert "--target loihi2-netx" not in result.output  # which would have the same integers
    result = call("verify", run / "network-loihi2.h5", "--torch", "--max-drop", "0", "--json")
    assert result.exit_code == 0, result.output
    verdict = json.loads(result.stdout)
    assert verdict["drop_points"] == 0
    assert verdict["mismatches"] == {name: {"spikes": 0, "u": 0, "v": 0} for name in ("reference", "torch")}
    assert (verdict["float_recorded"], verdict["quantized_for"]) == (True, "loihi2")


def test_verify_calls_the_trained_integers_no_float_network(run, call):
    for how, origin in (((), "recorded by the exporter"), (("--run", run), "measured now with")):
        result = call("verify", run / "network-loihi2.h5", *how)
        assert result.exit_code == 0, result.output
        shown = " ".join(result.output.split())
        assert "as trained, integers" in shown
        assert f"so that no float network was run; the accuracy as trained: {origin}" in shown
        assert "integers cost 0.00 points of accuracy against those that were trained" in shown
        assert "float, " not in shown
    verdict = json.loads(call("verify", run / "network-loihi2.h5", "--run", run, "--json").stdout)
    assert (verdict["float_recorded"], verdict["quantized_for"]) == (False, "loihi2")
    page = run / "report.html"
    assert call("report", run, "--samples", 4, "-o", page).exit_code == 0
    text = page.read_text()
    assert "accuracy, as trained, integers" in text
    assert "The float network&#39;s accuracies were" not in text


def test_export_names_a_checkpoint_from_before_the_integers(call, tmp_path):
    from delaytool.trainer.loop import Reporter, train
    from delaytool.trainer.recipe import load_recipe

    class Interrupts(Reporter):
        def batch(self, epoch, index, count, loss):
            if epoch == 3:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(load_recipe("digits", [*QUANTIZED[1::2], "trainer.epochs=3"]), tmp_path / "run", reporter=Interrupts())
    result = call("export", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "this checkpoint is from before training through loihi2's integers began" in result.output
