"""Training through a chip's integers: what is trained is what is exported."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from delaytool.errors import CheckpointError, ExportError, RecipeError
from delaytool.exporter.compile import export
from delaytool.hw_configs import load_target
from delaytool.models.delay_network import DelayNetwork
from delaytool.models.delayed_linear import DelayedLinear
from delaytool.quantization.integer_training import IntegerTraining, layer_integers
from delaytool.runtime import decode, reference
from delaytool.runtime.backends.torch import simulate
from delaytool.trainer.checkpoint import Checkpoint
from delaytool.trainer.data import load_data
from delaytool.trainer.evaluation import evaluate
from delaytool.trainer.integer_training import refuse_what_the_chip_lacks
from delaytool.trainer.loop import Reporter, train
from delaytool.trainer.recipe import Recipe, TrainerConfig, load_recipe
from delaytool.trainer.run_folder import RunFolder
from delaytool.trainer.sigma_schedules import SigmaSchedule

# Few epochs, so a network that fires from the first: batch norm lets it, a high constant rate moves its weights.
QUANTIZED = [
    "model.hidden=[12,10]", "trainer.epochs=4", "trainer.batch_size=128", "trainer.quantize=loihi2",
    "trainer.quantize_epochs=0.5", "trainer.lr_schedule=constant", "trainer.lr=2e-2",
]  # fmt: skip


class Watches(Reporter):
    """Keeps the integers that each epoch ended on (None before there are any), and interrupts one on request."""

    def __init__(self, folder, interrupt=None):
        self.folder, self.interrupt, self.seen = RunFolder(folder), interrupt, []

    def batch(self, epoch, index, count, loss):
        if epoch == self.interrupt and index == 2:
            raise KeyboardInterrupt

    def epoch(self, metrics, is_best):
        saved = Checkpoint.load(self.folder.last)
        assert metrics["quantized_for"] == (None if saved.scales is None else saved.scales.target.name)
        self.seen.append(None if saved.scales is None else (saved.scales, integers(saved.network())))


def integers(model):
    norms = [*(layer.norm for layer in model.network.hidden_layers()), None]
    return [
        tuple(whole.detach().clone() for whole in layer_integers(synapses, norm, scale, model.limits))
        for synapses, norm, scale in zip(model.network.delayed_layers(), norms, model.scales.scales, strict=True)
    ]


@pytest.fixture(scope="module")
def quantized_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantized") / "run"
    watches = Watches(folder)
    summary = train(load_recipe("digits", QUANTIZED), folder, reporter=watches)
    return folder, watches.seen, summary


def test_the_last_epochs_move_the_integers_at_the_same_scales(quantized_run):
    _, seen, summary = quantized_run
    assert seen[:2] == [None, None]
    (scales, before), (kept, after) = seen[2:]
    assert scales == kept
    assert scales.target.name == summary["quantized_for"] == "loihi2"
    assert all((old != new).any() for (old, _), (new, _) in zip(before, after, strict=True))
    assert summary["best_epoch"] > 2, "what was best before the integers is another network"


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_exported_integers_are_the_trained_ones_value_by_value(quantized_run, tmp_path, checkpoint):
    folder, seen, summary = quantized_run
    saved = Checkpoint.load(getattr(RunFolder(folder), checkpoint))
    scales, trained = seen[saved.epoch - 1]
    data = load_data(saved.recipe, saved.encoding)
    network = export(
        saved.network(), saved.encoding, load_target("loihi2"), tmp_path / "net.h5", data.validation.frames[:20].numpy()
    ).network
    for layer, scale, (steps, mantissas) in zip(network.layers, scales.scales, trained, strict=True):
        assert np.array_equal(layer.synapses[0].weight, 2 * steps[..., 0].numpy())
        assert np.array_equal(layer.bias_mantissa, mantissas.numpy())
        assert layer.synapses[0].exponent == scale.exponent
        assert (layer.threshold, layer.bias_exponent) == (scale.threshold, scale.bias_exponent)

    # The network as the trainer evaluates it, and the contract's slow reference: one and the same, spike by spike.
    frames, labels = data.test.frames, data.test.labels
    model = saved.network()
    evaluation = evaluate(model, frames, labels, 64)
    trace = reference.run(network, frames.numpy())
    assert np.array_equal(evaluation.predictions, decode.decode(network, trace.v[-1])[0])
    with torch.no_grad():
        spikes, _ = model.traced(frames)
    for ours, theirs in zip(spikes, trace.spikes[:-1], strict=True):
        assert np.array_equal(ours.transpose(0, 1).numpy() > 0, theirs)
    if checkpoint == "best":
        assert evaluation.accuracy == summary["test_accuracy_rounded"] == summary["test_accuracy_as_trained"]


@pytest.mark.parametrize("epoch", [2, 3, 4])
def test_a_run_interrupted_round_the_change_resumes_to_the_same_integers(epoch, quantized_run, tmp_path):
    whole, seen, summary = quantized_run
    with pytest.raises(KeyboardInterrupt):
        train(load_recipe("digits", QUANTIZED), tmp_path / "cut", reporter=Watches(tmp_path / "cut", epoch))
    resumed = Watches(tmp_path / "cut")
    assert train(None, tmp_path / "cut", resume=True, reporter=resumed) == summary
    assert resumed.seen[-1][0] == seen[-1][0], "the scales are the same"
    for ours, theirs in zip(resumed.seen[-1][1], seen[-1][1], strict=True):
        assert torch.equal(ours[0], theirs[0])
        assert torch.equal(ours[1], theirs[1])
    one, other = (Checkpoint.load(RunFolder(folder).last).model for folder in (whole, tmp_path / "cut"))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("options", [["model.timing=paper"], ["model.kernel_count=2", "model.bias=true"],
                                     ["trainer.quantize=ideal", "model.dropout=0"],
                                     ["model.delays_per=presynaptic", "model.kernel_count=2"],
                                     ["model.delays=fixed-random"], ["model.delays=dense"], ["model.delays=none"],
                                     ["trainer.quantize_epochs=1.0"]])  # fmt: skip
def test_other_networks_are_as_exact(options, tmp_path):
    recipe = load_recipe("digits", [*QUANTIZED, "trainer.epochs=2", *options])
    train(recipe, tmp_path / "run")
    saved = Checkpoint.load(RunFolder(tmp_path / "run").last)
    data = load_data(recipe, saved.encoding)
    frames = data.test.frames[:60]
    done = export(
        saved.network(), saved.encoding, load_target(recipe.trainer.quantize), tmp_path / "net.h5",
        data.validation.frames[:20].numpy(),
    )  # fmt: skip
    assert [layer.disagreement for layer in done.layers] == [0.0, 0.0, 0.0]
    evaluation = evaluate(saved.network(), frames, data.test.labels[:60], 60)
    v = simulate(done.network, frames)[-1].v.numpy()
    assert np.array_equal(evaluation.predictions, decode.decode(done.network, v)[0])


def test_without_the_key_nothing_changes(tiny_recipe):
    assert tiny_recipe.trainer.quantize is None
    assert tiny_recipe.trainer.first_quantized_epoch == tiny_recipe.trainer.epochs


@pytest.mark.parametrize(("epochs", "share", "first"), [(10, 0.2, 8), (10, 0.01, 9), (10, 1.0, 0), (1, 0.2, 0)])
def test_the_share_is_of_the_last_epochs_and_those_have_single_taps(epochs, share, first):
    config = TrainerConfig(epochs=epochs, quantize="loihi2", quantize_epochs=share)
    assert config.first_quantized_epoch == first
    schedule = SigmaSchedule.of_recipe(Recipe(trainer=config), DelayedLinear(2, 2, max_delay=24))
    for epoch in range(epochs):
        assert (schedule.sigma is None) == schedule.is_final == (epoch >= first)
        schedule.step()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.quantize=abacus"], r"trainer\.quantize: value 'abacus' is not possible; choose one of ideal, loih"),
        (["trainer.quantize=loihi2", "model.max_delay=63"], r"model\.max_delay: 63 exceeds loihi2's 62.*-max-delay 62"),
        (["trainer.quantize=loihi2", "model.neuron=plif"], r"model\.neuron: 'plif' is not trained through integers"),
        (
            ["trainer.quantize=loihi2", "model.neuron=adaptive"],
            r"'adaptive', .* constant threshold .*'lif', 'plif' or 'cuba', of which trainer\.quantize takes only 'lif'",
        ),
        (["trainer.quantize=loihi2", "model.recurrent=true"], r"model\.recurrent: recurrent layers are not trained"),
        (
            ["trainer.quantize=loihi2-netx", "data.time_step_ms=9"],
            r"input: a value can reach \d, loihi2-netx sends 1; .*smaller data\.max_count .* without trainer\.quantize",
        ),
    ],
)  # fmt: skip
def test_what_the_chip_cannot_hold_is_refused_before_training(overrides, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        train(load_recipe("digits", ["data.max_count=3", *overrides]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_layer_that_never_fires_where_integers_begin_is_named_with_what_can_be_changed(tmp_path):
    silent = ["model.threshold=50", "model.batch_norm=false", "trainer.quantize_epochs=1"]
    message = (
        r"layer hidden1: it never fires where training through loihi2's integers begins, after 0 of 4 epochs, .*"
        r"smaller model\.threshold \(now 50\), or with a smaller trainer\.quantize_epochs \(now 1\), which begins"
    )
    with pytest.raises(RecipeError, match=message):
        train(load_recipe("digits", [*QUANTIZED, *silent]), tmp_path / "run")


def test_without_delays_the_longest_delay_is_a_length_that_any_chip_has():
    recipe = load_recipe("digits", ["trainer.quantize=loihi2", "model.max_delay=100", "model.delays=none"])
    refuse_what_the_chip_lacks(recipe, load_data(load_recipe("digits")).encoding)


def test_another_target_is_given_the_trained_integers_or_refused(quantized_run, tmp_path):
    saved = Checkpoint.load(RunFolder(quantized_run[0]).best)
    frames = load_data(saved.recipe, saved.encoding).validation.frames[:20].numpy()
    kept = {
        target: export(saved.network(), saved.encoding, load_target(target), tmp_path / f"{target}.h5", frames).network
        for target in ("loihi2", "ideal")
    }
    assert kept["ideal"].target == "ideal"
    for one, other in zip(kept["loihi2"].layers, kept["ideal"].layers, strict=True):
        assert np.array_equal(one.synapses[0].weight, other.synapses[0].weight)
    message = r"through loihi2's integers, which loihi2-netx does not hold .*--set trainer\.quantize=loihi2-netx"
    with pytest.raises(ExportError, match=message):
        export(saved.network(), saved.encoding, load_target("loihi2-netx"), tmp_path / "netx.h5", frames)
    assert not (tmp_path / "netx.h5").exists()


def test_a_checkpoint_keeps_the_scales_as_earlier_versions_wrote_them(quantized_run, tmp_path):
    saved = Checkpoint.load(RunFolder(quantized_run[0]).last)
    content = torch.load(RunFolder(quantized_run[0]).last, weights_only=True)
    written = {
        "target": "loihi2",
        "scales": [
            {name: getattr(scale, name) for name in ("per_unit", "exponent", "threshold", "bias_exponent")}
            for scale in saved.scales.scales
        ],
    }
    assert json.loads(content["grid"]) == written
    assert isinstance(saved.network(), IntegerTraining)
    assert isinstance(saved.float_network(), DelayNetwork)
    short = dataclasses.replace(saved, scales=dataclasses.replace(saved.scales, scales=saved.scales.scales[1:]))
    short.save(tmp_path / "short.pt")
    with pytest.raises(CheckpointError, match=r"scales do not fit its recipe \(2 integer scales for 3 lay"):
        Checkpoint.load(tmp_path / "short.pt").network()


@pytest.mark.parametrize("more", [["trainer.single_tap_epochs=0.75"], ["model.delays=fixed-random"]])
def test_folds_choose_among_the_epochs_through_the_integers_alone(more, tmp_path):
    """Earlier epochs have single taps too, but are of the float network, which the training on all would end with."""
    fold = ["protocol=cross-validated", "data.fold=0", "trainer.quantize_epochs=0.25"]
    summary = train(load_recipe("digits", [*QUANTIZED, *fold, *more]), tmp_path / "run")
    assert summary["fold_curve"]["can_be_chosen"] == [False, False, False, True]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["trainer.quantize=loihi2", "trainer.last_epoch=2"], "trainer.quantize loihi2 begins with epoch 3 of 4"),
        (["trainer.quantize=none", "trainer.average_epochs=1", "trainer.last_epoch=3"],
         "trainer.average_epochs 1 begins with epoch 4 of 4"),
    ],
)  # fmt: skip
def test_a_last_epoch_before_a_key_has_any_effect_is_refused(keys, message, tmp_path):
    with pytest.raises(RecipeError, match=message):
        train(load_recipe("digits", [*QUANTIZED, *keys]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("error")
def test_single_taps_from_the_first_epoch_on_are_no_warning_of_pytorch(tmp_path):
    keys = ["trainer.quantize=none", "trainer.single_tap_epochs=1", "trainer.epochs=1"]
    train(load_recipe("digits", [*QUANTIZED, *keys]), tmp_path / "run")
